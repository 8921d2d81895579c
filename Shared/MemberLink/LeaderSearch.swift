package import EscapementModel

/// Which coordinator to ask next, on the way to the one that leads.
///
/// A round tries every known address once, the last leader first, and follows redirects at once: a
/// coordinator that does not lead usually knows who does. Between rounds there is a pause that doubles
/// up to a second, with jitter, so that a cluster of members does not knock in step. There is no
/// cluster to form: whoever leads was elected in the database.
package struct LeaderSearch: Equatable, Sendable {
    package enum Step: Equatable, Sendable {
        /// Ask discovery for addresses, then call `found(_:using:)`.
        case resolve
        case connect(PeerAddress)
        case wait(Duration)
    }

    /// The pause after the first round without success.
    package static let pauseMin = Duration.milliseconds(100)
    /// The longest pause: an election takes seconds, and nobody should then wait for us.
    package static let pauseMax = Duration.seconds(1)
    /// Addresses tried in one round, at most; more are left for the next one.
    package static let attemptsPerRoundMax = 32

    private enum Phase: Equatable {
        case resolving
        case trying
        case pausing
    }

    private var phase = Phase.resolving
    private var queue: [PeerAddress] = []
    private var tried: Set<PeerAddress> = []
    private var failedRounds = 0
    private var lastLeader: PeerAddress?
    /// The session was accepted but has not yet shown that it lasts.
    private var isUnproven = false

    package init() {}

    /// What to do now. Call again after it is done.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Step {
        switch self.phase {
        case .resolving:
            return .resolve
        case .trying:
            if let address = self.queue.first, self.tried.count < Self.attemptsPerRoundMax {
                self.queue.removeFirst()
                self.tried.insert(address)
                return .connect(address)
            }
            self.endRound()
            return .wait(self.pause(using: &generator))
        case .pausing:
            let pause = self.pause(using: &generator)
            self.phase = .resolving
            return .wait(pause)
        }
    }

    /// Discovery answered. The order of `addresses` does not matter.
    package mutating func found(_ addresses: [PeerAddress], using generator: inout some RandomNumberGenerator) {
        self.tried = []
        // Sorted before it is shuffled, so that a seed repeats a run whatever order discovery gives.
        self.queue = Set(addresses).sorted().shuffled(using: &generator)
        if let lastLeader = self.lastLeader {
            self.queue.removeAll { $0 == lastLeader }
            self.queue.insert(lastLeader, at: 0)
        }
        self.phase = .trying
    }

    /// The address just tried does not lead and says who does. A hint at somebody who was already asked
    /// in this round is ignored: two that point at each other must not keep us busy.
    package mutating func redirected(to address: PeerAddress) {
        guard !self.tried.contains(address) else { return }
        self.queue.removeAll { $0 == address }
        self.queue.insert(address, at: 0)
    }

    /// The coordinator at `address` accepted us.
    package mutating func accepted(by address: PeerAddress) {
        self.lastLeader = address
        self.isUnproven = true
    }

    /// The leader answered a heartbeat: the session lasts.
    package mutating func proven() {
        self.isUnproven = false
        self.failedRounds = 0
    }

    /// An accepted session ended: look again, at once unless it never worked.
    package mutating func ended() {
        if self.isUnproven {
            self.failedRounds += 1
            self.phase = .pausing
        } else {
            self.phase = .resolving
        }
        self.isUnproven = false
        self.queue = []
        self.tried = []
    }

    private mutating func endRound() {
        self.failedRounds += 1
        self.phase = .resolving
        self.queue = []
        self.tried = []
    }

    /// Half of the pause is fixed, half is drawn.
    private func pause(using generator: inout some RandomNumberGenerator) -> Duration {
        let doublings = min(max(self.failedRounds - 1, 0), 10)
        let full = min(Self.pauseMin * (1 << doublings), Self.pauseMax)
        return full * Double.random(in: 0.5...1, using: &generator)
    }
}
