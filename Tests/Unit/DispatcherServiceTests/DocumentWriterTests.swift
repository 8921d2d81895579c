import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import Observability
import Synchronization
import Testing

/// Answers each request as a script says; the last entry again and again.
private final class ScriptedStore: ActivationStore {
    typealias Answer = @Sendable ([ActivationDocument]) -> Result<[ActivationWriteResult], ActivationStoreError>

    private let state: Mutex<(script: [Answer], requests: [[ActivationDocument]])>

    init(_ script: [Answer]) { self.state = Mutex((script, [])) }

    var requests: [[ActivationDocument]] { self.state.withLock { $0.requests } }

    func prepare() async throws(ActivationStoreError) {}

    func create(_ documents: [ActivationDocument]) async throws(ActivationStoreError) -> [ActivationWriteResult] {
        let answer = self.state.withLock { state -> Answer in
            state.requests.append(documents)
            return state.script.count > 1 ? state.script.removeFirst() : state.script[0]
        }
        return try answer(documents).get()
    }

    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
        throw ActivationStoreError("not asked")
    }

    func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket] { throw ActivationStoreError("not asked") }
}

@Suite struct DocumentWriterTests {
    private final class Parked: Sendable {
        let documents = Mutex<[ActivationDocument]>([])
    }

    private let parked = Parked()
    private let clocks = SkippingClocks()

    private func writer(
        _ store: ScriptedStore, blocked: @escaping @Sendable (String) -> Void = { _ in }
    ) -> DocumentWriter {
        let parked = self.parked
        return DocumentWriter(
            DocumentWriter.Environment(
                store: store, clocks: self.clocks, metrics: DispatcherMetrics(MetricsRegistry()),
                logger: Samples.logger, blocked: blocked,
                deadLetter: { document, _ in parked.documents.withLock { $0.append(document) } }), seed: 1)
    }

    private func documents(_ count: Int, body: JSONValue = ["outcome": "dispatched"]) -> [ActivationDocument] {
        (0..<count).map { ActivationDocument(index: "a", id: "\($0)", body: body.bytes) }
    }

    private static let stored: ScriptedStore.Answer = { .success($0.map { _ in .stored }) }

    @Test func `overload halves what is sent, and recovery brings it back`() async throws {
        let store = ScriptedStore([{ _ in .failure(ActivationStoreError("429", isOverloaded: true)) }, Self.stored])
        var writer = self.writer(store)
        try await writer.write(self.documents(400))
        #expect(store.requests[0].count == 400)
        #expect(store.requests.dropFirst().allSatisfy { $0.count <= 250 + BulkPace.documentsMin * 2 })
        #expect(Set(store.requests.dropFirst().flatMap { $0 }.map(\.id)).count == 400, "none is lost")
        try await writer.write(self.documents(12_000))
        #expect(writer.pace.documentCountMax == BulkPace.documentsMax)
    }

    @Test func `a refused document is tried once more without what people wrote`() async throws {
        let store = ScriptedStore([
            { .success($0.map { _ in .refused("HTTP 400 document_parsing_exception") }) }, Self.stored,
        ])
        var writer = self.writer(store)
        try await writer.write(self.documents(1, body: ["outcome": "failed", "labels": ["a": "b"], "error": "x"]))
        #expect(store.requests.count == 2)
        #expect(store.requests[1][0].body == JSONValue.object([JSONMember("outcome", "failed")]).bytes)
        #expect(self.parked.documents.withLock { $0.isEmpty })
    }

    @Test func `a document that is refused again is parked, and only that one`() async throws {
        let store = ScriptedStore([
            { documents in .success(documents.map { $0.id == "1" ? .refused("HTTP 400") : .stored }) }
        ])
        var writer = self.writer(store)
        try await writer.write(self.documents(3, body: ["outcome": "failed", "error": "x"]))
        #expect(store.requests.map(\.count) == [3, 1])
        #expect(self.parked.documents.withLock { $0.map(\.id) } == ["1"])
    }

    @Test func `an index that takes no documents is waited for, and the reason is told`() async throws {
        let store = ScriptedStore([
            { documents in .success(documents.map { $0.id == "1" ? .blocked("HTTP 403 cluster_block") : .stored }) },
            { .success($0.map { _ in .blocked("HTTP 403 cluster_block") }) }, Self.stored,
        ])
        let reasons = Mutex<[String]>([])
        var writer = self.writer(store) { reason in reasons.withLock { $0.append(reason) } }
        let answered = Mutex(0)
        try await writer.write(self.documents(3)) { answered.withLock { $0 += 1 } }
        #expect(store.requests.map { $0.map(\.id) } == [["0", "1", "2"], ["1"], ["1"]])
        #expect(reasons.withLock { $0 } == ["HTTP 403 cluster_block", "HTTP 403 cluster_block"])
        #expect(answered.withLock { $0 } == 1, "only the last request found a store that takes documents")
        #expect(self.parked.documents.withLock { $0.isEmpty })
        #expect(writer.pace == BulkPace().afterSuccesses(3), "a block is no overload")
    }

