import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import NIOCore
import Testing
import WireProtocol

/// A store that is away.
struct AbsentStore: ActivationStore {
    private static let fault = ActivationStoreError("HTTP 503")

    func prepare() async throws(ActivationStoreError) { throw Self.fault }
    func create(
        _ documents: [ActivationDocument]
    ) async throws(ActivationStoreError) -> [ActivationWriteResult] { throw Self.fault }
    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage { throw Self.fault }
    func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket] { throw Self.fault }
}

/// A store whose documents are as large as a test says; pages as the real one makes them.
private struct LargeStore: ActivationStore {
    let documents: [JSONValue]

    func prepare() async throws(ActivationStoreError) {}
    func create(_ documents: [ActivationDocument]) async throws(ActivationStoreError) -> [ActivationWriteResult] { [] }
    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
        let found = self.documents.filter { search.matches($0) }
        let items = Array(found.prefix(search.pageSize))
        return ActivationPage(
            items: items,
            next: items.count == search.pageSize
                ? items.last.flatMap { ActivationSearch.Position(document: $0) } : nil)
    }
    func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket] { [] }
}

@Suite struct ActivationSearchTests {
    private let document = Samples.outcome().document(cluster: "c", dispatcher: NodeID("d"))

    private func search(_ document: JSONValue) throws -> ActivationSearch { try ActivationSearch(document: document) }

    @Test(
        arguments: [
            (["q": "nightly"], true), (["q": "Report nightly"], true), (["q": "/guest/rep"], true),
            (["q": "weekly"], false),
            (["label": "team=billing"], true), (["label": "team=sales"], false),
            (["label": "team=billing,tier=gold"], false), (["action": "/guest/reports/nightly"], true),
            (["from": "2026-11-23T01:30:00Z"], true), (["to": "2026-11-23T01:30:00Z"], false),
        ] as [(JSONValue, Bool)])
    func `a document in memory matches as the store would have it`(query: JSONValue, expected: Bool) throws {
        #expect(try self.search(query).matches(self.document) == expected)
    }

    @Test(
        arguments: [
            ["label": "team"], ["label": "=x"], ["countUpTo": "0"], ["countUpTo": "10001"], ["pageSize": "1001"],
            ["q": .string(String(repeating: "a ", count: 17))],
        ] as [JSONValue])
    func `a query that cannot be answered says which member is wrong`(query: JSONValue) {
        #expect(throws: ActivationQueryError.self) { _ = try self.search(query) }
    }

    @Test func `a summary needs a range that does not make too many buckets`() throws {
        func interval(_ document: JSONValue) throws -> ActivationInterval? {
            try self.search(document).interval(document: document)
        }
        #expect(try interval(["q": "x"]) == nil)
        let day: JSONValue = ["every": "1h", "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"]
        #expect(try interval(day)?.seconds == 3600)
        for wrong: JSONValue in [
            ["every": "1h"], ["every": "soon", "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"],
            ["every": "1s", "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"],
            ["every": "500ms", "from": "2026-11-23T00:00:00Z", "to": "2026-11-23T00:00:01Z"],
        ] {
            #expect(throws: ActivationQueryError.self) { _ = try interval(wrong) }
        }
    }

    @Test func `a summary in memory counts outcomes and ranks lateness`() throws {
        let documents = (1...100).map { number -> JSONValue in
            var outcome = Samples.outcome(UInt64(number))
            outcome.settledAt = outcome.due.advanced(by: .milliseconds(number))
            if number > 90 { outcome.outcome = .skipped }
            return outcome.document(cluster: "c", dispatcher: NodeID("d"))
        }
        let hour = try #require(ActivationInterval(.seconds(3600)))
        let buckets = ActivationBucket.summary(of: documents, every: hour)
        #expect(buckets.count == 1)
        #expect(buckets[0].start.description == "2026-11-23T01:00:00.000Z")
        #expect(buckets[0].outcomes == ["dispatched": 90, "skipped": 10])
        #expect(buckets[0].lateness == .init(p50: 45, p95: 86, p99: 90, max: 90))
    }

