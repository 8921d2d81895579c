import DispatcherDomain
import DispatcherElasticsearch
import DispatcherService
import ElasticsearchSupport
import EscapementModel
import JSON
import Logging

/// A store of one test under names of its own, and outcomes to put into it.
struct History: Sendable {
    static let start = WallInstant(milliseconds: 1_795_397_400_000)

    let under: StoreUnderTest
    let form: ActivationForm
    let store: ElasticsearchActivationStore
    /// Unique, so that runs side by side on one server do not meet.
    let namespace: String
    let setupName: String

    static func native(
        _ under: StoreUnderTest, _ body: (History) async throws -> Void
    ) async throws {
        let prefix = StoreUnderTest.uniqueName("escapement-test")
        let history = History(under, .native(indexPrefix: prefix), namespace: "guest", setupName: prefix)
        try await history.run(body)
    }

    static func openWhisk(
        _ under: StoreUnderTest, _ body: (History) async throws -> Void
    ) async throws {
        let beginning = StoreUnderTest.uniqueName("whisktest")
        let history = History(
            under, .openWhisk(indexPattern: "\(beginning)-%s"), namespace: "Guest", setupName: "escapement-\(beginning)"
        )
        try await history.run(body)
    }

    init(_ under: StoreUnderTest, _ form: ActivationForm, namespace: String, setupName: String) {
        self.under = under
        self.form = form
        self.namespace = namespace
        self.setupName = setupName
        self.store = ElasticsearchActivationStore(
            under.settings, form: form, retentionDays: 30,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func run(_ body: (History) async throws -> Void) async throws {
        do {
            try await self.store.prepare()
            try await body(self)
        } catch {
            try await self.remove()
            throw error
        }
        try await self.remove()
    }

    private func remove() async throws {
        // By name: a server may forbid to delete by pattern.
        let days = (0..<3).map { Self.start.advanced(by: .seconds($0 * 86_400)) }
        let indices: [String] =
            switch self.form {
            case .native(let prefix): days.map { ActivationForm.index(prefix: prefix, scheduled: $0) }
            case .openWhisk: [self.form.indices(of: self.namespace)]
            }
        try await self.under.remove(indices: indices, setup: self.setupName)
    }

    /// An outcome `number` minutes after the start; every tenth one was skipped.
    func outcome(_ number: Int, name: String = "nightly-report") -> OutcomeRecord {
        let due = Self.start.advanced(by: .seconds(number * 60))
        let isSkipped = number % 10 == 9
        return OutcomeRecord(
            id: ActivationID(UID(high: 7, low: UInt64(number))), kind: .cron, uid: UID(high: 1, low: 2), generation: 3,
            shard: ShardID(173), epoch: Epoch(89), scheduled: due, due: due,
            settledAt: due.advanced(by: .milliseconds(number)), outcome: isSkipped ? .skipped : .dispatched,
            reason: isSkipped ? .catchupWindow : .dispatched, error: isSkipped ? "the broker was away" : "",
            namespace: self.namespace, name: name, action: "/guest/reports/nightly",
            labels: [.init(name: "team", value: number % 2 == 0 ? "billing" : "sales")],
            position: isSkipped ? nil : .init(topic: "escapement.fires", partition: 7, offset: Int64(number)),
            attempts: isSkipped ? 0 : 1, ticker: NodeID("ticker-1"))
    }

    func document(_ outcome: OutcomeRecord) throws -> ActivationDocument {
        try self.form.document(of: outcome, cluster: "test", dispatcher: NodeID("dispatcher-1"))
    }

    /// Writes outcomes and makes them visible.
    @discardableResult
    func write(_ outcomes: [OutcomeRecord]) async throws -> [ActivationWriteResult] {
        let results = try await self.store.create(try outcomes.map { try self.document($0) })
        try await self.under.refresh(self.form.indices(of: self.namespace))
        return results
    }

    func search(_ change: (inout ActivationSearch) -> Void) async throws -> ActivationPage {
        var search = ActivationSearch()
        search.namespace = self.namespace
        change(&search)
        return try await self.store.search(search)
    }
}
