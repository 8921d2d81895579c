import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement bench store-faults`: the activation store fails in three ways while timers fire; firing must not notice, and
/// every outcome must be recorded once afterwards.
struct StoreFaultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store-faults",
        abstract: "Fail the activation store of the stack that runs here while timers fire.",
        discussion: """
            First nothing is wrong; then the store answers 503 to everything, 429 to half of the requests, and refuses \
            one document in a hundred. For each: lateness from due instant to Kafka's acknowledgement, the largest \
            memory of the dispatchers, how long the records took afterwards, and, from the audit of every timer and from \
            the dead-letter topic, whether each outcome is recorded once or kept with the reason. Exit status 1 when one \
            is not. Faults are ordered from the stand-in of ./dev up.
            """)

    @Option(help: "Fires a second.")
    var rate = 2000

    @Option(help: "How long each kind of fault lasts, in seconds; 600 for what an operator fears.")
    var seconds = 20

    @Option(help: "Which: calm, down, busy, refusing; separated by commas.")
    var phases = "calm,down,busy,refusing"

    @Option(help: "Where the stack's dev.json is.")
    var dataDir = ".dev"

    @OptionGroup(title: "Server")
    var client: ClientOptions

    private enum Phase: String {
        case calm, down, busy, refusing

        /// What the stand-in is told.
        var faults: String {
            switch self {
            case .calm: "{}"
            case .down: #"{"down":true}"#
            case .busy: #"{"tooManyPercent":50}"#
            case .refusing: #"{"refuseOneIn":100}"#
            }
        }
    }

    private var parsedPhases: [Phase]? {
        let parts = self.phases.split(separator: ",").map { Phase(rawValue: String($0)) }
        return parts.contains(nil) ? nil : parts.compactMap { $0 }
    }

    func validate() throws {
        guard (1...100_000).contains(self.rate), (1...3600).contains(self.seconds), self.parsedPhases?.isEmpty == false
        else {
            throw ValidationError(
                "--rate is from 1 to 100000, --seconds from 1 to 3600, --phases of calm, down, busy, refusing")
        }
    }

    func run() async throws {
        guard let stack = BenchStack.here(self.dataDir) else {
            throw DevError("no stack runs in \(self.dataDir); start one with './dev up -d'")
        }
        guard stack.faultsURL != nil else {
            throw DevError("faults can be ordered from the stand-in only, and this stack uses another Elasticsearch")
        }
        var isSound = true
        try await self.client.run { api in
            var results: [StoreFaultResult] = []
            for phase in self.parsedPhases ?? [] {
                let result = try await self.measure(phase, stack, api)
                print(result.json.text)
                isSound = isSound && result.isSound
                results.append(result)
            }
            print(StoreFaultResult.table(results))
        }
        await stack.shutdown()
        if !isSound { throw ExitCode.failure }
    }

    private func measure(_ phase: Phase, _ stack: BenchStack, _ api: APIClient) async throws -> StoreFaultResult {
        let clocks = SystemClocks()
        let count = self.rate * self.seconds
        let parked = try await stack.parkedDocuments()
        let load = BenchLoad(payloadBytes: 64)
        let start = clocks.wallNow().advanced(by: BenchLoad.lead(for: count))
        Console.tell("\(phase.rawValue): creating \(count) timers")
        try await load.create(count, from: start, over: self.seconds, api)
        guard clocks.wallNow() < start else {
            throw DevError("the timers were not created before the first was due; take a lower --rate")
        }
        try await clocks.sleep(for: start.duration(since: clocks.wallNow()) - .milliseconds(300))
        let before = try await stack.sample()
        try await stack.order(phase.faults)
        Console.tell("\(phase.rawValue): \(phase.faults) for \(self.seconds) s")
        let end = start.advanced(by: .seconds(Int64(self.seconds)))
        let patience = end.advanced(by: .seconds(60))
        var after = before
        var peak: UInt64 = 0
        while after.fires - before.fires < Double(count) || clocks.wallNow() < end, clocks.wallNow() < patience {
            try await clocks.sleep(for: .milliseconds(100))
            after = try await stack.sample()
            peak = max(peak, stack.dispatcherBytes(after))
        }
        let figures = BenchResult(
            name: phase.rawValue, expected: count, createdPerSecond: 0, start: start, seconds: self.seconds,
            before: before, after: after)
        // One in a hundred is refused until everything has been offered: what is refused is the point. Other faults end.
        if phase != .refusing { try await stack.order("{}") }
        Console.tell("\(phase.rawValue): waiting for the records")
        let mended = clocks.monotonicNow()
        // As long as the fault again, and two minutes.
        let limit = Duration.seconds(Int64(self.seconds + 120))
        while after.documents - before.documents < Double(count),
            clocks.monotonicNow().duration(since: mended) < limit
        {
            try await clocks.sleep(for: .milliseconds(100))
            after = try await stack.sample()
            peak = max(peak, stack.dispatcherBytes(after))
        }
        let caughtUp = clocks.monotonicNow().duration(since: mended)
        Console.tell("\(phase.rawValue): comparing")
        var audit = try await self.audit(api, from: start, to: end)
        var kept = try await stack.parkedDocuments().subtracting(parked)
        while audit.recorded + Int64(kept.count) < Int64(count), clocks.monotonicNow().duration(since: mended) < limit {
            try await clocks.sleep(for: .milliseconds(500))
            peak = max(peak, stack.dispatcherBytes(try await stack.sample()))
            audit = try await self.audit(api, from: start, to: end)
            kept = try await stack.parkedDocuments().subtracting(parked)
        }
        try await stack.order("{}")
        return StoreFaultResult(
            figures: figures, recorded: audit.recorded, doubled: audit.doubled, parked: kept.count,
            caughtUpSeconds: Double(caughtUp.wholeMilliseconds) / 1000, peakMebibytes: Double(peak) / 1_048_576,
            restMebibytes: Double(stack.dispatcherBytes(before)) / 1_048_576)
    }

    /// Every timer of the stretch beside its records.
    private func audit(
        _ api: APIClient, from: WallInstant, to: WallInstant
    ) async throws -> (recorded: Int64, doubled: Int64) {
        var found: (recorded: Int64, doubled: Int64) = (0, 0)
        var token: String?
        repeat {
            let page: JSONValue
            do {
                page = try await api.document(
                    .get, "\(api.home)/reconciliation",
                    query: [
                        ("from", from.description), ("to", to.advanced(by: .milliseconds(1)).description),
                        ("withoutJournal", "true"), ("pageToken", token),
                    ])
            } catch let failure as ClientFailure where failure.isUnavailable {
                // The store has just come back; who asks knows to ask again.
                return (0, 0)
            }
            for item in page["items"]?.arrayValue ?? [] where item["timers"] != nil {
                found.recorded += item["recorded"]?.integerValue ?? 0
                found.doubled += Int64(
                    (item["items"]?.arrayValue ?? []).count { $0["kind"]?.stringValue == "doubled" })
            }
            token = page["nextPageToken"]?.stringValue
        } while token != nil
        return found
    }
}
