import DispatcherDomain
import DispatcherService
import EscapementModel
import Observability
import Synchronization
import Testing

/// A journal in memory, followed by the recorder.
private final class FakeFeed: JournalFeed {
    struct State {
        var records: [StoredJournalRecord] = []
        var at: Int64 = 0
        var committed: Int64?
        var isFollowing = false
        var failures = 0
        var first: Int64 = 0
    }

    let state = Mutex(State())

    func append(_ outcomes: [OutcomeRecord], epoch: UInt64 = 1) {
        self.state.withLock { state in
            let offset = Int64(state.records.count)
            state.records.append(
                StoredJournalRecord(
                    offset: offset,
                    record: JournalRecord(
                        lane: LaneID(0), laneEpoch: Epoch(epoch), sequence: UInt64(offset + 1),
                        dispatcher: NodeID("d"), body: .entry([], outcomes))))
        }
    }

    func committed(_ lanes: [LaneID]) async throws(JournalError) -> [LaneID: Int64] {
        self.state.withLock { $0.committed.map { [LaneID(0): $0] } ?? [:] }
    }

    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 { self.state.withLock { $0.first } }

    func follow(_ lanes: [LaneID: Int64]) async throws(JournalError) {
        self.state.withLock { state in
            state.isFollowing = !lanes.isEmpty
            state.at = lanes[LaneID(0)] ?? 0
        }
    }

    func next(max: Int, timeout: Duration) async throws(JournalError) -> [(lane: LaneID, record: StoredJournalRecord)] {
        let result: Result<[(lane: LaneID, record: StoredJournalRecord)], JournalError> = self.state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                return .failure(JournalError(.unavailable, "away"))
            }
            guard state.isFollowing else { return .success([]) }
            let records = state.records.dropFirst(Int(state.at)).prefix(max)
            state.at += Int64(records.count)
            return .success(records.map { (LaneID(0), $0) })
        }
        if case .success(let records) = result, records.isEmpty { await Task.yield() }
        return try result.get()
    }

    func commit(_ offsets: [LaneID: Int64]) async throws(JournalError) {
        self.state.withLock { state in
            if let offset = offsets[LaneID(0)] { state.committed = max(state.committed ?? 0, offset) }
        }
    }
}

/// A store that does what it is told, and lets a test wait for a document.
private final class FakeStore: ActivationStore {
    struct State {
        var documents: [String: ActivationDocument] = [:]
        var requestSizes: [Int] = []
        var failures = 0
        var busyOnce: Set<String> = []
        var refused: Set<String> = []
        var countMax = Int.max
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    let state = Mutex(State())

    func prepare() async throws(ActivationStoreError) {}

    func create(_ documents: [ActivationDocument]) async throws(ActivationStoreError) -> [ActivationWriteResult] {
        let (result, woken) = self.state.withLock {
            state -> (Result<[ActivationWriteResult], ActivationStoreError>, [CheckedContinuation<Void, Never>]) in
            state.requestSizes.append(documents.count)
            if state.failures > 0 {
                state.failures -= 1
                return (.failure(ActivationStoreError("down")), [])
            }
            if documents.count > state.countMax {
                return (.failure(ActivationStoreError("large", isTooLarge: true)), [])
            }
            let results: [ActivationWriteResult] = documents.map { document in
                if state.refused.contains(document.id) { return .refused("mapping") }
                if state.busyOnce.remove(document.id) != nil { return .busy("429") }
                if state.documents.updateValue(document, forKey: document.id) != nil { return .known }
                return .stored
            }
            let count = state.documents.count
            let ready = state.waiters.filter { $0.count <= count }.map(\.continuation)
            state.waiters.removeAll { $0.count <= count }
            return (.success(results), ready)
        }
        for continuation in woken { continuation.resume() }
        return try result.get()
    }

    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
        throw ActivationStoreError("down")
    }

