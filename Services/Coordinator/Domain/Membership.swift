package import EscapementModel

/// The deadlines of membership.
package struct MembershipTiming: Equatable, Sendable {
    /// Silence after which a member gets no new work.
    package var suspectAfter: Duration
    /// Silence after which its work is given away.
    package var deadAfter: Duration
    /// How long a member whose link broke may take to come back.
    package var reconnectWithin: Duration
    /// How long a new leader waits for the owners it has not heard of.
    package var settle: Duration
    /// A leader that did nothing at all for longer than this was deaf itself: what it did not hear in that time proves
    /// nothing. Several times the distance of two ticks.
    package var deafAfter: Duration

    package init(
        suspectAfter: Duration = .milliseconds(1500), deadAfter: Duration = .seconds(3),
        reconnectWithin: Duration = .milliseconds(500), settle: Duration = .seconds(3),
        deafAfter: Duration = .seconds(1)
    ) {
        precondition(suspectAfter < deadAfter, "suspect after \(suspectAfter), dead after \(deadAfter)")
        precondition(deafAfter < deadAfter, "deaf after \(deafAfter), dead after \(deadAfter)")
        self.deafAfter = deafAfter
        self.suspectAfter = suspectAfter
        self.deadAfter = deadAfter
        self.reconnectWithin = reconnectWithin
        self.settle = settle
    }
}

