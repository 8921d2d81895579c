package import EscapementModel

/// What a leader does from `lead` to `stepDown`: who is there, who should own what, who owns it.
///
/// Holds `Membership` and an `Assignments` for shards and one for lanes, and plans. One door, `receive`;
/// the shell performs the actions in order. A wake-up (`tick`, several a second) carries nothing: what is
/// to be done is found by comparing wanted with actual.
///
/// A planned move is begun only while nothing is in doubt; at most `movesInFlightMax` at a time, and of
/// those made for balance at most a tenth of the items in ten seconds. Deaths act at once.
package struct LeaderTerm: Sendable {
    package enum Event: Equatable, Sendable {
        case joined(MemberIdentity)
        case heartbeat(Incarnation, Membership.Report, [Assignments.Holding])
        case closed(Incarnation, goodbye: Bool)
        case released(AssignedKind, from: Incarnation, number: UInt16, Epoch, seen: Epoch = .none)
        case prepared(AssignedKind, from: Incarnation, number: UInt16, Epoch)
        case loaded(AssignedKind, [Assignments.Row])
        case claimed(AssignedKind, [Epoch?])
        case claimsFailed(AssignedKind)
        /// All dispatchers that the ticker cannot reach now.
        case unreachable(from: Incarnation, Set<Incarnation>)
        /// An operator wants the member emptied, or no longer.
        case drained(Incarnation, Bool)
        /// An operator wants balance now: neither late joins nor the pace are waited for, only moves in flight.
        case rebalance
        case tick
    }

    package enum Action: Equatable, Sendable {
        case persist(AssignedKind, [Assignments.Claim])
        case reload(AssignedKind)
        /// Raise the row to the epoch, then read the rows again.
        case raise(AssignedKind, number: UInt16, to: Epoch)
        case assign(AssignedKind, number: UInt16, Epoch, to: Incarnation)
        case prepare(AssignedKind, number: UInt16, Epoch, at: Incarnation)
        case revoke(AssignedKind, number: UInt16, Epoch, from: Incarnation)
        /// Send the whole view to its audience.
        case publishView(AssignedKind)
        /// Send both views to a member that has just introduced itself.
        case welcome(Incarnation)
        case memberChanged(Membership.Change, MemberIdentity)
        /// The member owns nothing any more. It says goodbye itself when it has finished.
        case dismiss(Incarnation)
        case handedOver(AssignedKind, reason: String)
    }

    /// The bounds of planned moves.
    package struct Limits: Equatable, Sendable {
        package var movesInFlightMax: Int
        /// Lanes are moved one by one: each that moves holds all its shards up.
        package var laneMovesInFlightMax: Int
        /// Moves for balance in one window: a tenth of the items, but at least this many.
        package var rebalancesMin: Int
        package var rebalanceWindow: Duration
        /// How long after a join balance waits for further ones: a rolling update must not shuffle everything.
        package var joinBatch: Duration
        /// How long items wait for further members when nobody owns any: at the start of a cluster, and after all
        /// members were lost.
        package var gather: Duration

        package init(
            movesInFlightMax: Int = 16, laneMovesInFlightMax: Int = 1, rebalancesMin: Int = 4,
            rebalanceWindow: Duration = .seconds(10),
            joinBatch: Duration = .seconds(5), gather: Duration = .seconds(1)
        ) {
            self.movesInFlightMax = movesInFlightMax
            self.laneMovesInFlightMax = laneMovesInFlightMax
            self.rebalancesMin = rebalancesMin
            self.rebalanceWindow = rebalanceWindow
            self.joinBatch = joinBatch
            self.gather = gather
        }
    }

    package private(set) var membership: Membership
    package private(set) var shards: Assignments
    package private(set) var lanes: Assignments
    private let limits: Limits
    private var lastJoinAt: [AssignedKind: MonotonicInstant] = [:]
    private var firstUpAt: [AssignedKind: MonotonicInstant] = [:]
    /// Members that died since there was anybody to give their work to: the first to come back must not get everything.
    private var lost: [AssignedKind: Set<NodeID>] = [:]
    private var rebalances: [AssignedKind: (count: Int, since: MonotonicInstant)] = [:]
    private var rebalancesNow: Set<AssignedKind> = []
    private var isSettled = false
    package private(set) var paths = LanePaths()
    package private(set) var loads = ShardLoads()
    package private(set) var troubles = TroubledLanes()

    /// - Parameters:
    ///   - shards: the store's rows when the term begins; likewise `lanes`. One for each number.
    ///   - names: of the owners in these rows, as far as the store knows them.
    package init(
        shards: [Assignments.Row], lanes: [Assignments.Row], names: [Incarnation: Membership.Owner] = [:],
        timing: MembershipTiming = MembershipTiming(),
        limits: Limits = Limits(), revokeWithin: Duration = Assignments.revokeWithin, now: MonotonicInstant
    ) {
        let owners = Set((shards + lanes).compactMap(\.owner))
        self.membership = Membership(owners: owners, names: names, timing: timing, now: now)
        self.limits = limits
        self.shards = Assignments(count: shards.count, revokeWithin: revokeWithin)
        self.lanes = Assignments(count: lanes.count, revokeWithin: revokeWithin)
        // Nobody is linked yet, so nobody can be told: the first heartbeat of each member leads to that.
        _ = self.shards.receive(.loaded(shards), now: now)
        _ = self.lanes.receive(.loaded(lanes), now: now)
    }

    package func assignments(of kind: AssignedKind) -> Assignments {
        switch kind {
        case .shard: self.shards
        case .lane: self.lanes
        }
    }

    /// Whether the view names every owner by address. Until the leader has settled, a view that leaves out
    /// an owner who has not reported yet must not be sent: whoever got it would turn away from somebody who
    /// works.
    package func isViewComplete(_ kind: AssignedKind) -> Bool {
        self.isSettled
            || self.assignments(of: kind).entries.allSatisfy { entry in
                entry.owner.map { self.membership.members[$0] != nil } ?? true
            }
    }

    /// Takes one event; returns what the shell has to do, in order.
    package mutating func receive(_ event: Event, now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        self.membership.pass(to: now)
        switch event {
        case .joined(let identity):
            guard let kind = Self.kind(ownedBy: identity.role) else { return [] }
            let changes = self.membership.receive(.joined(identity), now: now)
            actions += self.follow(changes, now)
            if changes.contains(where: { $0.to == .joining }) { self.lastJoinAt[kind] = now }
            // On a new link it tells again what it cannot reach; what it does not tell is whole.
            self.paths.report(from: identity.incarnation, unreachable: [], now: now)
            actions.append(.welcome(identity.incarnation))
            // Its address is known from now on: a view that named it may have waited for that.
            if self.assignments(of: kind).entries.contains(where: { $0.owner == identity.incarnation }) {
                actions.append(.publishView(kind))
            }
        case .heartbeat(let member, let report, let holdings):
            guard let identity = self.membership.members[member]?.identity,
                let kind = Self.kind(ownedBy: identity.role)
            else { return [] }
            actions += self.follow(self.membership.receive(.heard(member, report), now: now), now)
            for holding in holdings
            where self.assignments(of: kind).isCurrent(holding.number, holding.epoch, owner: member) {
                switch kind {
                case .shard: if let load = holding.load { self.loads.heard(holding.number, load) }
                case .lane: self.troubles.report(holding.number, isTroubled: holding.isTroubled, by: member, now: now)
                }
            }
            actions += self.pass(.heartbeat(from: member, holdings), to: kind, now)
        case .closed(let member, let goodbye):
            actions += self.follow(self.membership.receive(.closed(member, goodbye: goodbye), now: now), now)
        case .released(let kind, let member, let number, let epoch, let seen):
            actions += self.pass(.released(from: member, number: number, epoch, seen: seen), to: kind, now)
        case .prepared(let kind, let member, let number, let epoch):
            actions += self.pass(.prepared(from: member, number: number, epoch), to: kind, now)
        case .loaded(let kind, let rows): actions += self.pass(.loaded(rows), to: kind, now)
        case .claimed(let kind, let epochs): actions += self.pass(.claimed(epochs), to: kind, now)
        case .claimsFailed(let kind): actions += self.pass(.claimsFailed, to: kind, now)
        case .unreachable(let ticker, let dispatchers):
            guard self.membership.members[ticker]?.identity.role == .ticker else { return [] }
            // One that owns lanes may still be awaited; whoever is neither is nobody's concern.
            let known = dispatchers.filter { self.membership.members[$0] != nil }
                .union(dispatchers.intersection(self.lanes.entries.compactMap(\.owner)))
            self.paths.report(from: ticker, unreachable: known, now: now)
        case .drained(let member, let isDrained):
            _ = self.membership.receive(.drained(member, isDrained), now: now)
        case .rebalance: self.rebalancesNow = Set(AssignedKind.allCases)
        case .tick:
            self.paths.expire(now: now)
            self.troubles.expire(now: now)
            actions += self.follow(self.membership.receive(.tick, now: now), now)
            for kind in AssignedKind.allCases { actions += self.pass(.tick, to: kind, now) }
        }
        actions += self.settle(now)
        for kind in AssignedKind.allCases { actions += self.plan(kind, now) }
        actions += self.dismissEmptied(now)
        return Self.withoutRepeatedViews(actions)
    }

    /// The shell reads the view when it sends it: the first time is early enough, and once is enough.
    private static func withoutRepeatedViews(_ actions: [Action]) -> [Action] {
        var seen: Set<AssignedKind> = []
        return actions.filter { action in
            if case .publishView(let kind) = action { seen.insert(kind).inserted } else { true }
        }
    }

    /// Gives up the owners that the store names and nobody has heard of, once, when the leader has settled.
    private mutating func settle(_ now: MonotonicInstant) -> [Action] {
        guard !self.isSettled, self.membership.isSettled(at: now) else { return [] }
        self.isSettled = true
        return AssignedKind.allCases.flatMap { self.giveUpStrangers($0, now) + [.publishView($0)] }
    }

    /// Items whose owner is no member any more: found by comparing, so that a row read late counts too.
    private mutating func giveUpStrangers(_ kind: AssignedKind, _ now: MonotonicInstant) -> [Action] {
        let owners = Set(self.assignments(of: kind).entries.compactMap(\.owner))
        return owners.subtracting(self.membership.members.keys).sorted().flatMap {
            self.pass(.ownerLost($0, reason: "dead"), to: kind, now)
        }
    }

    /// What follows from a member's change of state.
    private mutating func follow(_ changes: [Membership.Change], _ now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        for change in changes {
            let identity = self.membership.members[change.incarnation]?.identity ?? self.identities[change.incarnation]
            guard let identity, let kind = Self.kind(ownedBy: identity.role) else { continue }
            actions.append(.memberChanged(change, identity))
            switch change.to {
            case .up: if self.firstUpAt[kind] == nil { self.firstUpAt[kind] = now }
            case .dead:
                self.lost[kind, default: []].insert(identity.node)
                actions += self.pass(.ownerLost(change.incarnation, reason: "dead"), to: kind, now)
            case .gone: actions += self.pass(.ownerLost(change.incarnation, reason: "left"), to: kind, now)
            case .joining, .suspect, .leaving: break
            }
            switch change.to {
            case .dead, .gone:
                if self.membership.members(of: identity.role).isEmpty { self.firstUpAt[kind] = nil }
                self.identities[change.incarnation] = nil
                self.paths.forget(change.incarnation)
                self.troubles.forget(change.incarnation)
            case .joining, .up, .suspect, .leaving: self.identities[change.incarnation] = identity
            }
        }
        return actions
    }

    /// Identities of members, kept until the change that ends them has been told.
    private var identities: [Incarnation: MemberIdentity] = [:]

    private mutating func plan(_ kind: AssignedKind, _ now: MonotonicInstant) -> [Action] {
        guard self.isSettled else { return [] }
        var actions = self.giveUpStrangers(kind, now)
        let members = self.membership.members(of: kind.owner)
        guard members.contains(where: { $0.state == .up }), self.isGathered(kind, now) else { return actions }
        self.lost[kind] = nil
        // Who cannot or shall not work is emptied while somebody else can; when nobody can, moving helps nobody.
        let isAnyoneWell = members.contains { $0.state == .up && $0.complaint.isEmpty && !$0.isDrained }
        let candidates = members.map { member in
            let standing: Placement.Candidate.Standing =
                switch member.state {
                case .up: member.complaint.isEmpty && !member.isDrained || !isAnyoneWell ? .open : .leaving
                case .leaving: .leaving
                case .joining, .suspect, .dead, .gone: .closed
                }
            return Placement.Candidate(
                incarnation: member.identity.incarnation, node: member.identity.node,
                weight: member.identity.weight, zone: member.identity.zone, standing: standing)
        }
        let assignments = self.assignments(of: kind)
        let movesMax = kind == .shard ? self.limits.movesInFlightMax : self.limits.laneMovesInFlightMax
        // A move of a lane is over when its new owner has said that it has it.
        let moving = assignments.movesInFlight + (kind == .lane ? assignments.unconfirmedCount : 0)
        let free = assignments.isInDoubt ? 0 : max(0, movesMax - moving)
        let rebalances = isAnyoneWell ? self.rebalancesAllowed(kind, items: assignments.states.count, now) : 0
        let steps = Placement.plan(
            items: self.items(of: kind, isAnyoneWell), candidates: candidates, drainsMax: free,
            rebalancesMax: min(free, rebalances))
        if !steps.contains(where: { $0.reason == .rebalance }), assignments.movesInFlight == 0 {
            self.rebalancesNow.remove(kind)
        }
        var placed: [Assignments.Decision] = []
        var moved: [Assignments.Decision] = []
        for step in steps {
            switch step.reason {
            case .orphan:
                let reason = assignments.reason(of: step.number)
                placed.append(Assignments.Decision(number: step.number, to: step.to, reason: reason))
            case .unreachable: moved.append(self.move(kind, step, "unreachable"))
            case .drain: moved.append(self.move(kind, step, "drain"))
            case .rebalance:
                self.rebalances[kind]?.count += 1
                moved.append(self.move(kind, step, "rebalance"))
            }
        }
        if !moved.isEmpty { actions += self.pass(.moved(moved), to: kind, now) }
        if !placed.isEmpty { actions += self.pass(.placed(placed), to: kind, now) }
        return actions
    }

    /// What is to be placed: lanes, while anyone is well barred from dispatchers that could not publish them; shards as
    /// heavy as they were measured, and barred from tickers that are cut off from their lane. Who has a shard keeps it
    /// while the leader does not see the lane's owner at work: that one is replaced anyway.
    private func items(of kind: AssignedKind, _ isAnyoneWell: Bool) -> [Placement.Item] {
        guard kind == .shard else {
            var items = self.lanes.items
            guard isAnyoneWell, !self.troubles.isEmpty else { return items }
            for index in items.indices { items[index].barred = self.troubles.barred(from: items[index].number) }
            return items
        }
        var items = self.loads.weighed(self.shards.items)
        guard !self.paths.isEmpty else { return items }
        let laneCount = self.lanes.states.count
        let lanes = (0..<laneCount).map { lane -> (barred: Set<Incarnation>, isAtWork: Bool) in
            guard let owner = self.lanes.owner(of: UInt16(lane)) else { return ([], false) }
            return (self.paths.tickersCutOff(from: owner), self.membership.members[owner]?.state == .up)
        }
        for index in items.indices {
            let lane = lanes[Int(ShardID(items[index].number).lane(of: laneCount).rawValue)]
            items[index].barred = lane.barred
            if !lane.isAtWork, let owner = items[index].owner { items[index].barred.remove(owner) }
        }
        return items
    }

    private func move(_ kind: AssignedKind, _ step: Placement.Step, _ reason: String) -> Assignments.Decision {
        let canPrepare = self.membership.members[step.to]?.identity.canPrepare ?? false
        return Assignments.Decision(
            number: step.number, to: step.to, reason: reason, isPrepared: kind == .shard && canPrepare)
    }

    /// Whether the first members of a new cluster, or of one that had lost all, have had a moment to appear.
    private func isGathered(_ kind: AssignedKind, _ now: MonotonicInstant) -> Bool {
        let states = self.assignments(of: kind).states
        guard states.allSatisfy({ if case .unowned = $0 { true } else { false } }) else { return true }
        if !states.allSatisfy({ $0 == .unowned(last: .none) }) {
            let present = self.membership.members(of: kind.owner).filter { $0.state == .up }.map(\.identity.node)
            guard let lost = self.lost[kind], !lost.isSubset(of: present) else { return true }
        }
        return self.firstUpAt[kind].map { now.duration(since: $0) >= self.limits.gather } ?? false
    }

    /// How many moves for balance may begin now.
    private mutating func rebalancesAllowed(_ kind: AssignedKind, items: Int, _ now: MonotonicInstant) -> Int {
        if self.rebalancesNow.contains(kind) { return items }
        if let joined = self.lastJoinAt[kind], now.duration(since: joined) < self.limits.joinBatch { return 0 }
        var window = self.rebalances[kind] ?? (0, now)
        if now.duration(since: window.since) >= self.limits.rebalanceWindow { window = (0, now) }
        self.rebalances[kind] = window
        return max(0, max(self.limits.rebalancesMin, items / 10) - window.count)
    }

    /// Lets leaving members go that own nothing, or whose work nobody is there to take.
    private mutating func dismissEmptied(_ now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        for kind in AssignedKind.allCases {
            let members = self.membership.members(of: kind.owner)
            let isHopeless = members.allSatisfy { $0.state == .leaving }
            for member in members where member.state == .leaving {
                let incarnation = member.identity.incarnation
                guard isHopeless || self.assignments(of: kind).count(of: incarnation) == 0 else { continue }
                // There is no successor to wait for: let go, so that the process can end.
                for entry in self.assignments(of: kind).entries where entry.owner == incarnation {
                    actions.append(.revoke(kind, number: entry.number, entry.epoch, from: incarnation))
                }
                actions.append(.dismiss(incarnation))
                actions += self.follow(self.membership.receive(.emptied(incarnation), now: now), now)
            }
        }
        return actions
    }

    private mutating func pass(
        _ event: Assignments.Event, to kind: AssignedKind, _ now: MonotonicInstant
    ) -> [Action] {
        let actions =
            switch kind {
            case .shard: self.shards.receive(event, now: now)
            case .lane: self.lanes.receive(event, now: now)
            }
        return actions.map { action in
            switch action {
            case .persist(let claims): .persist(kind, claims)
            case .reload: .reload(kind)
            case .raise(let number, let epoch): .raise(kind, number: number, to: epoch)
            case .assign(let number, let epoch, let member): .assign(kind, number: number, epoch, to: member)
            case .prepare(let number, let epoch, let member): .prepare(kind, number: number, epoch, at: member)
            case .revoke(let number, let epoch, let member): .revoke(kind, number: number, epoch, from: member)
            case .viewChanged: .publishView(kind)
            case .handedOver(let reason): .handedOver(kind, reason: reason)
            }
        }
    }

    private static func kind(ownedBy role: Role) -> AssignedKind? {
        switch role {
        case .ticker: .shard
        case .dispatcher: .lane
        case .coordinator, .tool: nil
        }
    }
}
