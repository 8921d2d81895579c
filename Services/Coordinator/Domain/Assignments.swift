package import EscapementModel

/// Who owns each shard (or lane), under which epoch, and how that changes hands. See docs/cluster.md.
///
/// Unplanned: `unowned` → `claiming` → `assigned`. Planned: `assigned` → `preparing` → `revoking` →
/// `claiming` → `assigned`; the successor loads while the owner still works, so the pause is a release, a
/// claim and an open. A successor that cannot load ahead is not prepared. The claim is durable in the store before anyone is told: `assign` and `viewChanged` follow
/// only from `claimed`. Whoever is told is told again at each heartbeat that does not name the item with
/// its epoch, so a lost message costs half a second and no more.
///
/// Failure paths: a claim whose answer is lost, or that lost a race, leaves the item `unknown` until the
/// store's rows have been read again. An owner that does not answer a revoke in time is passed over: the
/// lane fences it. A successor that dies meanwhile leaves the item `unowned`. An owner that lets go unasked
/// (Kafka fenced it, or it cannot publish) leaves the item `unowned`: it never gets it back under the same
/// epoch. One that was refused for a higher epoch than the store's has the store raised above that first.
///
/// Invariants: an item's epoch never falls; at most one claim a kind is on its way; `assign` names the
/// epoch that the store answered, never one that was only asked for.
package struct Assignments: Sendable {
    package enum State: Equatable, Sendable {
        /// Nobody's. `last` is the epoch in the store. Next: `claiming`.
        case unowned(last: Epoch)
        /// The claim waits for its turn or is being written. Next: `assigned`, `unknown`.
        case claiming(Incarnation, expected: Epoch)
        /// Durable; told until the owner's heartbeat confirms it. Next: `revoking`, `unowned`.
        case assigned(Incarnation, Epoch, isConfirmed: Bool)
        /// The owner works; the successor loads. Next: `revoking`, `claiming`, `assigned`, `unowned`.
        case preparing(Incarnation, Epoch, successor: Incarnation, since: MonotonicInstant)
        /// The owner was told to stop; the successor waits. Next: `claiming`, `unowned`.
        case revoking(Incarnation, Epoch, successor: Incarnation, since: MonotonicInstant)
        /// What the store holds is not known. Next: any, by `loaded`.
        case unknown
    }

    /// A row of the store.
    package struct Row: Equatable, Sendable {
        package var number: UInt16
        package var epoch: Epoch
        package var owner: Incarnation?

        package init(number: UInt16, epoch: Epoch, owner: Incarnation?) {
            self.number = number
            self.epoch = epoch
            self.owner = owner
        }
    }

    /// A claim to be written, by compare-and-set on `expected`.
    package struct Claim: Equatable, Sendable {
        package var number: UInt16
        package var expected: Epoch
        package var owner: Incarnation
        /// For the history: `join`, `dead`, `left`, `rebalance`, `drain`, `unreachable`.
        package var reason: String

        package init(number: UInt16, expected: Epoch, owner: Incarnation, reason: String) {
            self.number = number
            self.expected = expected
            self.owner = owner
            self.reason = reason
        }
    }

    /// An item shall be a member's.
    package struct Decision: Equatable, Sendable {
        package var number: UInt16
        package var to: Incarnation
        package var reason: String
        /// Whether the member loads it first, in a planned move.
        package var isPrepared: Bool

        package init(number: UInt16, to: Incarnation, reason: String, isPrepared: Bool = false) {
            self.number = number
            self.to = to
            self.reason = reason
            self.isPrepared = isPrepared
        }
    }

    /// What a member says it holds.
    package struct Holding: Equatable, Sendable {
        package var number: UInt16
        package var epoch: Epoch
        /// Of a shard, when its ticker has measured it.
        package var load: ShardLoads.Measure?
        /// Of a lane: its dispatcher has tried for a while and cannot publish it.
        package var isTroubled: Bool

        package init(
            number: UInt16, epoch: Epoch, load: ShardLoads.Measure? = nil, isTroubled: Bool = false
        ) {
            self.number = number
            self.epoch = epoch
            self.load = load
            self.isTroubled = isTroubled
        }
    }

    package enum Event: Equatable, Sendable {
        /// The store's rows, at the start of a term and after a doubt.
        case loaded([Row])
        /// Items that are nobody's go to members.
        case placed([Decision])
        /// Planned moves.
        case moved([Decision])
        /// The answers to the claims of the last `persist`, in its order; `nil` lost its race.
        case claimed([Epoch?])
        /// No answer to the last `persist`: it may or may not have been done.
        case claimsFailed
        case heartbeat(from: Incarnation, [Holding])
        /// The successor has loaded the item.
        case prepared(from: Incarnation, number: UInt16, Epoch)
        /// The member has let go. `seen` is the highest epoch it was refused for; `none` when it was not.
        case released(from: Incarnation, number: UInt16, Epoch, seen: Epoch = .none)
        /// The member is dead or gone.
        case ownerLost(Incarnation, reason: String)
        case tick
    }

    package enum Action: Equatable, Sendable {
        case persist([Claim])
        case reload
        /// The journal knows an epoch above the store's: raise the row to it, then read the rows again.
        case raise(number: UInt16, to: Epoch)
        case assign(number: UInt16, Epoch, to: Incarnation)
        /// Load the item, which another member owns under the epoch.
        case prepare(number: UInt16, Epoch, at: Incarnation)
        case revoke(number: UInt16, Epoch, from: Incarnation)
        /// `entries` has changed: everyone who needs the view gets the whole of it, before any `assign`
        /// that follows in the same list.
        case viewChanged
        /// A claim became durable; for the count of hand-overs.
        case handedOver(reason: String)
    }

    /// How long an owner may take to answer a revoke.
    package static let revokeWithin = Duration.seconds(2)
    /// How long a successor may take to load; then the move goes on, and it loads when it owns.
    package static let prepareWithin = Duration.seconds(5)

    package private(set) var states: [State]
    /// Claims that have not been sent, and those on their way.
    private var waiting: [Claim] = []
    private var sent: [Claim] = []
    private var reasons: [String]
    /// Epochs that nobody may work under any more, though the row may name an owner with them.
    private var spent: [UInt16: Epoch] = [:]
    private let revokeWithin: Duration

    /// - Parameter count: how many shards or lanes there are; fixed for the cluster.
    package init(count: Int, revokeWithin: Duration = Self.revokeWithin) {
        self.states = Array(repeating: .unknown, count: count)
        self.reasons = Array(repeating: "join", count: count)
        self.revokeWithin = revokeWithin
    }

    /// The owners that may work now, in order of number: assigned ones, and those that were told to stop
    /// and have not been replaced.
    package var entries: [Row] {
        self.states.enumerated().compactMap { index, state in
            switch state {
            case .assigned(let owner, let epoch, _), .revoking(let owner, let epoch, _, _),
                .preparing(let owner, let epoch, _, _):
                Row(number: UInt16(index), epoch: epoch, owner: owner)
            case .unowned, .claiming, .unknown: nil
            }
        }
    }

    /// What a plan starts from: the owner of each item, where it is going if it moves. All are alike; whoever plans
    /// knows more of them.
    package var items: [Placement.Item] {
        self.states.enumerated().compactMap { index, state in
            let number = UInt16(index)
            switch state {
            case .unowned: return Placement.Item(number: number, owner: nil)
            case .claiming(let owner, _): return Placement.Item(number: number, owner: owner, isPinned: true)
            case .assigned(let owner, _, _): return Placement.Item(number: number, owner: owner)
            case .revoking(_, _, let successor, _), .preparing(_, _, let successor, _):
                return Placement.Item(number: number, owner: successor, isPinned: true)
            case .unknown: return nil
            }
        }
    }

    /// Planned moves that have begun and are not claimed.
    package var movesInFlight: Int {
        self.states.count { state in
            switch state {
            case .preparing, .revoking: true
            case .assigned, .claiming, .unowned, .unknown: false
            }
        }
    }

    /// Items whose owner has not said yet that it has them, or that are being claimed.
    package var unconfirmedCount: Int {
        self.states.count { state in
            switch state {
            case .assigned(_, _, isConfirmed: false), .claiming: true
            case .assigned, .preparing, .revoking, .unowned, .unknown: false
            }
        }
    }

    /// Whether the store has to be read before anything is planned.
    package var isInDoubt: Bool { self.states.contains(.unknown) }

    /// Items that nobody may work on now.
    package var unownedCount: Int { self.states.count - self.entries.count }

    /// How many items the member owns or is about to.
    package func count(of member: Incarnation) -> Int {
        self.states.count { state in
            switch state {
            case .assigned(member, _, _), .preparing(member, _, _, _), .revoking(member, _, _, _),
                .claiming(member, _):
                true
            case .assigned, .preparing, .revoking, .claiming, .unowned, .unknown: false
            }
        }
    }

    /// Whether `epoch` is what the store says of the item and `owner` has it.
    package func isCurrent(_ number: UInt16, _ epoch: Epoch, owner: Incarnation) -> Bool {
        guard Int(number) < self.states.count else { return false }
        switch self.states[Int(number)] {
        case .assigned(owner, epoch, _), .preparing(owner, epoch, _, _), .revoking(owner, epoch, _, _): return true
        case .assigned, .preparing, .revoking, .claiming, .unowned, .unknown: return false
        }
    }

    /// Whether the member was told to load the item, which its owner has under `epoch`, and does not own it yet.
    package func isNext(_ number: UInt16, _ epoch: Epoch, successor: Incarnation) -> Bool {
        guard Int(number) < self.states.count else { return false }
        switch self.states[Int(number)] {
        case .preparing(_, epoch, successor, _), .revoking(_, epoch, successor, _): return true
        case .claiming(successor, epoch): return true
        case .assigned, .preparing, .revoking, .claiming, .unowned, .unknown: return false
        }
    }

    /// The owner that may work on the item now.
    package func owner(of number: UInt16) -> Incarnation? {
        guard Int(number) < self.states.count else { return nil }
        switch self.states[Int(number)] {
        case .assigned(let owner, _, _), .preparing(let owner, _, _, _), .revoking(let owner, _, _, _): return owner
        case .claiming, .unowned, .unknown: return nil
        }
    }

    /// Takes one event; returns what the shell has to do, in order.
    package mutating func receive(_ event: Event, now: MonotonicInstant) -> [Action] {
        var actions: [Action]
        switch event {
        case .loaded(let rows): actions = self.load(rows)
        case .placed(let decisions):
            actions = []
            for decision in decisions {
                guard case .unowned(let last) = self.states[Int(decision.number)] else { continue }
                self.claim(decision.number, for: decision.to, expected: last, decision.reason)
            }
        case .moved(let decisions): actions = decisions.flatMap { self.move($0, now) }
        case .claimed(let epochs): actions = self.settle(epochs)
        case .claimsFailed:
            for claim in self.sent { self.states[Int(claim.number)] = .unknown }
            self.sent = []
            actions = [.reload]
        case .heartbeat(let member, let holdings): actions = self.reconcile(member, holdings)
        case .prepared(let member, let number, let epoch):
            actions = self.isPreparing(number, epoch, member) ? self.revoke(number, now) : []
        case .released(let member, let number, let epoch, let seen):
            actions = self.release(member, number, epoch, seen: seen)
        case .ownerLost(let member, let reason): actions = self.lose(member, reason)
        case .tick: actions = self.expire(now)
        }
        if self.sent.isEmpty, !self.waiting.isEmpty {
            self.sent = self.waiting
            self.waiting = []
            actions.append(.persist(self.sent))
        }
        return actions
    }

    /// Why an orphan has none: the reason to give when it is placed.
    package func reason(of number: UInt16) -> String { self.reasons[Int(number)] }

    /// Stops the process when an invariant is broken. For tests; O(items · claims).
    package func checkInvariants() {
        let numbers = self.waiting.map(\.number) + self.sent.map(\.number)
        for (index, state) in self.states.enumerated() {
            if case .claiming = state {
                precondition(numbers.contains(UInt16(index)), "item \(index) claims and nothing is on its way")
            }
        }
        precondition(Set(self.waiting.map(\.number)).count == self.waiting.count, "two waiting claims of one item")
    }

    private mutating func claim(_ number: UInt16, for member: Incarnation, expected: Epoch, _ reason: String) {
        self.states[Int(number)] = .claiming(member, expected: expected)
        self.waiting.append(Claim(number: number, expected: expected, owner: member, reason: reason))
    }

    private mutating func move(_ decision: Decision, _ now: MonotonicInstant) -> [Action] {
        guard case .assigned(let owner, let epoch, _) = self.states[Int(decision.number)], owner != decision.to
        else { return [] }
        self.reasons[Int(decision.number)] = decision.reason
        self.states[Int(decision.number)] = .preparing(owner, epoch, successor: decision.to, since: now)
        if decision.isPrepared { return [.prepare(number: decision.number, epoch, at: decision.to)] }
        return self.revoke(decision.number, now)
    }

    private func isPreparing(_ number: UInt16, _ epoch: Epoch, _ member: Incarnation) -> Bool {
        guard Int(number) < self.states.count, case .preparing(_, epoch, member, _) = self.states[Int(number)] else {
            return false
        }
        return true
    }

    /// The successor is ready, or has had its time: the owner is to stop.
    private mutating func revoke(_ number: UInt16, _ now: MonotonicInstant) -> [Action] {
        guard case .preparing(let owner, let epoch, let successor, _) = self.states[Int(number)] else { return [] }
        self.states[Int(number)] = .revoking(owner, epoch, successor: successor, since: now)
        return [.revoke(number: number, epoch, from: owner)]
    }

    private mutating func release(_ member: Incarnation, _ number: UInt16, _ epoch: Epoch, seen: Epoch) -> [Action] {
        guard Int(number) < self.states.count else { return [] }
        switch self.states[Int(number)] {
        case .revoking(member, epoch, _, _) where seen > epoch, .preparing(member, epoch, _, _) where seen > epoch,
            .assigned(member, epoch, _) where seen > epoch:
            self.states[Int(number)] = .unknown
            self.spent[number] = seen
            self.reasons[Int(number)] = "fenced"
            return [.viewChanged, .raise(number: number, to: seen)]
        case .revoking(member, epoch, let successor, _), .preparing(member, epoch, let successor, _):
            self.claim(number, for: successor, expected: epoch, self.reasons[Int(number)])
            return []
        case .assigned(member, epoch, _):
            self.states[Int(number)] = .unowned(last: epoch)
            self.reasons[Int(number)] = "returned"
            return [.viewChanged]
        case .preparing, .revoking, .assigned, .claiming, .unowned, .unknown:
            return []  // An echo: of another epoch, or after the time was up.
        }
    }

    /// Takes the rows for every item in doubt; others are as this leader made them.
    private mutating func load(_ rows: [Row]) -> [Action] {
        var actions: [Action] = []
        for row in rows where Int(row.number) < self.states.count {
            guard case .unknown = self.states[Int(row.number)] else { continue }
            if let owner = row.owner, self.spent[row.number].map({ row.epoch > $0 }) ?? true {
                self.states[Int(row.number)] = .assigned(owner, row.epoch, isConfirmed: false)
                actions.append(.assign(number: row.number, row.epoch, to: owner))
            } else {
                self.states[Int(row.number)] = .unowned(last: row.epoch)
            }
        }
        return actions.isEmpty ? [] : [.viewChanged] + actions
    }

    private mutating func settle(_ epochs: [Epoch?]) -> [Action] {
        precondition(epochs.count == self.sent.count, "\(epochs.count) answers to \(self.sent.count) claims")
        var actions: [Action] = []
        var isInDoubt = false
        for (claim, epoch) in zip(self.sent, epochs) {
            if let epoch, self.states[Int(claim.number)] == .claiming(claim.owner, expected: claim.expected) {
                self.states[Int(claim.number)] = .assigned(claim.owner, epoch, isConfirmed: false)
                actions += [.handedOver(reason: claim.reason), .assign(number: claim.number, epoch, to: claim.owner)]
            } else {
                // A lost race, or a member that was lost while its claim was written: nobody was told.
                self.waiting.removeAll { $0.number == claim.number }
                self.states[Int(claim.number)] = .unknown
                isInDoubt = true
            }
        }
        self.sent = []
        if !actions.isEmpty { actions.insert(.viewChanged, at: 0) }
        if isInDoubt { actions.append(.reload) }
        return actions
    }

    /// Compares what a member holds with what it should hold.
    private mutating func reconcile(_ member: Incarnation, _ holdings: [Holding]) -> [Action] {
        var held: [UInt16: Epoch] = [:]
        for holding in holdings where Int(holding.number) < self.states.count {
            held[holding.number] = max(holding.epoch, held[holding.number] ?? .none)
        }
        var actions: [Action] = []
        for (index, state) in self.states.enumerated() {
            let number = UInt16(index)
            let epochHeld = held[number]
            switch state {
            case .assigned(member, let epoch, let isConfirmed):
                if epochHeld == epoch {
                    if !isConfirmed { self.states[index] = .assigned(member, epoch, isConfirmed: true) }
                } else {
                    actions.append(.assign(number: number, epoch, to: member))
                }
            case .preparing(member, let epoch, _, _):
                if epochHeld != epoch { actions.append(.assign(number: number, epoch, to: member)) }
            case .revoking(member, let epoch, _, _):
                if epochHeld == epoch { actions.append(.revoke(number: number, epoch, from: member)) }
            case .assigned, .preparing, .revoking, .claiming, .unowned:
                // It went to somebody else, or is about to: the member has not noticed.
                if let epochHeld { actions.append(.revoke(number: number, epochHeld, from: member)) }
            case .unknown: continue  // It may be the member's by right.
            }
        }
        return actions
    }

    private mutating func lose(_ member: Incarnation, _ reason: String) -> [Action] {
        var isChanged = false
        for (index, state) in self.states.enumerated() {
            switch state {
            case .assigned(member, let epoch, _):
                self.states[index] = .unowned(last: epoch)
                self.reasons[index] = reason
                isChanged = true
            case .preparing(let owner, let epoch, member, _):
                // Nothing was taken from the owner yet.
                self.states[index] = .assigned(owner, epoch, isConfirmed: true)
            case .revoking(member, let epoch, let successor, _), .preparing(member, let epoch, let successor, _):
                self.claim(UInt16(index), for: successor, expected: epoch, self.reasons[index])
                isChanged = true
            case .revoking(_, let epoch, member, _):
                // The owner may have stopped already; whoever is chosen now gets a new epoch.
                self.states[index] = .unowned(last: epoch)
                self.reasons[index] = reason
                isChanged = true
            case .claiming(member, let expected):
                let number = UInt16(index)
                if self.waiting.contains(where: { $0.number == number }) {
                    self.waiting.removeAll { $0.number == number }
                    self.states[index] = .unowned(last: expected)
                    self.reasons[index] = reason
                } else {
                    // Being written: read back what became of it.
                    self.states[index] = .unknown
                }
            case .assigned, .preparing, .revoking, .claiming, .unowned, .unknown: continue
            }
        }
        return isChanged ? [.viewChanged] : []
    }

    private mutating func expire(_ now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        for (index, state) in self.states.enumerated() {
            switch state {
            case .preparing(_, _, _, let since) where now.duration(since: since) >= Self.prepareWithin:
                actions += self.revoke(UInt16(index), now)
            case .revoking(_, let epoch, let successor, let since) where now.duration(since: since) >= self.revokeWithin:
                self.claim(UInt16(index), for: successor, expected: epoch, self.reasons[index])
            case .preparing, .revoking, .assigned, .claiming, .unowned, .unknown: continue
            }
        }
        return actions
    }
}
