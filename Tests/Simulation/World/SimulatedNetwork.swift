import EscapementModel
import WireProtocol

/// A network whose frames take time, and whose paths can be cut one way or both.
final class SimulatedNetwork: @unchecked Sendable {
    /// What an ordinary frame takes.
    static let latency = 50.0...1500.0  // microseconds
    /// A connection attempt into a cut path gives up after this long.
    static let connectTimeout = Duration.seconds(2)
    /// Frames on their way over one link, at most: real links have bounded buffers, and so must their users.
    static let inFlightMax = 20_000
    /// Frames on their way over one link from which on senders with much to send wait.
    static let inFlightRoom = 3

    let simulator: Simulator
    let events: EventCounter
    private var random: SplitMix64
    private var listeners: [PeerAddress: SimulatedListener] = [:]
    private var links: [SimulatedLink] = []
    /// Ordered pairs of hosts between which nothing passes.
    private var cuts: Set<Path> = []
    /// What every frame takes more.
    private var slowness: [Path: Duration] = [:]
    /// Of a hundred commands and fires, so many arrive once more, later: sent again by a peer that had its doubts.
    var twicePercent = 0

    private struct Path: Hashable {
        var from: String
        var to: String
    }

    init(simulator: Simulator, events: EventCounter, seed: UInt64) {
        self.simulator = simulator
        self.events = events
        self.random = SplitMix64(seed: seed)
    }

    func listen(at address: PeerAddress, on host: Host, as identity: PeerIdentity) -> SimulatedListener {
        let listener = SimulatedListener(address: address, host: host, identity: identity)
        self.listeners[address] = listener
        return listener
    }

    func connector(on host: Host, as identity: PeerIdentity) -> SimulatedConnector {
        SimulatedConnector(network: self, host: host, identity: identity)
    }

    // MARK: Faults

    /// Lets nothing pass from one host to another.
    func cut(from: Host, to: Host) { self.cuts.insert(Path(from: from.name, to: to.name)) }

    /// Lets every frame from one host to another take longer.
    func slow(from: Host, to: Host, by delay: Duration) { self.slowness[Path(from: from.name, to: to.name)] = delay }

    /// Ends every cut; what waited for it is sent again.
    func heal() {
        self.cuts = []
        self.slowness = [:]
        self.twicePercent = 0
    }

    func heal(from: Host, to: Host) { self.cuts.remove(Path(from: from.name, to: to.name)) }

    /// The process on `host` is gone: its kernel closes its connections, if the machine still stands.
    func died(_ host: Host, silently: Bool) {
        self.listeners = self.listeners.filter { $0.value.host !== host }
        for link in self.links where link.host === host || link.remote?.host === host {
            if silently {
                link.goSilent()
            } else {
                link.breakOff("the peer's process ended", after: self.drawLatency())
            }
        }
        self.links.removeAll { $0.isClosed || !$0.host.isAlive }
    }

    /// Breaks one connection between two hosts, if there is one.
    func breakLink(between first: Host, and second: Host) {
        for link in self.links where link.host === first && link.remote?.host === second {
            // Half of the time one end knows at once, and what it has sent still arrives at the other.
            if Bool.random(using: &self.random) {
                link.breakOff("reset", after: .zero)
            } else {
                link.breakUnevenly("reset", lateBy: .milliseconds(Int.random(in: 1...3000, using: &self.random)))
            }
        }
    }

    // MARK: For links

    func drawLatency() -> Duration {
        // One in two hundred is slow, as on every network.
        let slow = Int.random(in: 0..<200, using: &self.random) == 0
        return .microseconds(Double.random(in: Self.latency, using: &self.random) * (slow ? 40 : 1))
    }

    func drawLatency(from: Host, to: Host) -> Duration {
        self.drawLatency() + (self.slowness[Path(from: from.name, to: to.name)] ?? .zero)
    }

    /// When a copy of the frame arrives; `nil` when there is none. What builds up a state page by page has one order
    /// only and no copies; commands and fires must stand both.
    func drawCopy(of frame: Frame) -> Duration? {
        guard self.twicePercent > 0, frame.kind >> 8 == 0x02 || frame.kind >> 8 == 0x04,
            Int.random(in: 0..<100, using: &self.random) < self.twicePercent
        else { return nil }
        return .milliseconds(Int.random(in: 1...2000, using: &self.random))
    }

    func isCut(from: Host, to: Host) -> Bool { self.cuts.contains(Path(from: from.name, to: to.name)) }

    func connect(
        _ host: Host, _ identity: PeerIdentity, to address: PeerAddress, expecting role: Role
    ) async throws -> any MessageLink {
        await host.pause(self.drawLatency())
        guard let listener = self.listeners[address], listener.host.isAlive else {
            throw LinkError(.unreachable, "nobody listens at \(address)")
        }
        if self.isCut(from: host, to: listener.host) || self.isCut(from: listener.host, to: host)
            || listener.host.isPaused
        {
            await host.pause(Self.connectTimeout)
            throw LinkError(.unreachable, "no answer from \(address)")
        }
        guard listener.identity.role == role, listener.identity.cluster == identity.cluster else {
            throw LinkError(.wrongPeer, "\(address) is \(listener.identity)")
        }
        let near = SimulatedLink(network: self, host: host, peer: listener.identity)
        let far = SimulatedLink(network: self, host: listener.host, peer: identity)
        near.remote = far
        far.remote = near
        self.links.removeAll { $0.isClosed }
        self.links += [near, far]
        listener.accept(far)
        await host.pause(self.drawLatency())
        return near
    }
}

