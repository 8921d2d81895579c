import ArgumentParser
import DispatcherDomain
import DispatcherElasticsearch
import DispatcherService
import ElasticsearchStore
import EscapementModel
import Glibc
import HTTPClient
import JSON
import Logging
import Observability
import ServiceConfiguration

/// `escapement bench index`: how fast a dispatcher's writer stores documents, beside a bare loop of libcurl.
struct IndexBenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Measure how fast one dispatcher's writer stores documents.",
        discussion: """
            In turns, into indices of their own in the Elasticsearch of the stack that runs here: outcomes through the \
            dispatcher's own code (document, bulk request, compression, answer), and a bare loop of libcurl that posts \
            requests of the same form (addresses, headers, gzip) over as many connections, made before the clock runs, \
            and reads the answers. One JSON line a round, with microseconds of this process's processor time a \
            document, and the ratio of the medians.
            """)

    @Option(help: "How long each turn lasts, in seconds.")
    var seconds = 5

    @Option(help: "Turns of each.")
    var rounds = 3

    @Option(help: "Where the stack's dev.json is.")
    var dataDir = ".dev"

    /// Documents of one request of the bare loop, and of a quarter of a write of ours.
    private static let requestDocuments = BulkPace.documentsMax

    func validate() throws {
        guard (1...60).contains(self.seconds), (1...20).contains(self.rounds) else {
            throw ValidationError("--seconds is from 1 to 60, --rounds from 1 to 20")
        }
    }

    func run() async throws {
        guard let stack = BenchStack.here(self.dataDir), let store = stack.report["elasticsearch"] else {
            throw DevError(
                "no stack with an Elasticsearch of its own runs in \(self.dataDir); start one with './dev up -d'")
        }
        func text(_ key: String) -> String { store[key]?.stringValue ?? "" }
        let sources = ConfigurationSources(environment: [
            "ELASTICSEARCH_URL": text("url"), "ELASTICSEARCH_USERNAME": text("username"),
            "ELASTICSEARCH_PASSWORD_FILE": text("passwordFile"), "ELASTICSEARCH_CA_FILE": text("caFile"),
        ])
        let settings = try StoreOnly.load(from: sources).model.elasticsearch
        let password = try DevFiles.read(text("passwordFile")).filter { !$0.isNewline }
        var generator = SystemRandomNumberGenerator()
        let form = ActivationForm.native(indexPrefix: "bench-\(UID.random(using: &generator).hex.prefix(12))")
        var writer = DocumentWriter(
            DocumentWriter.Environment(
                store: ElasticsearchActivationStore(
                    settings, form: form, retentionDays: 1,
                    logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })), clocks: SystemClocks(),
                metrics: DispatcherMetrics(MetricsRegistry()),
                logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }), deadLetter: { _, _ in }),
            seed: 1)
        let loop = try BareBulkLoop(
            url: text("url") + ElasticsearchClient.bulkPath,
            headers: ElasticsearchClient.bulkHeaders.fields.map { "\($0.name): \($0.value)" }, user: text("username"),
            password: String(password), authorityFile: text("caFile"), connections: BulkPace.requestsMax)
        var number: UInt64 = 0
        // Connections and indices are made, and the writer finds its pace, before anything is measured.
        let warmUp = Duration.milliseconds(500)
        _ = try await self.write(&writer, form, &number, for: warmUp)
        _ = try self.post(loop, form, &number, for: warmUp)
        var ours: [Double] = []
        var bare: [Double] = []
        var index = ""
        for round in 1...self.rounds {
            let (own, ownCPU) = try await self.write(
                &writer, form, &number, for: .seconds(Int64(self.seconds)))
            ours.append(own)
            let (rate, loopCPU, name) = try self.post(loop, form, &number, for: .seconds(Int64(self.seconds)))
            bare.append(rate)
            index = name
            let line: JSONValue = [
                "w": "INDEX", "round": .integer(round), "escapement_docs_s": .decimal(ours[round - 1].rounded()),
                "libcurl_docs_s": .decimal(rate.rounded()),
                "escapement_cpu_us": .decimal(ownCPU),
                "libcurl_cpu_us": .decimal(loopCPU),
            ]
            print(line.text)
        }
        let medians = (ours: Self.median(ours), bare: Self.median(bare))
        let ratio = (medians.ours / medians.bare * 100).rounded() / 100
        print(
            "documents/s: escapement \(Int(medians.ours)), bare libcurl \(Int(medians.bare)), ratio \(ratio)")
        let client = HTTPClient(configuration: HTTPClientConfiguration(certificateAuthorityFile: text("caFile")))
        _ = try await client.send(
            HTTPRequest(
                .delete, "\(text("url"))/\(index)",
                authorization: .basic(user: text("username"), password: String(password))))
        await client.shutdown()
        await stack.shutdown()
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    /// Nanoseconds of this process's processor time so far.
    private static func processor() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Microseconds a document, with one decimal.
    private static func microseconds(_ nanoseconds: Int64, _ count: Int) -> Double {
        (Double(nanoseconds) / Double(max(1, count)) / 100).rounded() / 10
    }

    /// Documents a second through the dispatcher's writer, from outcomes on.
    private func write(
        _ writer: inout DocumentWriter, _ form: ActivationForm, _ number: inout UInt64, for time: Duration
    ) async throws -> (rate: Double, cpu: Double) {
        let before = Self.processor()
        let clocks = SystemClocks()
        let began = clocks.monotonicNow()
        var count = 0
        while clocks.monotonicNow().duration(since: began) < time {
            var documents: [ActivationDocument] = []
            for _ in 0..<(Self.requestDocuments * BulkPace.requestsMax) {
                number += 1
                documents.append(
                    try form.document(of: Self.outcome(number), cluster: "bench", dispatcher: NodeID("dispatcher-1")))
            }
            try await writer.write(documents)
            count += documents.count
        }
        let rate = Double(count) / (clocks.monotonicNow().duration(since: began) / .seconds(1))
        return (rate, Self.microseconds(Self.processor() - before, count))
    }

    /// Documents a second through the bare loop; only the requests are timed. And their index.
    private func post(
        _ loop: BareBulkLoop, _ form: ActivationForm, _ number: inout UInt64, for time: Duration
    ) throws -> (rate: Double, cpu: Double, index: String) {
        let clocks = SystemClocks()
        var spent = Duration.zero
        var cpu: Int64 = 0
        var count = 0
        var index = ""
        while spent < time {
            var bodies: [[UInt8]] = []
            for _ in 0..<BulkPace.requestsMax {
                var documents: [ElasticsearchClient.Document] = []
                for _ in 0..<Self.requestDocuments {
                    number += 1
                    let document = try form.document(
                        of: Self.outcome(number), cluster: "bench", dispatcher: NodeID("dispatcher-1"))
                    index = document.index
                    documents.append(.init(index: document.index, id: document.id, body: document.body))
                }
                // The stand-in of the stack has no types.
                bodies.append(ElasticsearchClient.bulkBody(documents, type: nil))
            }
            let (began, before) = (clocks.monotonicNow(), Self.processor())
            try loop.post(bodies)
            spent += clocks.monotonicNow().duration(since: began)
            cpu += Self.processor() - before
            count += Self.requestDocuments * BulkPace.requestsMax
        }
        return (Double(count) / (spent / .seconds(1)), Self.microseconds(cpu, count), index)
    }

    private static func outcome(_ number: UInt64) -> OutcomeRecord {
        let scheduled = WallInstant(milliseconds: 1_795_397_400_000 + Int64(number % 80_000_000))
        return OutcomeRecord(
            id: ActivationID(UID(high: 0x9d0c_1f6e_2b7a_4c55, low: number)), kind: .cron,
            uid: UID(high: 0x01a0_f198_8e62_7c33, low: number % 1000), generation: 3, shard: ShardID(173),
            epoch: Epoch(89), scheduled: scheduled, due: scheduled,
            settledAt: scheduled.advanced(by: .milliseconds(21)),
            outcome: .dispatched, reason: .dispatched, namespace: "guest", name: "nightly-report-\(number % 1000)",
            action: "/guest/reports/nightly", labels: [.init(name: "team", value: "billing")],
            position: .init(topic: "escapement.fires", partition: 7, offset: Int64(number)),
            payload: .init(byteCount: 44, sha256: SHA256Digest(high: .max, low: .max)), attempts: 1,
            ticker: NodeID("ticker-5d8b-a1"), traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    }
}

/// The settings of the server alone.
private struct StoreOnly: ReadableConfiguration {
    var elasticsearch: ElasticsearchSettings

    init(reading reader: inout ConfigurationReader) { self.elasticsearch = ElasticsearchSettings(reading: &reader) }
}
