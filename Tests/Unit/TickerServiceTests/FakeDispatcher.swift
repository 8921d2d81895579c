import EscapementModel
import Synchronization
import TestSupport
import WireProtocol

/// A dispatcher with one lane as a ticker sees it: keeps a cursor, refuses what does not follow it, and
/// acknowledges at once or when told.
final class FakeDispatcher: Sendable {
    private struct State {
        var links: [any MessageLink] = []
        var opens: [Open] = []
        var batches: [FireBatch] = []
        var refused: [FireBatch] = []
        var cursor = Cursor.start
        var epoch = Epoch.none
        var acknowledges = true
        var isSilent = false
        var probes = 0
        var creditBatches: UInt32 = 4
        var unacknowledged: [FireBatch] = []
        var task: Task<Void, Never>?
    }

    let incarnation: Incarnation
    private let node: NodeID
    private let listener: InMemoryListener
    private let clocks: ManualClocks
    private let state = Mutex(State())

    init(network: InMemoryNetwork, clocks: ManualClocks, incarnation: UInt64) {
        self.incarnation = Incarnation(UID(high: 3, low: incarnation))
        self.node = NodeID("dispatcher-\(incarnation)")
        self.listener = network.listen(
            at: PeerAddress(host: self.node.name, port: 0),
            as: PeerIdentity(cluster: Stage.cluster, role: .dispatcher, node: self.node))
        self.clocks = clocks
    }

    var opens: [Open] { self.state.withLock { $0.opens } }
    /// Batches that followed the cursor, in order.
    var batches: [FireBatch] { self.state.withLock { $0.batches } }
    var refused: [FireBatch] { self.state.withLock { $0.refused } }
    var occurrences: [FireOccurrence] { self.batches.flatMap(\.occurrences) }
    var fired: [UID] { self.occurrences.map(\.uid) }
    var cursor: Cursor { self.state.withLock { $0.cursor } }

    /// The view in which this dispatcher owns every lane.
    func view(version: UInt64) -> LaneView {
        LaneView(
            leaderEpoch: Epoch(1), version: version,
            entries: (0..<Stage.laneCount).map { lane in
                LaneView.Entry(
                    lane: LaneID(UInt16(lane)), epoch: Epoch(version), node: self.node, incarnation: self.incarnation,
                    address: "\(self.listener.address)")
            })
    }

    func set(cursor: Cursor) { self.state.withLock { $0.cursor = cursor } }
    var probes: Int { self.state.withLock { $0.probes } }
    /// Takes everything and answers nothing, as behind a path that is cut.
    func fallSilent(_ isSilent: Bool = true) { self.state.withLock { $0.isSilent = isSilent } }
    /// Whether tickers find that much waits to leave for here.
    func letRoomEnd(_ isFull: Bool) {
        for case let link as InMemoryLink in self.state.withLock({ $0.links }) { link.letRoomEnd(isFull) }
    }
    func grant(batches: UInt32) { self.state.withLock { $0.creditBatches = batches } }

    func acknowledge(_ acknowledges: Bool) {
        let (pending, links) = self.state.withLock { state in
            state.acknowledges = acknowledges
            let pending = acknowledges ? state.unacknowledged : []
            if acknowledges { state.unacknowledged = [] }
            return (pending, state.links)
        }
        for batch in pending {
            for link in links { link.send(FireAck(shard: batch.shard, epoch: batch.epoch, cursor: batch.to)) }
        }
    }

    func send(_ message: some WireMessage) {
        for link in self.state.withLock({ $0.links }) { link.send(message) }
    }

    /// Forgets what was accepted after `cursor` and loses every link, as a process that dies before its
    /// transaction commits.
    func crash(backTo cursor: Cursor) {
        let links = self.state.withLock { state in
            state.cursor = cursor
            state.batches.removeAll { $0.to.cron > cursor.cron || $0.to.delay > cursor.delay }
            state.unacknowledged = []
            return state.links
        }
        for link in links { link.close() }
    }

    func start() {
        // Ends when the listener is closed.
        let task = Task {
            await withTaskGroup(of: Void.self) { group in
                for await link in self.listener.links { group.addTask { await self.serve(link) } }
            }
        }
        self.state.withLock { $0.task = task }
    }

    func stop() async {
        await self.listener.close()
        for link in self.state.withLock({ $0.links }) { link.close() }
        await self.state.withLock { $0.task }?.value
    }

    private func serve(_ link: any MessageLink) async {
        self.state.withLock { $0.links.append(link) }
        for await frame in link.frames where !self.state.withLock({ $0.isSilent }) {
            do {
                switch MessageKind(rawValue: frame.kind) {
                case .hello:
                    link.send(
                        HelloAck(
                            version: 1, incarnation: self.incarnation, leaderEpoch: .none, build: "test",
                            clock: self.clocks.wallNow()))
                case .open: self.open(try frame.decode(Open.self), on: link)
                case .probe:
                    self.state.withLock { $0.probes += 1 }
                    link.send(ProbeAck())
                case .fireBatch: self.take(try frame.decode(FireBatch.self), on: link)
                default: continue
                }
            } catch {
                preconditionFailure("unreadable: \(error)")
            }
        }
        self.state.withLock { state in state.links.removeAll { $0 === link } }
    }

    private func open(_ open: Open, on link: any MessageLink) {
        let (cursor, credit) = self.state.withLock { state in
            state.opens.append(open)
            state.epoch = max(state.epoch, open.epoch)
            return (state.cursor, state.creditBatches)
        }
        link.send(
            Opened(
                shard: open.shard, epoch: open.epoch, cursor: cursor, creditBatches: credit, creditBytes: 1 << 20))
    }

    private func take(_ batch: FireBatch, on link: any MessageLink) {
        let answer: (accepted: Bool, acknowledged: Bool) = self.state.withLock { state in
            guard batch.from == state.cursor, batch.epoch == state.epoch else {
                state.refused.append(batch)
                return (false, false)
            }
            state.batches.append(batch)
            state.cursor = batch.to
            if !state.acknowledges { state.unacknowledged.append(batch) }
            return (true, state.acknowledges)
        }
        if !answer.accepted {
            link.send(FireRefused(shard: batch.shard, epoch: batch.epoch, code: .cursorMismatch))
        } else if answer.acknowledged {
            link.send(FireAck(shard: batch.shard, epoch: batch.epoch, cursor: batch.to))
        }
    }
}
