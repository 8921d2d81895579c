import EscapementModel
import Synchronization
import TestSupport
import WireProtocol

/// The leader as a ticker sees it: accepts, answers heartbeats, sends what a shard holds.
final class FakeLeader: Sendable {
    private struct State {
        var links: [any MessageLink] = []
        var frames: [Frame] = []
        var contents = ShardContents()
        var revision = Revision(1)
        var isServing = true
        var epoch = Epoch(1)
        var version: UInt32 = 1
        /// What answers a greeting instead of this build's words.
        var greeting: Frame?
        /// Its clock is ahead of that of the others.
        var clockAhead = Duration.zero
        var task: Task<Void, Never>?
    }

    private let listener: InMemoryListener
    private let clocks: ManualClocks
    private let state = Mutex(State())

    init(network: InMemoryNetwork, clocks: ManualClocks) {
        self.listener = network.listen(
            at: PeerAddress(host: "leader", port: 7000),
            as: PeerIdentity(cluster: Stage.cluster, role: .coordinator, node: NodeID("coordinator-1")))
        self.clocks = clocks
    }

    var address: PeerAddress { self.listener.address }
    var isConnected: Bool { self.state.withLock { !$0.links.isEmpty } }

    func frames(of kind: MessageKind) -> [Frame] {
        self.state.withLock { $0.frames.filter { $0.kind == kind.rawValue } }
    }

    /// All messages of one kind, in order of arrival.
    func received<Message: WireMessage>(_ type: Message.Type) -> [Message] {
        self.state.withLock { $0.frames }.filter { $0.kind == Message.kind.rawValue }.map { frame in
            do { return try frame.decode(Message.self) } catch { preconditionFailure("unreadable: \(error)") }
        }
    }

    var heartbeats: [WireProtocol.Heartbeat] { self.received(WireProtocol.Heartbeat.self) }

    /// What the shard holds from now on, at `revision`.
    func hold(_ contents: ShardContents, revision: UInt64) {
        self.state.withLock { state in
            state.contents = contents
            state.revision = Revision(revision)
        }
    }

    /// Whether requests for contents are answered.
    func serve(_ isServing: Bool) { self.state.withLock { $0.isServing = isServing } }

    /// Agrees on this protocol version in greetings to come.
    func speak(version: UInt32) { self.state.withLock { $0.version = version } }

    /// Loses every link; a new one may be made.
    func breakLinks() { for link in self.state.withLock({ $0.links }) { link.close() } }

    /// Answers greetings with this frame.
    func greet(with frame: Frame) { self.state.withLock { $0.greeting = frame } }

    /// Steps its clock against that of the others.
    func stepClock(by duration: Duration) { self.state.withLock { $0.clockAhead += duration } }

    func send(raw frame: Frame) {
        for link in self.state.withLock({ $0.links }) { link.send(frame) }
    }

    func send(_ message: some WireMessage) {
        for link in self.state.withLock({ $0.links }) { link.send(message) }
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
        for await frame in link.frames {
            self.state.withLock { $0.frames.append(frame) }
            do {
                switch MessageKind(rawValue: frame.kind) {
                case .hello:
                    let (epoch, version, greeting) = self.state.withLock { ($0.epoch, $0.version, $0.greeting) }
                    if let greeting {
                        link.send(greeting)
                        self.state.withLock { $0.links.append(link) }
                        continue
                    }
                    link.send(
                        HelloAck(
                            version: version, incarnation: Incarnation(UID(high: 2, low: 2)), leaderEpoch: epoch,
                            build: "test", clock: self.clocks.wallNow()))
                    self.state.withLock { $0.links.append(link) }
                case .heartbeat:
                    let (epoch, ahead) = self.state.withLock { ($0.epoch, $0.clockAhead) }
                    link.send(
                        HeartbeatAck(leaderEpoch: epoch, clock: self.clocks.wallNow().advanced(by: ahead)))
                case .snapshotRequest: self.answer(try frame.decode(SnapshotRequest.self), on: link)
                case .horizonRequest:
                    let request = try frame.decode(HorizonRequest.self)
                    self.answer(request, on: link)
                default: continue
                }
            } catch {
                preconditionFailure("unreadable: \(error)")
            }
        }
        self.state.withLock { state in state.links.removeAll { $0 === link } }
    }

    private func answer(_ request: SnapshotRequest, on link: any MessageLink) {
        let (contents, revision, isServing) = self.state.withLock { ($0.contents, $0.revision, $0.isServing) }
        guard isServing else { return }
        if request.since != .none {
            link.send(
                Delta(
                    shard: request.shard, from: request.since, through: revision,
                    contents: ShardContents(
                        schedules: contents.schedules.filter { $0.createdRevision > request.since },
                        timers: contents.timers.filter { $0.revision > request.since })))
            return
        }
        // In two parts, as a large shard comes.
        link.send(
            SnapshotPage(
                shard: request.shard, epoch: request.epoch, revision: revision,
                contents: ShardContents(schedules: contents.schedules), last: false))
        link.send(
            SnapshotPage(
                shard: request.shard, epoch: request.epoch, revision: revision,
                contents: ShardContents(timers: contents.timers.filter { $0.due <= request.horizon }), last: true))
    }

    private func answer(_ request: HorizonRequest, on link: any MessageLink) {
        let timers = self.state.withLock { $0.contents.timers }.filter { timer in
            Watermark(instant: timer.due, tie: timer.uid) > request.after && timer.due <= request.through
        }
        link.send(
            HorizonPage(
                shard: request.shard, epoch: request.epoch, through: request.through, timers: timers, last: true))
    }
}