    func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket] {
        throw ActivationStoreError("down")
    }

    func untilStored(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if state.documents.count >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

@Suite struct RecorderTests {
    private let feed = FakeFeed()
    private let store = FakeStore()

    /// Runs the recorder until `count` documents are stored and, when asked for, `committed` is noted.
    private func record(_ count: Int, newer: @escaping @Sendable (LaneID, Epoch) -> Void = { _, _ in }) async
        -> [String]
    {
        let kept = Kept()
        let recorder = Recorder(
            feed: self.feed, store: self.store, rules: Samples.rules, form: .native(indexPrefix: "a"),
            clocks: SkippingClocks(),
            metrics: DispatcherMetrics(MetricsRegistry()), logger: Samples.logger, seed: 1, health: { _ in },
            newerOwner: newer, deadLetter: { document, _ in kept.add(document.id) })
        recorder.follow { [LaneID(0)] }
        let run = Task { await recorder.run() }
        await self.store.untilStored(count)
        let end = Int64(self.feed.state.withLock { $0.records.count })
        while self.feed.state.withLock({ $0.committed }) != end { await Task.yield() }
        run.cancel()
        await run.value
        return kept.ids
    }

    private final class Kept: Sendable {
        private let value = Mutex<[String]>([])
        var ids: [String] { self.value.withLock { $0 } }
        func add(_ id: String) { self.value.withLock { $0.append(id) } }
    }

    private func id(_ number: UInt64) -> String { ActivationID(UID(high: 0, low: number)).description }

    @Test func `every outcome becomes a document and then the offset is noted`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        self.feed.append([Samples.outcome(4)])
        _ = await self.record(4)
        #expect(self.feed.state.withLock { $0.committed } == 2)
    }

    @Test func `an outage of the store or the journal repeats and loses nothing`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        self.store.state.withLock { $0.failures = 3 }
        self.feed.state.withLock { $0.failures = 2 }
        _ = await self.record(3)
        #expect(self.store.state.withLock { $0.documents.count } == 3)
    }

    @Test func `a busy item is tried again alone`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        self.store.state.withLock { $0.busyOnce = [self.id(2)] }
        _ = await self.record(3)
        #expect(self.store.state.withLock { $0.requestSizes } == [3, 1])
    }

    @Test func `a refused document is kept among the dead letters and holds nothing up`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        self.store.state.withLock { $0.refused = [self.id(2)] }
        let kept = await self.record(2)
        #expect(kept == [self.id(2)])
    }

    @Test func `nothing is noted before a refused document is kept`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        self.store.state.withLock { $0.refused = [self.id(2)] }
        let clocks = ManualClocks()
        let registry = MetricsRegistry()
        let (asked, continuation) = AsyncStream.makeStream(of: String.self)
        let recorder = Recorder(
            feed: self.feed, store: self.store, rules: Samples.rules, form: .native(indexPrefix: "a"), clocks: clocks,
            metrics: DispatcherMetrics(registry), logger: Samples.logger, seed: 1, health: { _ in },
            newerOwner: { _, _ in },
            deadLetter: { document, _ in
                continuation.yield(document.id)
                // Until the process stops.
                try await clocks.sleep(for: .seconds(3600))
            })
        recorder.follow { [LaneID(0)] }
        let run = Task { await recorder.run() }
        #expect(await asked.first { _ in true } == self.id(2))
        await clocks.untilSleeping()
        func age() -> Double? {
            registry.exposition(.prometheusText).split(separator: "\n")
                .first { $0.hasPrefix("escapement_activation_oldest_pending_seconds ") }
                .flatMap { Double($0.split(separator: " ")[1]) }
        }
        clocks.advance(by: .seconds(1))
        let before = age() ?? -1
        clocks.advance(by: .seconds(600))
        #expect(age() == before + 600, "it grows while nobody sets it")
        run.cancel()
        await run.value
        #expect(self.feed.state.withLock { $0.committed } == nil)
        #expect(self.store.state.withLock { $0.documents.count } == 2)
    }

    @Test func `a request that is too large is halved`() async {
        self.feed.append((1...8).map { Samples.outcome($0) })
        self.store.state.withLock { $0.countMax = 2 }
        _ = await self.record(8)
        #expect(self.store.state.withLock { $0.requestSizes.filter { $0 > 2 } } == [8, 4, 4], "two at a time")
    }

    @Test func `a crash between storing and noting writes the same documents again`() async {
        self.feed.append((1...3).map { Samples.outcome($0) })
        _ = await self.record(3)
        self.feed.state.withLock { $0.committed = 0 }
        _ = await self.record(3)
        #expect(self.store.state.withLock { $0.documents.count } == 3)
    }

    @Test func `lane epochs met in the journal are reported`() async {
        self.feed.append([Samples.outcome(1)], epoch: 9)
        let box = Box()
        _ = await self.record(1, newer: { _, epoch in box.note(epoch) })
        #expect(box.value == Epoch(9))
    }

    private final class Box: Sendable {
        private let epoch = Mutex<Epoch?>(nil)
        var value: Epoch? { self.epoch.withLock { $0 } }
        func note(_ epoch: Epoch) { self.epoch.withLock { $0 = epoch } }
    }
}