    @Test func `while the store is away, memory answers and says so`() async throws {
        let recent = RecentOutcomes()
        let queries = ActivationQueries(
            store: AbsentStore(),
            journal: JournalSearch(journal: FakeTopics(), laneCount: 4, clocks: SystemClocks()), recent: recent,
            cluster: "c", dispatcher: NodeID("d"))
        func ask(_ document: JSONValue) async -> Result<JSONValue, ActivationQueryFailure> {
            await queries.answer(ActivationQuery(document: ByteBuffer(bytes: document.bytes))).map {
                (try? JSONParser.parse($0.document.readableBytesView)) ?? .null
            }
        }
        let unavailable = ActivationQueryFailure(code: "ACTIVATION_STORE_UNAVAILABLE", detail: "HTTP 503")
        #expect(await ask(["namespace": "guest"]) == .failure(unavailable), "nothing is remembered")
        recent.add(Samples.settlement([Samples.outcome(1), Samples.outcome(2)]))
        let page = try await ask(["namespace": "guest"]).get()
        #expect(page["storeAvailable"] == false)
        #expect(page["items"]?.arrayValue?.count == 2)
        let summary = try await ask([
            "every": "1h", "from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z",
        ]).get()
        #expect(summary["storeAvailable"] == false)
        #expect(summary["buckets"]?[0]?["count"] == 2)
        let later = ActivationSearch.Position(scheduled: Samples.due, id: Samples.id.description).token
        #expect(await ask(["pageToken": .string(later)]) == .failure(unavailable))
    }

    private func queries(_ store: some ActivationStore) -> ActivationQueries {
        ActivationQueries(
            store: store, journal: JournalSearch(journal: FakeTopics(), laneCount: 4, clocks: SystemClocks()),
            recent: RecentOutcomes(), cluster: "c", dispatcher: NodeID("d"))
    }

    private func ask(_ queries: ActivationQueries, _ document: JSONValue) async -> Result<
        ActivationAnswer, ActivationQueryFailure
    > { await queries.answer(ActivationQuery(document: ByteBuffer(bytes: document.bytes))) }

    @Test func `a page is cut to what a frame holds, and the next one goes on behind it`() async throws {
        let documents = (1...1000).reversed().map { number -> JSONValue in
            var outcome = Samples.outcome(UInt64(number))
            outcome.error = String(repeating: "x", count: 20_000)
            return outcome.document(cluster: "c", dispatcher: NodeID("d"))
        }
        let queries = self.queries(LargeStore(documents: documents))
        var seen: [String] = []
        var token: String?
        repeat {
            let answer = try await self.ask(
                queries, .record(["pageSize": 1000, "pageToken": token.map { .string($0) }])
            ).get()
            #expect(Frame(answer).payload.readableBytes <= Frame.payloadMax)
            let page = try JSONParser.parse(answer.document.readableBytesView)
            let items = page["items"]?.arrayValue ?? []
            #expect(!items.isEmpty)
            seen += items.compactMap { $0["activation_id"]?.stringValue }
            token = page["nextPageToken"]?.stringValue
        } while token != nil && seen.count <= documents.count
        #expect(seen == documents.compactMap { $0["activation_id"]?.stringValue })
    }

    @Test func `a record that no frame holds is refused with a reason, and smaller ones are not`() async throws {
        var document = Samples.outcome().document(cluster: "c", dispatcher: NodeID("d")).objectValue ?? []
        document.append(JSONMember("payload", .string(String(repeating: "x", count: Frame.payloadMax))))
        let queries = self.queries(LargeStore(documents: [.object(document)]))
        let answer = await self.ask(queries, ["activationId": .string(Samples.outcome().id.description)])
        guard case .failure(let failure) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(failure.code == "ANSWER_TOO_LARGE")
    }
}
