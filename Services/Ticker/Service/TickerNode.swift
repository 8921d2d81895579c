package import EscapementModel
import Logging
package import MemberLink
import NIOCore
package import Observability
package import Scheduling
import ServiceLifecycle
import Synchronization
import TickerDomain
package import WireProtocol

/// How a ticker runs; see docs/configuration.md.
package struct TickerSettings: Sendable {
    package var member: MemberDescription
    /// How far ahead one-shots are kept in memory.
    package var horizon: Duration
    /// One-shots in memory at which loading pauses.
    package var timersMax: Int
    /// Bytes of payloads in memory at which loading pauses.
    package var payloadBytesMax: Int
    /// How long a stop may take to hand its shards over.
    package var drainTimeout: Duration
    /// Of the jitter between attempts; different in every process.
    package var seed: UInt64

    package init(
        member: MemberDescription, horizon: Duration = .seconds(900), timersMax: Int = 10_000_000,
        payloadBytesMax: Int = 2 << 30, drainTimeout: Duration = .seconds(40), seed: UInt64
    ) {
        self.member = member
        self.horizon = horizon
        self.timersMax = timersMax
        self.payloadBytesMax = payloadBytesMax
        self.drainTimeout = drainTimeout
        self.seed = seed
    }
}

/// A ticker: joins the leader, takes shards, fires what is due into the lanes.
///
/// A stop gives the shards back first: the leader is told and moves them; without a leader they are
/// drained and left to whoever comes next.
package final class TickerNode: Sendable {
    /// The health condition that becomes true when the first shards fire, and stays so.
    package static let loadedCondition = "shards"

    private let engine: TickerEngine
    private let settings: TickerSettings
    private let clocks: any Clocks
    private let translator: ScheduleTranslator
    private let metrics: TickerMetrics
    private let logger: Logger
    private let isLeaving: LeavingFlag
    private let drive: TickerDrive
    private let receipt = Mutex(ContentsReceipt())

    /// - Parameters:
    ///   - connector: opens links to coordinators and dispatchers.
    ///   - coordinators: their addresses, as discovery knows them now.
    package init(
        settings: TickerSettings, connector: any MessageConnector,
        coordinators: @escaping @Sendable () async -> [PeerAddress], clocks: any Clocks, zones: ZoneDatabase,
        observability: Observability, drive: TickerDrive = .thread
    ) {
        let logger = observability.logger("ticker")
        let leaving = LeavingFlag()
        let metrics = TickerMetrics(observability.metrics)
        let lease = LeaseMetrics(observability.metrics, clocks: clocks)
        let leaderClock = LeaderClock()
        let summary = SummaryRelay()
        let health = observability.health
        self.settings = settings
        self.clocks = clocks
        self.metrics = metrics
        self.logger = logger
        self.isLeaving = leaving
        self.drive = drive
        self.translator = ScheduleTranslator(zones: zones)
        self.engine = TickerEngine(
            configuration: .init(
                horizon: settings.horizon, timersMax: settings.timersMax, payloadBytesMax: settings.payloadBytesMax),
            laneCount: Int(settings.member.laneCount),
            clocks: clocks, metrics: metrics, logger: logger,
            onLoaded: { health.set(Self.loadedCondition, .ok) },
            leaderClock: leaderClock,
            makeSession: {
                LeaderSession(
                    description: settings.member, connector: connector, addresses: coordinators, clocks: clocks,
                    logger: logger, seed: settings.seed,
                    onBeat: { beat in
                        lease.note(beat)
                        if case .answered(let wall) = beat { leaderClock.heard(wall, at: clocks.monotonicNow()) }
                    }
                ) {
                    let state = summary.current
                    return WireProtocol.Heartbeat(
                        clock: clocks.wallNow(), holdings: state.holdings, firesPerSecond: state.firesPerSecond,
                        resident: UInt64(state.resident), leaving: leaving.isSet)
                }
            },
            makeLinks: { inbox in
                DispatcherLinks(
                    connector: connector, description: settings.member, clocks: clocks, inbox: inbox, logger: logger,
                    seed: settings.seed)
            })
        summary.attach(self.engine)
        health.addLivenessCheck("tick loop") { [beat = self.engine.beat] in beat.status }
        health.declare(
            Self.loadedCondition, kind: .condition, initially: .notReady("no shard is loaded yet"))
    }

    package func run() async throws {
        let (ended, end) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.engine.start(self.drive) { end.finish() }
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.leaveWhenAsked() }
                await self.engine.leaderSession.run { await self.handle($0) }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.isLeaving.set()
        }
        await self.engine.dispatcherLinks.close()
        self.engine.inbox.post(.stop)
        for await _ in ended {}
    }

    /// Hands the shards over and ends `run`, as a graceful shutdown does.
    package func leave() { self.isLeaving.set() }

    /// The rules of time zones changed, and the zone database has them: schedules in these zones are planned anew.
    package func zonesChanged(_ zones: Set<String>) {
        self.translator.zonesChanged()
        self.engine.inbox.post(.zonesChanged(zones))
    }

    /// Gives the shards back, for at most the drain time-out, then ends the session.
    private func leaveWhenAsked() async {
        guard await self.isLeaving.wait() else { return }
        self.logger.info("handing shards over", event: "drain_started")
        let (emptied, empty) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.engine.inbox.post(.leave(whenEmpty: empty))
        self.engine.leaderSession.beatNow()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in emptied {} }
            group.addTask { [clocks, settings] in
                // The hard limit of a drain: cancelled when the shards are gone first.
                do { try await clocks.sleep(for: settings.drainTimeout) } catch {}
            }
            await group.next()
            group.cancelAll()
        }
        self.engine.leaderSession.leave("stopping")
    }

    // MARK: - The leader's frames

    private func handle(_ event: LeaderSession.Event) async {
        let inbox = self.engine.inbox
        switch event {
        case .connected:
            self.receipt.withLock { $0 = ContentsReceipt() }
            inbox.post(.leaderConnected)
        case .disconnected: inbox.post(.leaderLost)
        case .frame(let frame):
            do throws(WireError) {
                guard let event = try self.event(from: frame) else {
                    self.engine.leaderSession.send(Unsupported(unknownKind: UInt32(frame.kind)))
                    return
                }
                await inbox.offer(event)
                self.acknowledge(frame)
            } catch {
                self.logger.error(
                    "unreadable frame from the leader", event: "frame_unreadable",
                    [LogKey.error: .string(error.description)])
            }
        }
    }

    /// Says that a frame with contents was taken, now and then.
    private func acknowledge(_ frame: Frame) {
        guard MessageKind(rawValue: frame.kind)?.carriesContents == true else { return }
        let total = self.receipt.withLock { $0.took(frame.payload.readableBytes) }
        guard let total, self.engine.leaderSession.version >= ProtocolRange.reporting else { return }
        self.engine.leaderSession.send(ContentsAck(bytes: total))
    }

    private func event(from frame: Frame) throws(WireError) -> TickerEvent? {
        switch MessageKind(rawValue: frame.kind) {
        case .shardAssign:
            let message = try frame.decode(ShardAssign.self)
            return .assign(message.shard, message.epoch)
        case .shardPrepare:
            let message = try frame.decode(ShardPrepare.self)
            var cursor = Cursor.start
            if let through = message.settledThrough {
                cursor.delay = Watermark(through: through)
                cursor.revision = message.revision
            }
            return .prepare(message.shard, message.epoch, cursor)
        case .shardRevoke:
            let message = try frame.decode(ShardRevoke.self)
            return .revoke(message.shard, message.epoch)
        case .laneView: return .laneView(try frame.decode())
        case .snapshotPage:
            let page = try frame.decode(SnapshotPage.self)
            return .page(
                page.shard, page.epoch, self.changes(in: page.contents, shard: page.shard), revision: page.revision,
                last: page.last)
        case .delta:
            let delta = try frame.decode(Delta.self)
            return .delta(
                delta.shard, self.changes(in: delta.contents, shard: delta.shard), from: delta.from,
                through: delta.through)
        case .horizonPage:
            let page = try frame.decode(HorizonPage.self)
            return .horizon(
                page.shard, page.epoch, page.timers.map(ScheduleTranslator.entry), through: page.through,
                last: page.last)
        case .settledQuery:
            return .settledQuery(try frame.decode(), correlation: frame.correlation)
        default: return nil
        }
    }

    private func changes(in contents: ShardContents, shard: ShardID) -> [ShardChange<[UInt8]>] {
        self.translator.changes(from: contents) { unreadable in
            self.metrics.unreadableSchedules.increment()
            self.logger.error(
                "a schedule cannot be fired by this build", event: "schedule_unreadable",
                [
                    LogKey.scheduleUID: .string(unreadable.uid.uuid), LogKey.shard: .number(shard.rawValue),
                    LogKey.reason: .string(unreadable.detail),
                ])
        }
    }
}

/// Whether the process has been asked to stop.
final class LeavingFlag: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let flag = Atomic(false)

    init() { (self.stream, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    var isSet: Bool { self.flag.load(ordering: .acquiring) }

    func set() {
        self.flag.store(true, ordering: .releasing)
        self.continuation.finish()
    }

    /// Returns when `set` was called, or the task is cancelled; whether it was set. One caller.
    func wait() async -> Bool {
        for await _ in self.stream {}
        return self.isSet
    }
}

/// Lets the heartbeat read the engine's summary although the session is made before the engine is.
final class SummaryRelay: Sendable {
    private let engine = Mutex<TickerEngine?>(nil)

    var current: TickerEngine.Summary {
        self.engine.withLock { $0 }.map { $0.summary.withLock { $0 } } ?? TickerEngine.Summary()
    }

    func attach(_ engine: TickerEngine) { self.engine.withLock { $0 = engine } }
}
