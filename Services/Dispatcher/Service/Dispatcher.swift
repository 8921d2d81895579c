import DispatcherDomain
package import EscapementModel
package import Logging
package import MemberLink
import NIOCore
package import Observability
import Synchronization
package import WireProtocol

/// The dispatcher as a whole: obeys the leader, runs the lanes it holds, serves tickers, records, answers.
package final class Dispatcher: Sendable {
    /// What a dispatcher is made of.
    package struct Parts: Sendable {
        package var lanes: LaneShell.Environment
        package var feed: any JournalFeed
        package var store: any ActivationStore
        package var listener: any MessageListener
        package var connector: any MessageConnector
        /// The coordinators as discovery knows them now.
        package var coordinators: @Sendable () async -> [PeerAddress]
        /// How records look in the store.
        package var form: ActivationForm
        package var health: Health
        package var logger: Logger
        /// Why Kafka cannot be used, and since when; `nil` while it can.
        package var kafkaTrouble: @Sendable () -> (reason: String, since: MonotonicInstant)?
        /// Keeps a document that the store refuses for ever: returns when it is kept.
        package var deadLetter: @Sendable (ActivationDocument, String) async throws -> Void

        package init(
            lanes: LaneShell.Environment, feed: any JournalFeed, store: any ActivationStore,
            listener: any MessageListener, connector: any MessageConnector,
            coordinators: @escaping @Sendable () async -> [PeerAddress], form: ActivationForm, health: Health,
            logger: Logger, kafkaTrouble: @escaping @Sendable () -> (reason: String, since: MonotonicInstant)?,
            deadLetter: @escaping @Sendable (ActivationDocument, String) async throws -> Void
        ) {
            self.lanes = lanes
            self.feed = feed
            self.store = store
            self.listener = listener
            self.connector = connector
            self.coordinators = coordinators
            self.form = form
            self.health = health
            self.logger = logger
            self.kafkaTrouble = kafkaTrouble
            self.deadLetter = deadLetter
        }
    }

    /// A dispatcher whose Kafka is away for so long says so to the leader, which may give its lanes to one that
    /// reaches Kafka. The same of a single lane that nothing was published to for so long though it was tried.
    package static let complainAfter = Duration.seconds(10)
    /// Pauses before a lane that was lost, though nobody else is known to own it, is taken over again.
    package static let retakePauseMin = Duration.milliseconds(200)
    package static let retakePauseMax = Duration.seconds(5)
    /// A lane that worked for so long is retaken as if it had never been lost before.
    package static let retakeCalmAfter = Duration.seconds(60)
    /// Queries answered at a time; one more is refused.
    package static let queriesMax = 32
    /// How often the leader hears where the journals of the lanes stand.
    package static let progressEvery = Duration.seconds(5)
    /// Name of the leader's link among the health checks.
    package static let leaderCheck = "leader"
    package static let storeCheck = "elasticsearch"

    struct State {
        var holdings = LaneHoldings()
        var running: [LaneID: LaneShell] = [:]
        /// Lane epochs met in the journal above ours: the leader's store may have gone back in time.
        var seenEpochs: [LaneID: Epoch] = [:]
        /// Where each lane's journal stood, as the leader or this process itself has seen it.
        var marks: [LaneID: LaneMark] = [:]
        var troubles: [LaneID: LaneTroubles] = [:]
        /// Those that the last heartbeat named.
        var troubled: Set<LaneID> = []
        var isDraining = false
        var queryCount = 0
        var firesInSecond: (second: Int64, count: UInt32, last: UInt32) = (0, 0, 0)

        /// The journal names the epoch.
        mutating func saw(_ epoch: Epoch, of lane: LaneID) {
            self.seenEpochs[lane] = max(self.seenEpochs[lane] ?? .none, epoch)
        }
    }

    enum Job: Sendable {
        case run(LaneShell)
        case answer(Frame)
    }

    let parts: Parts
    private let description: MemberDescription
    let limits: LaneLimits
    let board: ViewBoard
    let server: FireServer
    let recorder: Recorder
    let recent = RecentOutcomes()
    private let queries: ActivationQueries
    let state: Mutex<State>
    let session: SessionBox
    /// Unbounded by type, bounded by what enters: a run for each lane assigned, and `queriesMax` queries.
    private let jobs: AsyncStream<Job>
    let enqueue: AsyncStream<Job>.Continuation
    /// Turns while the leader's loop does; for a liveness check.
    package let beat: LivenessBeat

    /// - Parameter description: what `Hello` says of this process.
    package init(description: MemberDescription, parts: Parts) {
        let clocks = parts.lanes.clocks
        self.parts = parts
        self.description = description
        self.limits = LaneLimits(shards: Int(description.shardCount))
        self.board = ViewBoard(clocks: clocks)
        self.server = FireServer(
            identity: FireServer.Identity(
                cluster: description.cluster, shardCount: description.shardCount, laneCount: description.laneCount,
                incarnation: description.incarnation, build: description.build, versions: description.versions),
            board: self.board, clocks: clocks, limits: self.limits, metrics: parts.lanes.metrics, logger: parts.logger)
        self.queries = ActivationQueries(
            store: parts.store,
            journal: JournalSearch(
                journal: parts.lanes.journal, laneCount: Int(description.laneCount), clocks: clocks),
            recent: self.recent, cluster: parts.lanes.rules.cluster,
            dispatcher: parts.lanes.rules.dispatcher)
        self.state = Mutex(State())
        (self.jobs, self.enqueue) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
        self.beat = LivenessBeat("send loop", limit: .seconds(30), now: { clocks.monotonicNow() })
        let box = SessionBox()
        self.session = box
        let lost = LostLanes()
        self.recorder = Recorder(
            feed: parts.feed, store: parts.store, rules: parts.lanes.rules, form: parts.form,
            clocks: clocks, metrics: parts.lanes.metrics, logger: parts.logger, seed: parts.lanes.seed &+ 1,
            health: { parts.health.set(Self.storeCheck, $0) },
            newerOwner: { lane, epoch in lost.seen(lane, epoch) }, deadLetter: parts.deadLetter)
        lost.dispatcher = self
        box.session = LeaderSession(
            description: description, connector: parts.connector, addresses: parts.coordinators, clocks: clocks,
            logger: parts.logger, seed: parts.lanes.seed &+ 2,
            onBeat: { [clockOffset = parts.lanes.metrics.clockOffset] beat in
                guard case .answered(let leaderClock) = beat else { return }
                clockOffset.set(clocks.wallNow().duration(since: leaderClock))
            },
            heartbeat: { [weak self] in
                self?.report() ?? WireProtocol.Heartbeat(clock: clocks.wallNow(), holdings: [])
            })
        parts.health.declare(
            Self.storeCheck, gates: [], initially: .notReady("not asked yet"))
        parts.health.declare(Self.leaderCheck, gates: [.startup, .readiness], initially: .notReady("not found yet"))
        parts.health.declare("draining", kind: .condition, gates: [.readiness], initially: .ok)
        parts.health.addLivenessCheck("send loop") { [beat] in beat.status }
    }

    /// Works until the task is cancelled or `drain` is called.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.session.session?.run { await self.handle($0) } }
            group.addTask { await self.server.run(self.parts.listener) }
            group.addTask { await self.recorder.run() }
            group.addTask { await self.watch() }
            group.addTask { await self.reportProgress() }
            for await job in self.jobs {
                group.addTask {
                    switch job {
                    case .run(let lane): await self.run(lane)
                    case .answer(let frame): await self.answer(frame)
                    }
                }
            }
            group.cancelAll()
        }
        await self.parts.listener.close()
    }

    /// Lets the leader move the lanes to others, one by one; finishes what is being published, releases what is left,
    /// says goodbye; `run` then returns.
    ///
    /// - Parameter limit: how long lanes may take, half of it for the leader to move them.
    package func drain(limit: Duration) async {
        self.parts.health.set("draining", .notReady("shutting down"))
        self.state.withLock { $0.isDraining = true }
        self.session.session?.beatNow()
        // Each lane is revoked when its successor is chosen. Without a leader nobody is, and waiting helps nobody.
        _ = await self.board.wait(upTo: limit / 2) {
            self.state.withLock { $0.holdings.held.isEmpty } || !self.hasLeader
        }
        self.perform(self.state.withLock { $0.holdings.stopAll() })
        _ = await self.board.wait(upTo: limit) { self.state.withLock { $0.running.isEmpty } }
        self.session.session?.leave("shutting down")
        self.enqueue.finish()
    }

    private var hasLeader: Bool {
        if case .connected = self.session.session?.status { true } else { false }
    }

    /// Lanes held, for tests and status: with their epochs, sorted.
    package var held: [(lane: LaneID, epoch: Epoch)] { self.state.withLock { $0.holdings.held } }

    // MARK: The leader

    private func handle(_ event: LeaderSession.Event) async {
        switch event {
        case .connected:
            self.parts.health.set(Self.leaderCheck, .ok)
        case .disconnected(let reason):
            // Nothing is given up: the journal decides, not the leader.
            self.board.changed()
            self.parts.logger.info(
                "leader lost, going on with what is held", event: "leader_lost", [LogKey.reason: .string(reason)])
        case .frame(let frame):
            do {
                try self.obey(frame)
            } catch {
                self.parts.logger.error(
                    "the leader sent an unreadable frame", event: "leader_frame_unreadable",
                    [LogKey.error: .string("\(error)")])
            }
        }
    }

    private func obey(_ frame: Frame) throws(WireError) {
        switch MessageKind(rawValue: frame.kind) {
        case .laneAssign:
            let message = try frame.decode(LaneAssign.self)
            let checkpoint = message.checkpoint.map { LaneMark($0) }
            self.perform(
                self.state.withLock { state in
                    state.marks[message.lane] = LaneMark.later(state.marks[message.lane], checkpoint)
                    return state.isDraining
                        ? [.reportReleased(message.lane, message.epoch)]
                        : state.holdings.assigned(
                            message.lane, epoch: message.epoch, leaderEpoch: message.leaderEpoch)
                })
        case .laneRevoke:
            let message = try frame.decode(LaneRevoke.self)
            self.perform(
                self.state.withLock {
                    $0.holdings.revoked(message.lane, epoch: message.epoch, leaderEpoch: message.leaderEpoch)
                })
        case .shardView:
            let message = try frame.decode(ShardView.self)
            var owners: [ShardID: OwnershipView.Owner] = [:]
            for entry in message.entries {
                owners[entry.shard] = OwnershipView.Owner(epoch: entry.epoch, incarnation: entry.incarnation)
            }
            self.board.apply(leaderEpoch: message.leaderEpoch, version: message.version, owners: owners)
        case .laneView, .unsupported:
            // For tickers; a leader may send it to everyone. An older leader does not know every message.
            break
        case .activationQuery:
            let isTaken = self.state.withLock { state in
                guard state.queryCount < Self.queriesMax else { return false }
                state.queryCount += 1
                return true
            }
            if isTaken {
                self.enqueue.yield(.answer(frame))
            } else {
                self.session.session?.answer(
                    frame, with: QueryFailed(code: "OVERLOADED", detail: "too many queries at a time"))
            }
        default:
            self.session.session?.answer(frame, with: Unsupported(unknownKind: UInt32(frame.kind)))
        }
    }

    private func answer(_ frame: Frame) async {
        defer { self.state.withLock { $0.queryCount -= 1 } }
        let query: ActivationQuery
        do {
            query = try frame.decode(ActivationQuery.self)
        } catch {
            self.session.session?.answer(
                frame, with: QueryFailed(code: "INVALID_QUERY", detail: "\(error)".prefix(bytes: Self.detailBytesMax)))
            return
        }
        switch await self.queries.answer(query) {
        case .success(let answer): self.session.session?.answer(frame, with: answer)
        case .failure(let failure):
            self.session.session?.answer(
                frame, with: QueryFailed(code: failure.code, detail: failure.detail.prefix(bytes: Self.detailBytesMax)))
        }
    }

    /// Bytes of a text for people in a message: the leader refuses longer ones than 4096, and with them the link.
    private static let detailBytesMax = 1024

    /// What a heartbeat says.
    private func report() -> WireProtocol.Heartbeat {
        self.beat.beat()
        let clocks = self.parts.lanes.clocks
        let now = clocks.monotonicNow()
        let (held, troubled, news, isDraining, fires) = self.state.withLock { state in
            let troubled = Set(state.troubles.filter { $0.value.last(for: Self.complainAfter, now: now) }.keys)
            let news = troubled.subtracting(state.troubled)
            state.troubled = troubled
            return (state.holdings.held, troubled, news, state.isDraining, state.firesInSecond.last)
        }
        for lane in news.sorted() {
            self.parts.logger.warning(
                "the lane cannot be published from here, the leader is told", event: "lane_troubled",
                [LogKey.lane: .number(lane.rawValue)])
        }
        var complaint = ""
        if let trouble = self.parts.kafkaTrouble(),
            now.duration(since: trouble.since) >= Self.complainAfter
        {
            complaint = "Kafka unavailable: \(trouble.reason)"
        }
        return WireProtocol.Heartbeat(
            clock: clocks.wallNow(),
            holdings: held.map {
                WireProtocol.Heartbeat.Holding(
                    number: $0.lane.rawValue, epoch: $0.epoch, isTroubled: troubled.contains($0.lane))
            },
            firesPerSecond: fires, leaving: isDraining, complaint: complaint.prefix(bytes: Self.detailBytesMax))
    }

    /// Shows the leader's absence as soon as it lasts, and turns the liveness beat without a leader too.
    private func watch() async {
        while true {
            do { try await self.parts.lanes.clocks.sleep(for: .milliseconds(500)) } catch { return }
            self.beat.beat()
            if case .searching(let reason) = self.session.session?.status {
                self.parts.health.set(Self.leaderCheck, .notReady("no leader: \(reason)"))
            }
        }
    }

    /// Tells the leader where the journals stand.
    private func reportProgress() async {
        while true {
            do { try await self.parts.lanes.clocks.sleep(for: Self.progressEvery) } catch { return }
            let running = self.state.withLock { $0.running.sorted { $0.key < $1.key }.map(\.value) }
            for lane in running { self.reportProgress(of: lane) }
        }
    }
}

/// Breaks the circle of construction: the session reports what the dispatcher holds.
final class SessionBox: Sendable {
    private let value = Mutex<LeaderSession?>(nil)

    var session: LeaderSession? {
        get { self.value.withLock { $0 } }
        set { self.value.withLock { $0 = newValue } }
    }
}

/// The same for the recorder.
private final class LostLanes: Sendable {
    private let value = Mutex<WeakDispatcher>(WeakDispatcher())

    private struct WeakDispatcher {
        weak var dispatcher: Dispatcher?
    }

    var dispatcher: Dispatcher? {
        get { self.value.withLock { $0.dispatcher } }
        set { self.value.withLock { $0.dispatcher = newValue } }
    }

    func seen(_ lane: LaneID, _ epoch: Epoch) { self.dispatcher?.sawLaneEpoch(lane, epoch) }
}
