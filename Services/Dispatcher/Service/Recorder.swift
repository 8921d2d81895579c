import DispatcherDomain
package import EscapementModel
package import Logging
package import Observability
import Synchronization

/// Turns the journal of the owned lanes into activation documents.
///
/// A derived view: it reads committed journal records, writes documents by id, then notes how far it read. A
/// crash in between writes the same documents again, which the store answers with "already there". A store that
/// is down delays documents and nothing else: the records wait in the journal.
package final class Recorder: Sendable {
    /// Journal records taken at once.
    package static let recordsMax = 64
    /// How long a poll waits for a first record.
    package static let pollMax = Duration.milliseconds(250)
    package static let pauseMin = Duration.milliseconds(200)
    package static let pauseMax = Duration.seconds(10)

    private let feed: any JournalFeed
    private let store: any ActivationStore
    private let rules: PublishingRules
    private let form: ActivationForm
    private let clocks: any Clocks
    private let metrics: DispatcherMetrics
    private let logger: Logger
    private let seed: UInt64
    private let health: @Sendable (HealthStatus) -> Void
    private let newerOwner: @Sendable (LaneID, Epoch) -> Void
    private let deadLetter: @Sendable (ActivationDocument, String) async throws -> Void
    private let wanted = Mutex<Set<LaneID>>([])
    /// When the oldest outcome was settled that is read and not stored; `nil` when all are.
    private let oldestPending = Mutex<WallInstant?>(nil)

    /// - Parameters:
    ///   - health: told whether the store answers.
    ///   - newerOwner: told of every lane epoch met in the journal; a lane of ours with a lower one is lost.
    ///   - deadLetter: keeps a document that the store refuses for ever; returns when it is kept, for the offset is
    ///     noted behind it.
    package init(
        feed: any JournalFeed, store: any ActivationStore, rules: PublishingRules, form: ActivationForm,
        clocks: any Clocks, metrics: DispatcherMetrics, logger: Logger, seed: UInt64,
        health: @escaping @Sendable (HealthStatus) -> Void,
        newerOwner: @escaping @Sendable (LaneID, Epoch) -> Void,
        deadLetter: @escaping @Sendable (ActivationDocument, String) async throws -> Void
    ) {
        self.feed = feed
        self.store = store
        self.rules = rules
        self.form = form
        self.clocks = clocks
        self.metrics = metrics
        self.logger = logger
        self.seed = seed
        self.health = health
        self.newerOwner = newerOwner
        self.deadLetter = deadLetter
        metrics.observeOldestPending { [weak self] in
            guard let self, let oldest = self.oldestPending.withLock({ $0 }) else { return .zero }
            return max(.zero, self.clocks.wallNow().duration(since: oldest))
        }
    }

    /// Records these lanes from now on. The last call counts, with what `lanes` answers then.
    package func follow(_ lanes: () -> Set<LaneID>) { self.wanted.withLock { $0 = lanes() } }

    /// Records until the task is cancelled.
    package func run() async {
        var random = SplitMix64(seed: self.seed)
        var writer = DocumentWriter(
            DocumentWriter.Environment(
                store: self.store, clocks: self.clocks, metrics: self.metrics, logger: self.logger,
                blocked: { self.health(.notReady("the activation store takes no documents: \($0)")) },
                deadLetter: self.deadLetter), seed: random.next())
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        var assemblers: [LaneID: JournalAssembler] = [:]
        var isPrepared = false
        var loggedReason = ""
        while !Task.isCancelled {
            do {
                if !isPrepared {
                    try await self.store.prepare()
                    isPrepared = true
                    self.health(.ok)
                }
                try await self.step(&assemblers, &writer)
                backoff.succeeded()
                loggedReason = ""
            } catch {
                // Whatever was read and not stored is read again.
                assemblers = [:]
                if let error = error as? ActivationStoreError { self.health(.notReady(error.detail)) }
                // An outage of hours is one line.
                if !Task.isCancelled, loggedReason != "\(error)" {
                    loggedReason = "\(error)"
                    self.logger.warning(
                        "recording waits", event: "recorder_waits", [LogKey.reason: .string(loggedReason)])
                }
                do { try await self.clocks.sleep(for: backoff.next(using: &random)) } catch { return }
            }
        }
    }

    /// One round: follow, read, store, note.
    private func step(
        _ assemblers: inout [LaneID: JournalAssembler], _ writer: inout DocumentWriter
    ) async throws {
        let wanted = self.wanted.withLock { $0 }
        if Set(assemblers.keys) != wanted { try await self.refollow(wanted, &assemblers) }
        if wanted.isEmpty {
            self.note(oldest: nil)
            try await self.clocks.sleep(for: Self.pollMax)
            return
        }
        let records: [(lane: LaneID, record: StoredJournalRecord)]
        do throws(JournalError) {
            records = try await self.feed.next(max: Self.recordsMax, timeout: Self.pollMax)
        } catch {
            // Retention took what was to be read next: go on with what is left, loudly.
            if error.code == .outOfRange { try await self.skipToFirst(wanted) }
            throw error
        }
        if records.isEmpty {
            // Whatever waited before a failure belongs to lanes of others now.
            self.note(oldest: nil)
            return
        }
        var documents: [ActivationDocument] = []
        var oldest: WallInstant?
        for (lane, stored) in records {
            guard var assembler = assemblers[lane] else { continue }
            if let record = stored.record {
                self.newerOwner(lane, record.laneEpoch)
            } else {
                self.metrics.unreadableJournalRecords.increment()
            }
            if let entry = assembler.take(stored) {
                for outcome in entry.outcomes {
                    oldest = min(oldest ?? outcome.settledAt, outcome.settledAt)
                    do {
                        documents.append(
                            try self.form.document(
                                of: outcome, cluster: self.rules.cluster, dispatcher: entry.dispatcher))
                    } catch {
                        try await writer.refuse(error.document, error.reason)
                    }
                }
            }
            assemblers[lane] = assembler
        }
        self.metrics.documentsPending.set(documents.count)
        self.note(oldest: oldest)
        try await writer.write(documents) { self.health(.ok) }
        self.metrics.documentsPending.set(0)
        self.note(oldest: nil)
        try await self.feed.commit(assemblers.mapValues(\.resumeOffset))
    }

    private func note(oldest: WallInstant?) { self.oldestPending.withLock { $0 = oldest } }

    private func refollow(_ wanted: Set<LaneID>, _ assemblers: inout [LaneID: JournalAssembler]) async throws {
        let committed = wanted.isEmpty ? [:] : try await self.feed.committed(wanted.sorted())
        var starts: [LaneID: Int64] = [:]
        for lane in wanted.sorted() {
            let first = try await self.feed.firstOffset(of: lane)
            // Below the first offset there is nothing any more.
            starts[lane] = max(committed[lane] ?? first, first)
        }
        try await self.feed.follow(starts)
        assemblers = starts.mapValues { JournalAssembler(startingAt: $0) }
    }

    private func skipToFirst(_ lanes: Set<LaneID>) async throws {
        let committed = try await self.feed.committed(lanes.sorted())
        for lane in lanes.sorted() {
            let first = try await self.feed.firstOffset(of: lane)
            guard let at = committed[lane], at < first else { continue }
            self.logger.error(
                "journal records were lost before they were recorded", event: "recorder_gap",
                [LogKey.lane: .number(lane.rawValue), LogKey.count: .number(first - at)])
            self.metrics.dropped.increment(by: Int(first - at))
            try await self.feed.commit([lane: first])
        }
    }
}