final class SimulatedConnector: MessageConnector, @unchecked Sendable {
    private let network: SimulatedNetwork
    private let host: Host
    private let identity: PeerIdentity

    init(network: SimulatedNetwork, host: Host, identity: PeerIdentity) {
        self.network = network
        self.host = host
        self.identity = identity
    }

    func connect(to address: PeerAddress, expecting role: Role) async throws -> any MessageLink {
        try await self.network.connect(self.host, self.identity, to: address, expecting: role)
    }
}

final class SimulatedListener: MessageListener, @unchecked Sendable {
    let address: PeerAddress
    let host: Host
    let identity: PeerIdentity
    let links: AsyncStream<any MessageLink>
    private let continuation: AsyncStream<any MessageLink>.Continuation

    init(address: PeerAddress, host: Host, identity: PeerIdentity) {
        self.address = address
        self.host = host
        self.identity = identity
        (self.links, self.continuation) = AsyncStream.makeStream()
    }

    func accept(_ link: SimulatedLink) { self.host.deliver { self.continuation.yield(link) } }

    func close() async { self.continuation.finish() }
}

/// One end of a connection. Frames arrive in order; while the path is cut they wait, as TCP sends them again.
final class SimulatedLink: MessageLink, @unchecked Sendable {
    /// How often a sender that gets no acknowledgement tries again.
    private static let retransmit = Duration.milliseconds(200)

    let peer: PeerIdentity
    let frames: AsyncStream<Frame>
    let host: Host
    weak var remote: SimulatedLink?
    private let network: SimulatedNetwork
    private let continuation: AsyncStream<Frame>.Continuation
    private(set) var isClosed = false
    private(set) var failure: (any Error)?
    private var outbound: [Frame] = []
    private var isRoomAwaited = false
    private var roomCallback: (@Sendable () -> Void)?
    private var isSending = false
    private var isFinishing = false
    private var isSilent = false

    init(network: SimulatedNetwork, host: Host, peer: PeerIdentity) {
        self.network = network
        self.host = host
        self.peer = peer
        (self.frames, self.continuation) = AsyncStream.makeStream()
    }

    func send(_ frame: Frame) -> Bool {
        guard !self.isClosed, !self.isFinishing, self.host.isAlive else { return false }
        guard self.outbound.count < SimulatedNetwork.inFlightMax else {
            self.end(LinkError(.overflow, "the peer does not read"))
            self.remote?.breakOff("cut by the peer", after: self.network.drawLatency())
            return false
        }
        self.outbound.append(frame)
        self.startSending()
        return true
    }

    var hasRoom: Bool {
        if self.outbound.count < SimulatedNetwork.inFlightRoom { return true }
        if !self.isRoomAwaited { self.network.events.count("room_awaited") }
        self.isRoomAwaited = true
        return false
    }

    func onRoom(_ callback: @escaping @Sendable () -> Void) { self.roomCallback = callback }

    func close() {
        guard !self.isClosed, self.host.isAlive else { return }
        self.isFinishing = true
        // The other end learns it behind the last frame.
        self.startSending()
        self.continuation.finish()
    }

    private func startSending() {
        guard !self.isSending else { return }
        self.isSending = true
        let delay = self.remote.map { self.network.drawLatency(from: self.host, to: $0.host) } ?? .zero
        self.network.simulator.after(delay) { self.transmit() }
    }

    private func transmit() {
        self.isSending = false
        guard let remote = self.remote, !self.isSilent else { return }
        if self.network.isCut(from: self.host, to: remote.host) {
            self.isSending = true
            self.network.simulator.after(Self.retransmit) { self.transmit() }
            return
        }
        let frames = self.outbound
        self.outbound = []
        for frame in frames {
            remote.host.deliver { remote.receive(frame) }
            if let later = self.network.drawCopy(of: frame) {
                self.network.simulator.after(later) { remote.host.deliver { remote.receive(frame) } }
            }
        }
        if self.isRoomAwaited {
            self.isRoomAwaited = false
            self.host.deliver { self.roomCallback?() }
        }
        if self.isFinishing {
            remote.host.deliver { remote.end(nil) }
            self.end(nil)
        }
    }

    private func receive(_ frame: Frame) {
        guard !self.isClosed, !self.isFinishing else { return }
        self.continuation.yield(frame)
    }

    /// The connection breaks; this end learns it after `delay`.
    func breakOff(_ reason: String, after delay: Duration) {
        self.goSilent()
        let error = LinkError(.broken, reason)
        self.network.simulator.after(delay) { self.host.deliver { self.end(error) } }
        guard let remote, remote.host.isAlive, !remote.isClosed else { return }
        remote.goSilent()
        self.network.simulator.after(delay) { remote.host.deliver { remote.end(error) } }
    }

    /// This end learns at once that the connection is gone; what it has sent arrives at the other much later, and only
    /// then does that end learn it too.
    func breakUnevenly(_ reason: String, lateBy delay: Duration) {
        guard let remote, !self.isClosed, !self.isSilent else { return }
        let sent = self.outbound
        self.outbound = []
        self.goSilent()
        remote.goSilent()
        let error = LinkError(.broken, reason)
        self.host.deliver { self.end(error) }
        self.network.simulator.after(delay) {
            for frame in sent { remote.host.deliver { remote.receive(frame) } }
            remote.host.deliver { remote.end(error) }
        }
    }

    /// Nothing leaves or arrives any more, and nobody says so.
    func goSilent() { self.isSilent = true }

    private func end(_ failure: LinkError?) {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.failure = failure
        self.continuation.finish()
    }
}