/// Which tickers and dispatchers are there, seen from the leader: a star, not gossip.
///
/// Deadlines are fixed: what fences a member that was given up by mistake is the commit point, so a false
/// positive costs one harmless move, and fixed numbers can be stated and tested.
///
/// Invariants: what is `dead` or `gone` is forgotten, so a process that was only paused joins like a new
/// one, without what it owned; a node has at most one member, and its earlier runs are over; while the leader settles nobody is declared
/// dead for silence; nobody is declared dead for a silence in which the leader stood still itself.
package struct Membership: Sendable {
    package enum Event: Equatable, Sendable {
        /// A member introduced itself; the same incarnation again when it reconnects.
        case joined(MemberIdentity)
        case heard(Incarnation, Report)
        /// Its only link ended; with a goodbye it left on purpose.
        case closed(Incarnation, goodbye: Bool)
        /// An operator wants the member emptied, or no longer. Forgotten when the process ends; the next leader learns it
        /// from the member.
        case drained(Incarnation, Bool)
        /// Nothing is assigned to this leaving member any more.
        case emptied(Incarnation)
        case tick
    }

    /// What a heartbeat says about the member itself.
    package struct Report: Equatable, Sendable {
        package var leaving: Bool
        package var complaint: String
        package var firesPerSecond: Int
        package var resident: Int
        package var clockOffsetMilliseconds: Int64
        /// A former leader was asked to empty the member.
        package var isDrained: Bool

        package init(
            leaving: Bool = false, complaint: String = "", firesPerSecond: Int = 0, resident: Int = 0,
            clockOffsetMilliseconds: Int64 = 0, isDrained: Bool = false
        ) {
            self.isDrained = isDrained
            self.leaving = leaving
            self.complaint = complaint
            self.firesPerSecond = firesPerSecond
            self.resident = resident
            self.clockOffsetMilliseconds = clockOffsetMilliseconds
        }
    }

    /// Whose name stands behind an incarnation in the store.
    package struct Owner: Hashable, Sendable {
        package var role: Role
        package var node: NodeID

        package init(_ role: Role, _ node: NodeID) {
            self.role = role
            self.node = node
        }
    }

    /// A member went from one state to another; `nil` for none before.
    package struct Change: Equatable, Sendable {
        package var incarnation: Incarnation
        package var from: MemberState?
        package var to: MemberState

        package init(_ incarnation: Incarnation, from: MemberState?, to: MemberState) {
            self.incarnation = incarnation
            self.from = from
            self.to = to
        }
    }

    /// Members that are neither dead nor gone, by incarnation.
    package private(set) var members: [Incarnation: Member] = [:]
    /// Owners named in the store that have not reported to this leader yet.
    package private(set) var awaited: Set<Incarnation>
    /// The names of the awaited owners, as far as the store knows them.
    private let names: [Incarnation: Owner]
    private let timing: MembershipTiming
    private var settleUntil: MonotonicInstant
    /// When the leader did anything last.
    private var awakeAt: MonotonicInstant

    /// - Parameters:
    ///   - owners: incarnations that the store names as owners when the term begins.
    ///   - names: theirs, as far as they are known.
    package init(
        owners: Set<Incarnation>, names: [Incarnation: Owner] = [:], timing: MembershipTiming = MembershipTiming(),
        now: MonotonicInstant
    ) {
        self.awaited = owners
        self.names = names
        self.timing = timing
        self.settleUntil = now.advanced(by: timing.settle)
        self.awakeAt = now
    }

    /// Whether the leader knows enough to declare anyone dead: every awaited owner has reported, or the
    /// window is over.
    package func isSettled(at now: MonotonicInstant) -> Bool { self.awaited.isEmpty || now >= self.settleUntil }

    /// Members of `role` in order of node name, so that whoever plans breaks ties alike.
    package func members(of role: Role) -> [Member] {
        self.members.values.filter { $0.identity.role == role }.sorted {
            ($0.identity.node, $0.identity.incarnation) < ($1.identity.node, $1.identity.incarnation)
        }
    }

    /// Whether the member may keep what it owns at `now`: it is known and alive, or it is awaited by a
    /// leader that has not settled.
    package func keeps(_ incarnation: Incarnation, at now: MonotonicInstant) -> Bool {
        self.members[incarnation] != nil || self.awaited.contains(incarnation) && !self.isSettled(at: now)
    }

    /// Time has come to `now`. A process that was stopped, or a machine that stood still, finds the heartbeats of that
    /// time waiting: until it has read them, the time counts for nobody.
    package mutating func pass(to now: MonotonicInstant) {
        let gap = now.duration(since: self.awakeAt)
        guard gap > .zero else { return }
        defer { self.awakeAt = now }
        guard gap > self.timing.deafAfter else { return }
        if !self.isSettled(at: self.awakeAt) { self.settleUntil = self.settleUntil.advanced(by: gap) }
        for (incarnation, member) in self.members {
            self.members[incarnation]?.heardAt = member.heardAt.advanced(by: gap)
            self.members[incarnation]?.closedAt = member.closedAt?.advanced(by: gap)
        }
    }

    /// Takes one event; returns the changes of state, in order of node name within a tick.
    package mutating func receive(_ event: Event, now: MonotonicInstant) -> [Change] {
        self.pass(to: now)
        switch event {
        case .joined(let identity): return self.join(identity, now)
        case .heard(let incarnation, let report): return self.hear(incarnation, report, now)
        case .closed(let incarnation, let goodbye):
            guard var member = self.members[incarnation] else { return [] }
            if goodbye { return self.finish(incarnation, .gone) }
            member.closedAt = now
            self.members[incarnation] = member
            return member.state == .leaving ? [] : self.move(incarnation, to: .suspect)
        case .drained(let incarnation, let isDrained):
            self.members[incarnation]?.isDrained = isDrained
            return []
        case .emptied(let incarnation):
            guard self.members[incarnation]?.state == .leaving else { return [] }
            return self.finish(incarnation, .gone)
        case .tick: return self.tick(now)
        }
    }

    private mutating func join(_ identity: MemberIdentity, _ now: MonotonicInstant) -> [Change] {
        self.awaited.remove(identity.incarnation)
        if var known = self.members[identity.incarnation] {
            known.identity = identity
            known.heardAt = now
            known.closedAt = nil
            self.members[identity.incarnation] = known
            return []
        }
        // A node's name is its own: an earlier run under the same name has ended.
        let earlier = self.members.values.filter {
            $0.identity.node == identity.node && $0.identity.role == identity.role
        }
        let ended = earlier.map(\.identity.incarnation).sorted().flatMap { self.finish($0, .dead) }
        // The same holds of a run that only the store remembers: nobody is there to wait for.
        let name = Owner(identity.role, identity.node)
        self.awaited = self.awaited.filter { self.names[$0] != name }
        self.members[identity.incarnation] = Member(identity: identity, now: now)
        return ended + [Change(identity.incarnation, from: nil, to: .joining)]
    }

    private mutating func hear(_ incarnation: Incarnation, _ report: Report, _ now: MonotonicInstant) -> [Change] {
        guard var member = self.members[incarnation] else { return [] }
        member.heardAt = now
        member.complaint = report.complaint
        member.firesPerSecond = report.firesPerSecond
        member.resident = report.resident
        member.clockOffsetMilliseconds = report.clockOffsetMilliseconds
        // Only the first report: afterwards this leader knows better.
        if member.state == .joining { member.isDrained = report.isDrained }
        self.members[incarnation] = member
        if report.leaving { return self.move(incarnation, to: .leaving) }
        switch member.state {
        case .joining, .suspect: return member.closedAt == nil ? self.move(incarnation, to: .up) : []
        case .up, .leaving, .dead, .gone: return []
        }
    }

    private mutating func tick(_ now: MonotonicInstant) -> [Change] {
        var changes: [Change] = []
        let everybody = self.members.values.sorted {
            ($0.identity.node, $0.identity.incarnation) < ($1.identity.node, $1.identity.incarnation)
        }
        for member in everybody {
            let incarnation = member.identity.incarnation
            let silence = now.duration(since: member.heardAt)
            let absence = member.closedAt.map { now.duration(since: $0) } ?? .zero
            let isDead = silence >= self.timing.deadAfter || absence >= self.timing.reconnectWithin
            if isDead, self.isSettled(at: now) {
                changes += self.finish(incarnation, .dead)
            } else if silence >= self.timing.suspectAfter, member.state == .up {
                changes += self.move(incarnation, to: .suspect)
            }
        }
        return changes
    }

    private mutating func move(_ incarnation: Incarnation, to state: MemberState) -> [Change] {
        guard let from = self.members[incarnation]?.state, from != state else { return [] }
        self.members[incarnation]?.state = state
        return [Change(incarnation, from: from, to: state)]
    }

    private mutating func finish(_ incarnation: Incarnation, _ state: MemberState) -> [Change] {
        guard let member = self.members.removeValue(forKey: incarnation) else { return [] }
        return [Change(incarnation, from: member.state, to: state)]
    }
}