    @Test func `a document with which the store fails again and again is parked in the end`() async throws {
        let store = ScriptedStore([
            { documents in .success(documents.map { $0.id == "0" ? .failed("HTTP 500") : .stored }) }
        ])
        var writer = self.writer(store)
        try await writer.write(self.documents(2))
        #expect(store.requests.map(\.count) == [2] + Array(repeating: 1, count: DocumentWriter.failuresMax - 1))
        #expect(self.parked.documents.withLock { $0.map(\.id) } == ["0"])
    }

    @Test func `what an overloaded store wishes is waited for, within a bound`() async throws {
        let store = ScriptedStore([
            { _ in .failure(ActivationStoreError("429", isOverloaded: true, retryAfter: .seconds(20))) },
            { _ in .failure(ActivationStoreError("429", isOverloaded: true, retryAfter: .seconds(86_400))) },
            Self.stored,
        ])
        var writer = self.writer(store)
        try await writer.write(self.documents(1))
        let waited = self.clocks.monotonicNow().duration(since: MonotonicInstant(nanoseconds: 0))
        let most = DocumentWriter.pauseMax * 2 + DocumentWriter.retryAfterMax + .seconds(20)
        #expect(waited >= .seconds(20) + DocumentWriter.retryAfterMax)
        #expect(waited <= most)
    }

    @Test func `a document is parked once, although the rest has to be written again`() async throws {
        let answer: ScriptedStore.Answer = { documents in
            documents.contains { $0.id == "700" }
                ? .failure(ActivationStoreError("gone"))
                : .success(documents.map { $0.id == "1" ? .refused("HTTP 400") : .stored })
        }
        let store = ScriptedStore([answer, answer, { .success($0.map { $0.id == "1" ? .refused("400") : .known }) }])
        var writer = self.writer(store)
        await #expect(throws: ActivationStoreError.self) { try await writer.write(self.documents(900)) }
        try await writer.write(self.documents(900))
        #expect(self.parked.documents.withLock { $0.map(\.id) } == ["1"])
        // A later document of the same id is another matter.
        try await writer.write(self.documents(2))
        #expect(self.parked.documents.withLock { $0.map(\.id) } == ["1", "1"])
    }

    @Test func `a document that cannot be kept among the dead letters comes again`() async throws {
        let store = ScriptedStore([{ documents in .success(documents.map { $0.id == "1" ? .refused("400") : .known }) }]
        )
        let attempts = Mutex(0)
        var writer = DocumentWriter(
            DocumentWriter.Environment(
                store: store, clocks: self.clocks, metrics: DispatcherMetrics(MetricsRegistry()),
                logger: Samples.logger,
                deadLetter: { _, _ in
                    let number = attempts.withLock { count in
                        count += 1
                        return count
                    }
                    if number == 1 { throw CancellationError() }
                }), seed: 1)
        await #expect(throws: CancellationError.self) { try await writer.write(self.documents(3)) }
        try await writer.write(self.documents(3))
        #expect(attempts.withLock { $0 } == 2)
    }

    @Test func `what people wrote is left out of OpenWhisk's form too, and the rest stays`() throws {
        var outcome = Samples.outcome()
        outcome.outcome = .failed
        outcome.reason = .topicMissing
        outcome.error = "a secret of theirs"
        outcome.labels = [.init(name: "team", value: "theirs")]
        let form = ActivationForm.openWhisk(indexPattern: "openwhisk-%s")
        let whole = try form.document(of: outcome, cluster: "c", dispatcher: NodeID("d"))
        let less = try #require(whole.withoutFreeText)
        let text = String(decoding: less.body, as: UTF8.self)
        #expect(!text.contains("theirs"))
        let document = try JSONParser.parse(less.body)
        #expect(document["activationId"]?.stringValue == outcome.id.description)
        #expect(document["response"]?["result"]?.stringValue == "{\"error\":\"failed, TOPIC_MISSING\"}")
        #expect(form.native(document)?["outcome"] == "failed")
        #expect(less.withoutFreeText == nil)
    }

    @Test func `a store that does not answer is the caller's affair`() async {
        let store = ScriptedStore([{ _ in .failure(ActivationStoreError("503")) }])
        var writer = self.writer(store)
        await #expect(throws: ActivationStoreError.self) { try await writer.write(self.documents(3)) }
        #expect(store.requests.count == 1)
    }

    @Test func `several requests go side by side, each within its bounds`() async throws {
        let store = ScriptedStore([Self.stored])
        var writer = self.writer(store)
        try await writer.write(self.documents(1200))
        #expect(store.requests.map(\.count).sorted() == [200, 500, 500])
        let large = self.documents(10, body: ["text": .string(String(repeating: "x", count: 1_000_000))])
        try await writer.write(large)
        #expect(store.requests.dropFirst(3).allSatisfy { $0.reduce(0) { $0 + $1.body.count } <= BulkPace.bytesMax })
    }
}

extension BulkPace {
    fileprivate func afterSuccesses(_ count: Int) -> BulkPace {
        var pace = self
        for _ in 0..<count { pace.succeeded() }
        return pace
    }
}
