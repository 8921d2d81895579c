package import EscapementModel
package import Logging
import Observability
import Synchronization
package import WireProtocol

/// A member's link to the leading coordinator: finds the leader, says `Hello`, sends heartbeats, hands on
/// what the leader says, and looks again when the leader falls silent.
///
/// Losing the leader changes nothing for the member's work: it goes on with what it holds, because the
/// commit point, not the leader, decides whose work counts.
package final class LeaderSession: Sendable {
    /// What happens on the session, in order.
    package enum Event: Sendable {
        /// A leader accepted us. Its epoch is at least as high as that of any leader before.
        case connected(leaderEpoch: Epoch, leader: NodeID)
        /// Any frame but those of the session itself (`HelloAck`, `HeartbeatAck`, `Goodbye`).
        case frame(Frame)
        /// The link is gone; the reason is for people. A new `connected` follows some day.
        case disconnected(String)
    }

    /// Whether there is a leader now.
    package enum Status: Equatable, Sendable {
        case searching(String)
        case connected(leaderEpoch: Epoch, leader: NodeID)
    }

    /// What became of a heartbeat.
    package enum Beat: Sendable {
        /// The leader answered, at this instant by its clock.
        case answered(leaderClock: WallInstant)
        /// The next one is due, and there is no answer yet.
        case unanswered
    }

    /// Time between two heartbeats.
    package static let heartbeatEvery = Duration.milliseconds(500)
    /// A leader that says nothing for so long is taken for lost.
    package static let leaderSilenceMax = Duration.milliseconds(2500)
    /// A leader gives away what a member holds that it has not heard for so long.
    package static let memberSilenceMax = Duration.seconds(3)
    /// How long the answer to `Hello` may take.
    package static let helloAnswerMax = Duration.seconds(2)

    private struct State {
        var link: (any MessageLink)?
        var accepted: Epoch?
        /// The protocol version that is spoken with the one who accepted us.
        var version: UInt32 = 0
        var highestEpoch = Epoch.none
        /// When we last heard the leader, or were last busy with what it said.
        var lastHeard = MonotonicInstant(nanoseconds: 0)
        var status = Status.searching("not tried yet")
        var isLeaving = false
        /// The last heartbeat of the clock has no answer yet.
        var awaitsAnswer = false
        /// An operator wants this member emptied, as the last leader said.
        var isDrained = false
        /// The last refusal that was logged, so that it is logged once and not every second.
        var loggedFailure = ""
    }

    private let description: MemberDescription
    private let connector: any MessageConnector
    private let addresses: @Sendable () async -> [PeerAddress]
    private let clocks: any Clocks
    private let heartbeat: @Sendable () -> WireProtocol.Heartbeat
    private let onBeat: @Sendable (Beat) -> Void
    private let logger: Logger
    private let seed: UInt64
    private let state = Mutex(State())

    /// - Parameters:
    ///   - addresses: the coordinators as discovery knows them now; asked once per round.
    ///   - seed: of the jitter between rounds; different in every process.
    ///   - onBeat: hears what became of heartbeats; must return at once.
    ///   - heartbeat: what to say of ourselves, called for every heartbeat; must answer at once.
    package init(
        description: MemberDescription, connector: any MessageConnector,
        addresses: @escaping @Sendable () async -> [PeerAddress], clocks: any Clocks, logger: Logger, seed: UInt64,
        onBeat: @escaping @Sendable (Beat) -> Void = { _ in },
        heartbeat: @escaping @Sendable () -> WireProtocol.Heartbeat
    ) {
        self.description = description
        self.connector = connector
        self.addresses = addresses
        self.clocks = clocks
        self.onBeat = onBeat
        self.heartbeat = heartbeat
        self.logger = logger
        self.seed = seed
    }

    /// Whether there is a leader now.
    package var status: Status { self.state.withLock { $0.status } }

    /// The highest leader epoch seen; commands that carry a lower one are to be ignored.
    package var highestLeaderEpoch: Epoch { self.state.withLock { $0.highestEpoch } }

    /// The protocol version spoken with the present leader; 0 when there is none.
    package var version: UInt32 { self.state.withLock { $0.accepted == nil ? 0 : $0.version } }

    /// Queues `message` for the leader; `false` when there is none now.
    @discardableResult
    package func send(_ message: some WireMessage, flags: FrameFlags = [], correlation: UInt32 = 0) -> Bool {
        let link = self.state.withLock { $0.accepted == nil ? nil : $0.link }
        return link?.send(message, flags: flags, correlation: correlation) ?? false
    }

    /// Answers a question that arrived as `frame`.
    @discardableResult
    package func answer(_ frame: Frame, with message: some WireMessage) -> Bool {
        self.send(message, flags: .answer, correlation: frame.correlation)
    }

    /// Sends a heartbeat now instead of in half a second: what we hold has changed.
    package func beatNow() { self.send(self.report()) }

    private func report() -> WireProtocol.Heartbeat {
        var heartbeat = self.heartbeat()
        heartbeat.drained = self.state.withLock { $0.isDrained }
        return heartbeat
    }

    /// Says goodbye and closes; `run` then returns. What we hold may be given away at once.
    package func leave(_ detail: String) {
        let link = self.state.withLock { state in
            state.isLeaving = true
            return state.link
        }
        link?.send(Goodbye(detail: detail))
        link?.close()
    }

    /// Keeps a session until the task is cancelled or `leave` is called. Call once.
    ///
    /// - Parameter handle: takes each event before the next frame is read, so that a slow member slows
    ///   the leader's sending down instead of its own memory up. Should return quickly.
    package func run(handle: @escaping @Sendable (Event) async -> Void) async {
        var generator = SplitMix64(seed: self.seed)
        var search = LeaderSearch()
        while !Task.isCancelled, !self.state.withLock({ $0.isLeaving }) {
            switch search.next(using: &generator) {
            case .resolve:
                let found = await self.addresses()
                if found.isEmpty { self.note("no coordinator address is known") }
                search.found(found, using: &generator)
            case .wait(let duration):
                do { try await self.clocks.sleep(for: duration) } catch { return }
            case .connect(let address):
                let ending = await self.attempt(address, handle: handle)
                switch ending {
                case .unreachable(let reason), .refused(let reason):
                    self.note("\(address): \(reason)")
                case .redirected(let leader):
                    self.note("\(address) does not lead")
                    if let leader { search.redirected(to: leader) }
                case .ended(let reason, let proven):
                    search.accepted(by: address)
                    if proven { search.proven() }
                    search.ended()
                    self.note("\(address): \(reason)")
                    await handle(.disconnected(reason))
                }
            }
        }
    }

    private enum Ending {
        case unreachable(String)
        case refused(String)
        case redirected(PeerAddress?)
        case ended(String, proven: Bool)
    }

    private func attempt(_ address: PeerAddress, handle: @escaping @Sendable (Event) async -> Void) async -> Ending {
        let link: any MessageLink
        do {
            link = try await self.connector.connect(to: address, expecting: .coordinator)
        } catch {
            return .unreachable("\(error)")
        }
        let goOn = self.state.withLock { state in
            state.link = link
            state.accepted = nil
            state.awaitsAnswer = false
            state.lastHeard = self.clocks.monotonicNow()
            return !state.isLeaving
        }
        defer {
            link.close()
            self.state.withLock { state in
                state.link = nil
                state.accepted = nil
            }
        }
        guard goOn, link.send(self.description.hello(clock: self.clocks.wallNow())) else {
            return .unreachable("closed before the greeting")
        }
        return await withTaskGroup(of: Ending?.self) { group in
            group.addTask { await self.read(link, handle: handle) }
            group.addTask {
                await self.keepAlive(link)
                return nil
            }
            var ending = Ending.unreachable("stopped")
            for await result in group {
                guard let result else { continue }
                ending = result
                group.cancelAll()
            }
            return ending
        }
    }

    /// Reads until the link ends.
    private func read(_ link: any MessageLink, handle: @Sendable (Event) async -> Void) async -> Ending {
        var isAccepted = false
        var isProven = false
        var reason: String?
        for await frame in link.frames {
            self.heard()
            do {
                switch MessageKind(rawValue: frame.kind) {
                case .helloAck where !isAccepted:
                    let answer = try frame.decode(HelloAck.self)
                    if let fault = self.accept(answer) { return .refused(fault) }
                    isAccepted = true
                    self.logger.info(
                        "leader found", event: "leader_found",
                        [LogKey.node: .string(link.peer.node.name), LogKey.epoch: .number(answer.leaderEpoch.rawValue)])
                    await handle(.connected(leaderEpoch: answer.leaderEpoch, leader: link.peer.node))
                    self.state.withLock { state in
                        state.status = .connected(leaderEpoch: answer.leaderEpoch, leader: link.peer.node)
                        state.loggedFailure = ""
                    }
                    self.beatNow()
                case .helloRefused where !isAccepted:
                    let refusal = try frame.decode(HelloRefused.self)
                    if refusal.code == .notLeader {
                        return .redirected(PeerAddress(text: refusal.leaderAddress))
                    }
                    return .refused("refused (\(refusal.code)): \(refusal.detail)")
                case .heartbeatAck where isAccepted:
                    let answer = try frame.decode(HeartbeatAck.self)
                    isProven = true
                    self.state.withLock { state in
                        state.highestEpoch = max(state.highestEpoch, answer.leaderEpoch)
                        state.isDrained = answer.drained
                        state.awaitsAnswer = false
                    }
                    self.onBeat(.answered(leaderClock: answer.clock))
                case .goodbye:
                    reason = "the leader leaves: \(try frame.decode(Goodbye.self).detail)"
                    link.close()
                default:
                    guard isAccepted else { return .refused("spoke before it accepted us") }
                    await handle(.frame(frame))
                }
            } catch {
                reason = "unreadable frame of kind \(frame.kind): \(error)"
                link.close()
                break
            }
            self.heard()
        }
        let why = reason ?? self.silence(of: link) ?? link.failure.map { "\($0)" } ?? "closed"
        return isAccepted ? .ended(why, proven: isProven) : .unreachable(why)
    }

    private func heard() { self.state.withLock { $0.lastHeard = self.clocks.monotonicNow() } }

    /// Takes a leader's acceptance; the reason when it does not count.
    private func accept(_ answer: HelloAck) -> String? {
        self.state.withLock { state in
            if answer.leaderEpoch == .none { return "accepted us but does not lead" }
            if answer.leaderEpoch < state.highestEpoch {
                return "leads under epoch \(answer.leaderEpoch), but epoch \(state.highestEpoch) was seen"
            }
            state.highestEpoch = answer.leaderEpoch
            state.accepted = answer.leaderEpoch
            state.version = answer.version
            return nil
        }
    }

    /// Sends heartbeats, and closes the link when the leader is silent. Returns when cancelled or closed.
    private func keepAlive(_ link: any MessageLink) async {
        while true {
            do { try await self.clocks.sleep(for: Self.heartbeatEvery) } catch { return }
            if self.silence(of: link) != nil {
                link.close()
                return
            }
            let (isAccepted, isUnanswered) = self.state.withLock { state in
                let before = state.awaitsAnswer
                state.awaitsAnswer = state.accepted != nil
                return (state.accepted != nil, before)
            }
            if isUnanswered { self.onBeat(.unanswered) }
            if isAccepted, !link.send(self.report()) { return }
        }
    }

    /// The reason when the other end has been silent for too long.
    private func silence(of link: any MessageLink) -> String? {
        let (lastHeard, isAccepted) = self.state.withLock { ($0.lastHeard, $0.accepted != nil) }
        let age = self.clocks.monotonicNow().duration(since: lastHeard)
        if isAccepted { return age >= Self.leaderSilenceMax ? "the leader is silent" : nil }
        return age >= Self.helloAnswerMax ? "no answer to the greeting" : nil
    }

    private func note(_ reason: String) {
        let isNew = self.state.withLock { state in
            state.status = .searching(reason)
            guard state.loggedFailure != reason, !state.isLeaving else { return false }
            state.loggedFailure = reason
            return true
        }
        if isNew { self.logger.info("no leader yet", event: "leader_search", [LogKey.reason: .string(reason)]) }
    }
}
