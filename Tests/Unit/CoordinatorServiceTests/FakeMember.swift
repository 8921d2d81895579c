import EscapementModel
import NIOCore
import Synchronization
import TestSupport
import WireProtocol

/// A ticker or dispatcher as the leader sees it: connects, says who it is, obeys, and shows all it was sent.
final class FakeMember: Sendable {
    private struct State {
        var link: (any MessageLink)?
        var frames: [Frame] = []
        var held: [UInt16: Epoch] = [:]
        var settledThrough: WallInstant?
        var loads: [UInt16: WireProtocol.Heartbeat.Load] = [:]
        var isLeaving = false
        var isSilent = false
        var obeysRevokes = true
        var complaint = ""
        var sentBeats = 0
        var answers: [MessageKind: @Sendable (Frame) -> Frame?] = [:]
    }

    let identity: PeerIdentity
    let incarnation: Incarnation
    private let network: InMemoryNetwork
    private let clocks: ManualClocks
    private let state = Mutex(State())
    /// Called with each assignment at the moment it arrives.
    private let onAssign: @Sendable (UInt16, Epoch) async -> Void

    init(
        _ role: Role, _ name: String, incarnation: UInt64, network: InMemoryNetwork, clocks: ManualClocks,
        onAssign: @escaping @Sendable (UInt16, Epoch) async -> Void
    ) {
        self.identity = PeerIdentity(cluster: Harness.cluster, role: role, node: NodeID(name))
        self.incarnation = Incarnation(UID(high: 7, low: incarnation))
        self.network = network
        self.clocks = clocks
        self.onAssign = onAssign
    }

    // What a test sees and steers.

    var held: [UInt16: Epoch] { self.state.withLock { $0.held } }
    var isConnected: Bool { self.state.withLock { $0.link != nil } }
    var frames: [Frame] { self.state.withLock { $0.frames } }
    /// How many frames of a kind it was sent; cheaper than reading them.
    func count(of kind: MessageKind) -> Int { self.state.withLock { $0.frames.count { $0.kind == kind.rawValue } } }
    /// Heartbeats that were sent and not answered yet.
    var beatsUnanswered: Int {
        self.state.withLock { state in
            state.link == nil
                ? 0 : state.sentBeats - state.frames.count { $0.kind == MessageKind.heartbeatAck.rawValue }
        }
    }

    func received<Message: WireMessage>(_ type: Message.Type) -> [Message] {
        self.frames.compactMap { try? $0.decode(Message.self) }
    }

    func leave() { self.state.withLock { $0.isLeaving = true } }
    func fallSilent(_ isSilent: Bool = true) { self.state.withLock { $0.isSilent = isSilent } }
    func ignoreRevokes() { self.state.withLock { $0.obeysRevokes = false } }
    func complain(_ complaint: String) { self.state.withLock { $0.complaint = complaint } }
    func measure(_ number: UInt16, _ load: WireProtocol.Heartbeat.Load) {
        self.state.withLock { $0.loads[number] = load }
    }
    func settle(through instant: WallInstant) { self.state.withLock { $0.settledThrough = instant } }

    /// Answers questions of one kind.
    func answer(_ kind: MessageKind, _ answer: @escaping @Sendable (Frame) -> Frame?) {
        self.state.withLock { $0.answers[kind] = answer }
    }

    func send(_ message: some WireMessage) { self.state.withLock { $0.link }?.send(message) }

    func sendRaw(kind: UInt16) {
        self.state.withLock { $0.link }?.send(Frame(kind: kind, correlation: 1, payload: ByteBuffer()))
    }

    /// Loses the link without a goodbye, as a killed process does.
    func die() { self.state.withLock { $0.link }?.close() }

    // What it does.

    /// Connects and greets; `hello` may be changed on its way.
    @discardableResult
    func connect(to address: PeerAddress, _ change: (inout Hello) -> Void = { _ in }) async throws -> Task<Void, Never>
    {
        let link = try await self.network.connector(as: self.identity).connect(to: address, expecting: .coordinator)
        self.state.withLock { state in
            state.link = link
            state.frames = []
            state.sentBeats = 0
        }
        var hello = Hello(
            cluster: Harness.cluster, incarnation: self.incarnation, listenAddress: "\(self.identity.node):7400",
            shardCount: UInt32(Harness.shardCount), laneCount: UInt32(Harness.laneCount), build: "test",
            clock: self.clocks.wallNow())
        change(&hello)
        link.send(hello)
        // Ends with the link, which the harness closes.
        return Task { await self.read(link) }
    }

    /// What a heartbeat timer does; nothing while silent or not connected.
    func beat() {
        let (link, heartbeat) = self.state.withLock { state in
            (
                state.isSilent ? nil : state.link,
                Heartbeat(
                    clock: self.clocks.wallNow(),
                    holdings: state.held.sorted { $0.key < $1.key }.map {
                        Heartbeat.Holding(
                            number: $0.key, epoch: $0.value, settledThrough: state.settledThrough,
                            load: state.loads[$0.key])
                    }, leaving: state.isLeaving, complaint: state.complaint)
            )
        }
        guard let link, self.count(of: .helloAck) > 0 else { return }
        self.state.withLock { $0.sentBeats += 1 }
        link.send(heartbeat)
    }

    private func read(_ link: any MessageLink) async {
        for await frame in link.frames {
            self.state.withLock { $0.frames.append(frame) }
            do { try await self.obey(frame, link) } catch { preconditionFailure("unreadable: \(error)") }
        }
        self.state.withLock { state in
            if state.link === link { state.link = nil }
        }
    }

    private func obey(_ frame: Frame, _ link: any MessageLink) async throws {
        guard let kind = MessageKind(rawValue: frame.kind) else { return }
        if let answer = self.state.withLock({ $0.answers[kind] }), var reply = answer(frame) {
            reply.flags = .answer
            reply.correlation = frame.correlation
            link.send(reply)
        }
        switch kind {
        case .shardAssign:
            let message = try frame.decode(ShardAssign.self)
            await self.take(message.shard.rawValue, message.epoch)
        case .laneAssign:
            let message = try frame.decode(LaneAssign.self)
            await self.take(message.lane.rawValue, message.epoch)
        case .shardPrepare:
            let message = try frame.decode(ShardPrepare.self)
            link.send(ShardPrepared(leaderEpoch: message.leaderEpoch, shard: message.shard, epoch: message.epoch))
        case .shardRevoke:
            let message = try frame.decode(ShardRevoke.self)
            guard self.give(message.shard.rawValue) else { return }
            link.send(ShardReleased(leaderEpoch: message.leaderEpoch, shard: message.shard, epoch: message.epoch))
        case .laneRevoke:
            let message = try frame.decode(LaneRevoke.self)
            guard self.give(message.lane.rawValue) else { return }
            link.send(LaneReleased(leaderEpoch: message.leaderEpoch, lane: message.lane, epoch: message.epoch))
        default: break
        }
    }

    private func take(_ number: UInt16, _ epoch: Epoch) async {
        await self.onAssign(number, epoch)
        self.state.withLock { state in
            if epoch >= state.held[number] ?? .none { state.held[number] = epoch }
        }
    }

    private func give(_ number: UInt16) -> Bool {
        self.state.withLock { state in
            guard state.obeysRevokes else { return false }
            state.held[number] = nil
            return true
        }
    }
}
