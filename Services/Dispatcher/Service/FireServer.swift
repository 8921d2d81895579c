package import DispatcherDomain
package import EscapementModel
package import Logging
import NIOCore
import Observability
import Synchronization
package import WireProtocol

/// Serves tickers: greets them, lets only the leader's owners open shards, hands batches to lanes, carries
/// the answers back.
package final class FireServer: Sendable {
    /// How long an `Open` may wait for the leader's view to arrive, and for the lane to be assigned here.
    package static let viewWaitMax = Duration.seconds(2)
    /// How long a connection may stay without `Hello`.
    package static let helloMax = Duration.seconds(5)
    /// Opens of one connection that may wait at a time.
    package static let waitingOpensMax = 4096
    /// Connections at a time.
    package static let sessionsMax = 4096

    /// Cluster settings that a ticker must share.
    package struct Identity: Sendable {
        package var cluster: String
        package var shardCount: UInt32
        package var laneCount: UInt32
        package var incarnation: Incarnation
        package var build: String
        package var versions: ProtocolRange

        package init(
            cluster: String, shardCount: UInt32, laneCount: UInt32, incarnation: Incarnation, build: String,
            versions: ProtocolRange = .current
        ) {
            self.versions = versions
            self.cluster = cluster
            self.shardCount = shardCount
            self.laneCount = laneCount
            self.incarnation = incarnation
            self.build = build
        }
    }

    private struct State {
        var nextSession: UInt64 = 0
        var sessions: [SessionID: any MessageLink] = [:]
        var lanes: [LaneID: LaneShell] = [:]
    }

    private let identity: Identity
    private let board: ViewBoard
    private let clocks: any Clocks
    private let limits: LaneLimits
    private let metrics: DispatcherMetrics
    private let logger: Logger
    private let state = Mutex(State())

    package init(
        identity: Identity, board: ViewBoard, clocks: any Clocks, limits: LaneLimits = LaneLimits(),
        metrics: DispatcherMetrics, logger: Logger
    ) {
        self.identity = identity
        self.board = board
        self.clocks = clocks
        self.limits = limits
        self.metrics = metrics
        self.logger = logger
    }

    /// The lane is published here from now on.
    package func add(_ lane: LaneShell) {
        self.state.withLock { $0.lanes[lane.id] = lane }
        self.board.changed()
    }

    /// The lane is no longer published here.
    package func remove(_ lane: LaneShell) {
        self.state.withLock { state in
            if state.lanes[lane.id] === lane { state.lanes[lane.id] = nil }
        }
    }

    /// Carries a lane's answer to the ticker it is for.
    package func reply(_ reply: LaneReply) {
        guard let link = self.state.withLock({ $0.sessions[reply.session] }) else { return }
        switch reply {
        case .opened(_, let shard, let epoch, let cursor):
            link.send(
                Opened(
                    shard: shard, epoch: epoch, cursor: cursor, creditBatches: UInt32(self.limits.batchesMax),
                    creditBytes: UInt32(self.limits.bytesMax)))
        case .acknowledged(_, let shard, let epoch, let cursor):
            link.send(FireAck(shard: shard, epoch: epoch, cursor: cursor))
        case .refused(_, let shard, let epoch, let refusal, let seen):
            self.metrics.refused("\(refusal)")
            link.send(FireRefused(shard: shard, epoch: epoch, code: Self.code(refusal), seenEpoch: seen))
        }
    }

    /// Serves every link of `listener` until it is closed or the task is cancelled.
    package func run(_ listener: any MessageListener) async {
        await withDiscardingTaskGroup { group in
            for await link in listener.links {
                let isFull = self.state.withLock { $0.sessions.count >= Self.sessionsMax }
                if isFull {
                    link.close()
                } else {
                    group.addTask { await self.serve(link) }
                }
            }
            group.cancelAll()
        }
    }

    private func serve(_ link: any MessageLink) async {
        let session = self.state.withLock { state in
            state.nextSession += 1
            let session = SessionID(state.nextSession)
            state.sessions[session] = link
            return session
        }
        defer {
            link.close()
            let lanes = self.state.withLock { state in
                state.sessions[session] = nil
                return Array(state.lanes.values)
            }
            for lane in lanes { lane.disconnected(session) }
        }
        await withDiscardingTaskGroup { group in
            let isGreeted = Atomic<Bool>(false)
            group.addTask {
                do { try await self.clocks.sleep(for: Self.helloMax) } catch { return }
                if !isGreeted.load(ordering: .acquiring) { link.close() }
            }
            var peer: (incarnation: Incarnation, node: NodeID)?
            let waiting = Counter()
            let finished = Counter()
            for await frame in link.frames {
                do throws(WireError) {
                    guard let (incarnation, node) = peer else {
                        peer = self.greet(link, try frame.decode(Hello.self))
                        guard peer != nil else { break }
                        isGreeted.store(true, ordering: .releasing)
                        continue
                    }
                    switch MessageKind(rawValue: frame.kind) {
                    case .open:
                        let open = try frame.decode(Open.self)
                        if self.canOpen(open, incarnation) {
                            self.open(open, session, incarnation)
                        } else if waiting.value - finished.value < Self.waitingOpensMax {
                            waiting.increment()
                            group.addTask {
                                await self.waitAndOpen(open, session, incarnation)
                                finished.increment()
                            }
                        } else {
                            self.refuse(open.shard, open.epoch, .notShardOwner, link)
                        }
                    case .fireBatch:
                        self.offer(
                            try frame.decode(FireBatch.self), byteCount: frame.payload.readableBytes, from: node,
                            session, link)
                    case .probe: link.send(ProbeAck(), flags: .answer, correlation: frame.correlation)
                    case .goodbye:
                        link.close()
                    default:
                        link.send(
                            Unsupported(unknownKind: UInt32(frame.kind)), flags: .answer,
                            correlation: frame.correlation)
                    }
                } catch {
                    self.logger.warning(
                        "a ticker sent an unreadable frame", event: "fire_frame_unreadable",
                        [LogKey.peer: .string(link.peer.node.name), LogKey.error: .string("\(error)")])
                    break
                }
            }
            group.cancelAll()
        }
    }

    /// Answers the greeting; the ticker's incarnation and name when it may go on.
    private func greet(_ link: any MessageLink, _ hello: Hello) -> (incarnation: Incarnation, node: NodeID)? {
        func refuse(_ code: HelloRefused.Code, _ detail: String) -> (Incarnation, NodeID)? {
            self.logger.warning(
                "link refused", event: "link_refused",
                [LogKey.peer: .string(link.peer.node.name), LogKey.reason: .string(detail)])
            link.send(HelloRefused(code: code, detail: detail))
            link.close()
            return nil
        }
        guard link.peer.role == .ticker else {
            return refuse(.roleNotAllowed, "a \(link.peer.role) has no business at the fire port")
        }
        guard let version = self.identity.versions.common(with: hello.versions) else {
            return refuse(
                .versionMismatch,
                "protocol \(hello.versions.lowest)-\(hello.versions.highest) is not spoken here")
        }
        guard hello.cluster == self.identity.cluster, hello.shardCount == self.identity.shardCount,
            hello.laneCount == self.identity.laneCount
        else {
            return refuse(
                .settingsMismatch,
                "cluster \(hello.cluster) with \(hello.shardCount) shards and \(hello.laneCount) lanes, here it is "
                    + "\(self.identity.cluster) with \(self.identity.shardCount) and \(self.identity.laneCount)")
        }
        link.send(
            HelloAck(
                version: version, incarnation: self.identity.incarnation, leaderEpoch: .none,
                build: self.identity.build, clock: self.clocks.wallNow()))
        return (hello.incarnation, link.peer.member(claiming: hello.instance))
    }

    private func lane(of shard: ShardID) -> LaneShell? {
        self.state.withLock { $0.lanes[shard.lane(of: Int(self.identity.laneCount))] }
    }

    private func canOpen(_ open: Open, _ incarnation: Incarnation) -> Bool {
        self.lane(of: open.shard) != nil && self.board.allows(open.shard, open.epoch, incarnation)
    }

    private func waitAndOpen(_ open: Open, _ session: SessionID, _ incarnation: Incarnation) async {
        // A stale epoch never becomes current again: no need to wait for it.
        if self.board.epoch(of: open.shard) <= open.epoch {
            _ = await self.board.wait(upTo: Self.viewWaitMax) { self.canOpen(open, incarnation) }
        }
        self.open(open, session, incarnation)
    }

    private func open(_ open: Open, _ session: SessionID, _ incarnation: Incarnation) {
        guard let link = self.state.withLock({ $0.sessions[session] }) else { return }
        guard let lane = self.lane(of: open.shard) else {
            return self.refuse(open.shard, open.epoch, .notLaneOwner, link)
        }
        guard self.board.allows(open.shard, open.epoch, incarnation) else {
            let seen = self.board.epoch(of: open.shard)
            return self.refuse(
                open.shard, open.epoch, seen > open.epoch ? .staleEpoch : .notShardOwner, link, seen: seen)
        }
        lane.open(open.shard, epoch: open.epoch, session: session)
    }

    private func offer(
        _ batch: FireBatch, byteCount: Int, from node: NodeID, _ session: SessionID, _ link: any MessageLink
    ) {
        guard let lane = self.lane(of: batch.shard) else {
            return self.refuse(batch.shard, batch.epoch, .notLaneOwner, link)
        }
        lane.offer(
            Lane<FireWork>.Offer(
                session: session, shard: batch.shard, epoch: batch.epoch, from: batch.from, to: batch.to,
                byteCount: byteCount, work: FireWork(occurrences: batch.occurrences, ticker: node)))
    }

    private func refuse(
        _ shard: ShardID, _ epoch: Epoch, _ code: FireRefused.Code, _ link: any MessageLink, seen: Epoch = .none
    ) {
        self.metrics.refused("\(code)")
        link.send(FireRefused(shard: shard, epoch: epoch, code: code, seenEpoch: seen))
    }

    private static func code(_ refusal: LaneRefusal) -> FireRefused.Code {
        switch refusal {
        case .staleEpoch: .staleEpoch
        case .notLaneOwner: .notLaneOwner
        case .cursorMismatch, .overCredit: .cursorMismatch
        case .aheadOfClock: .aheadOfClock
        }
    }
}
