import CoordinatorDomain
import EscapementModel
import Testing

@Suite struct AssignmentsTests {
    private let a = incarnation(1)
    private let b = incarnation(2)
    private var assignments = Assignments(count: 2)

    private mutating func send(_ event: Assignments.Event, at milliseconds: Int = 0) -> [Assignments.Action] {
        defer { self.assignments.checkInvariants() }
        return self.assignments.receive(event, now: instant(milliseconds))
    }

    private func claim(_ number: UInt16, _ expected: UInt64, _ owner: Incarnation, _ reason: String)
        -> Assignments.Claim
    {
        Assignments.Claim(number: number, expected: Epoch(expected), owner: owner, reason: reason)
    }

    private func decision(_ number: UInt16, _ to: Incarnation, _ reason: String = "join") -> Assignments.Decision {
        Assignments.Decision(number: number, to: to, reason: reason)
    }

    private func holding(_ number: UInt16, _ epoch: UInt64) -> Assignments.Holding {
        Assignments.Holding(number: number, epoch: Epoch(epoch))
    }

    private func row(_ number: UInt16, _ epoch: UInt64, _ owner: Incarnation?) -> Assignments.Row {
        Assignments.Row(number: number, epoch: Epoch(epoch), owner: owner)
    }

    /// Shard 0 is a's under epoch 7 and confirmed; shard 1 is nobody's, last epoch 3.
    private mutating func assigned() {
        _ = self.send(.loaded([self.row(0, 7, self.a), self.row(1, 3, nil)]))
        _ = self.send(.heartbeat(from: self.a, [self.holding(0, 7)]))
    }

    @Test mutating func `nobody is told before the claim is durable`() {
        #expect(self.send(.loaded([self.row(0, 6, nil), self.row(1, 0, nil)])) == [])
        #expect(
            self.send(.placed([self.decision(0, self.a), self.decision(1, self.b)]))
                == [.persist([self.claim(0, 6, self.a, "join"), self.claim(1, 0, self.b, "join")])])
        #expect(self.assignments.entries == [])
        #expect(self.send(.heartbeat(from: self.a, [])) == [], "not told by a heartbeat either")
        #expect(
            self.send(.claimed([Epoch(9), Epoch(1)])) == [
                .viewChanged, .handedOver(reason: "join"), .assign(number: 0, Epoch(9), to: self.a),
                .handedOver(reason: "join"), .assign(number: 1, Epoch(1), to: self.b),
            ], "the epochs are those of the store")
        #expect(self.assignments.entries == [self.row(0, 9, self.a), self.row(1, 1, self.b)])
    }

    @Test mutating func `the owner is told until its heartbeat confirms the epoch`() {
        self.assigned()
        let again = Assignments.Action.assign(number: 0, Epoch(7), to: self.a)
        #expect(self.send(.heartbeat(from: self.a, [])) == [again])
        #expect(
            self.send(.heartbeat(from: self.a, [self.holding(0, 6)])) == [again], "an older epoch is no confirmation")
        #expect(self.send(.heartbeat(from: self.a, [self.holding(0, 7)])) == [])
    }

    @Test mutating func `a planned move revokes, claims, assigns`() {
        self.assigned()
        #expect(
            self.send(.moved([self.decision(0, self.b, "rebalance")]), at: 0)
                == [.revoke(number: 0, Epoch(7), from: self.a)])
        #expect(self.assignments.entries == [self.row(0, 7, self.a)], "the old owner may finish")
        #expect(
            self.send(.heartbeat(from: self.a, [self.holding(0, 7)])) == [.revoke(number: 0, Epoch(7), from: self.a)])
        #expect(self.send(.released(from: self.b, number: 0, Epoch(7))) == [], "not the owner")
        #expect(self.send(.released(from: self.a, number: 0, Epoch(6))) == [], "another epoch")
        #expect(
            self.send(.released(from: self.a, number: 0, Epoch(7)))
                == [.persist([self.claim(0, 7, self.b, "rebalance")])])
        #expect(
            self.send(.claimed([Epoch(8)])) == [
                .viewChanged, .handedOver(reason: "rebalance"), .assign(number: 0, Epoch(8), to: self.b),
            ])
        #expect(
            self.send(.heartbeat(from: self.a, [self.holding(0, 7)]))
                == [.revoke(number: 0, Epoch(7), from: self.a)], "a zombie is told that it is one")
    }

    @Test mutating func `a successor loads before the owner is told to stop`() {
        self.assigned()
        var toB = self.decision(0, self.b, "rebalance")
        toB.isPrepared = true
        #expect(self.send(.moved([toB])) == [.prepare(number: 0, Epoch(7), at: self.b)])
        #expect(self.assignments.entries == [self.row(0, 7, self.a)], "the owner fires on")
        #expect(self.send(.heartbeat(from: self.a, [self.holding(0, 7)])) == [])
        #expect(self.assignments.isNext(0, Epoch(7), successor: self.b))
        #expect(self.send(.prepared(from: self.a, number: 0, Epoch(7))) == [], "not the successor")
        #expect(self.send(.prepared(from: self.b, number: 0, Epoch(6))) == [], "another epoch")
        #expect(
            self.send(.prepared(from: self.b, number: 0, Epoch(7))) == [.revoke(number: 0, Epoch(7), from: self.a)])
        #expect(
            self.send(.released(from: self.a, number: 0, Epoch(7)))
                == [.persist([self.claim(0, 7, self.b, "rebalance")])])
    }

    @Test mutating func `a successor that takes too long to load is given the item as it is`() {
        self.assigned()
        var toB = self.decision(0, self.b)
        toB.isPrepared = true
        _ = self.send(.moved([toB]), at: 100)
        #expect(self.send(.tick, at: 5099) == [])
        #expect(self.send(.tick, at: 5100) == [.revoke(number: 0, Epoch(7), from: self.a)])
        #expect(self.send(.tick, at: 7100) == [.persist([self.claim(0, 7, self.b, "join")])])
    }

    @Test mutating func `a successor that dies while it loads leaves the item where it is`() {
        self.assigned()
        var toB = self.decision(0, self.b)
        toB.isPrepared = true
        _ = self.send(.moved([toB]))
        _ = self.send(.ownerLost(self.b, reason: "dead"))
        #expect(self.assignments.states[0] == .assigned(self.a, Epoch(7), isConfirmed: true))
    }

    @Test mutating func `an owner that dies while the successor loads is followed by it`() {
        self.assigned()
        var toB = self.decision(0, self.b, "drain")
        toB.isPrepared = true
        _ = self.send(.moved([toB]))
        #expect(
            self.send(.ownerLost(self.a, reason: "dead"))
                == [.viewChanged, .persist([self.claim(0, 7, self.b, "drain")])])
    }

    @Test mutating func `an owner that does not answer a revoke is passed over after two seconds`() {
        self.assigned()
        _ = self.send(.moved([self.decision(0, self.b, "drain")]), at: 100)
        #expect(self.send(.tick, at: 2099) == [])
        #expect(self.send(.tick, at: 2100) == [.persist([self.claim(0, 7, self.b, "drain")])])
        #expect(self.send(.released(from: self.a, number: 0, Epoch(7)), at: 2200) == [], "too late to matter")
    }

    @Test mutating func `a death frees at once, and the next owner gets a higher epoch`() {
        self.assigned()
        #expect(self.send(.ownerLost(self.a, reason: "dead")) == [.viewChanged])
        #expect(self.assignments.entries == [])
        #expect(self.assignments.reason(of: 0) == "dead")
        #expect(
            self.send(.placed([self.decision(0, self.b, "dead")])) == [.persist([self.claim(0, 7, self.b, "dead")])])
    }

    @Test mutating func `the successor's death leaves the item to be placed anew`() {
        self.assigned()
        _ = self.send(.moved([self.decision(0, self.b)]))
        #expect(self.send(.ownerLost(self.b, reason: "dead")) == [.viewChanged])
        #expect(self.assignments.states[0] == .unowned(last: Epoch(7)))
        #expect(
            self.send(.heartbeat(from: self.a, [self.holding(0, 7)])) == [.revoke(number: 0, Epoch(7), from: self.a)])
    }

    @Test mutating func `the owner's death during a move gives the item to the successor`() {
        self.assigned()
        _ = self.send(.moved([self.decision(0, self.b, "drain")]))
        #expect(
            self.send(.ownerLost(self.a, reason: "dead"))
                == [.viewChanged, .persist([self.claim(0, 7, self.b, "drain")])])
    }

    @Test mutating func `one claim is on its way, later ones wait together`() {
        _ = self.send(.loaded([self.row(0, 0, nil), self.row(1, 0, nil)]))
        _ = self.send(.placed([self.decision(0, self.a)]))
        #expect(self.send(.placed([self.decision(1, self.b)])) == [])
        #expect(
            self.send(.claimed([Epoch(1)])).last == .persist([self.claim(1, 0, self.b, "join")]))
    }

    @Test mutating func `a lost race reads the rows again and takes them`() {
        _ = self.send(.loaded([self.row(0, 4, nil), self.row(1, 0, nil)]))
        _ = self.send(.placed([self.decision(0, self.a)]))
        #expect(self.send(.claimed([nil])) == [.reload])
        #expect(self.assignments.isInDoubt)
        #expect(
            self.send(.loaded([self.row(0, 5, self.b), self.row(1, 0, nil)]))
                == [.viewChanged, .assign(number: 0, Epoch(5), to: self.b)])
    }

    @Test mutating func `a claim without an answer may have been done: the rows say`() {
        _ = self.send(.loaded([self.row(0, 4, nil), self.row(1, 0, nil)]))
        _ = self.send(.placed([self.decision(0, self.a)]))
        #expect(self.send(.claimsFailed) == [.reload])
        #expect(
            self.send(.loaded([self.row(0, 5, self.a), self.row(1, 0, nil)]))
                == [.viewChanged, .assign(number: 0, Epoch(5), to: self.a)])
    }

    @Test mutating func `a member lost while its claim is written is not told`() {
        _ = self.send(.loaded([self.row(0, 4, nil), self.row(1, 0, nil)]))
        _ = self.send(.placed([self.decision(0, self.a)]))
        #expect(self.send(.ownerLost(self.a, reason: "dead")) == [])
        #expect(self.send(.claimed([Epoch(5)])) == [.reload])
        #expect(self.send(.loaded([self.row(0, 5, self.a), self.row(1, 0, nil)])).first == .viewChanged)
        #expect(self.send(.ownerLost(self.a, reason: "dead")) == [.viewChanged])
        #expect(self.assignments.states[0] == .unowned(last: Epoch(5)))
    }

    @Test mutating func `a waiting claim of a lost member is dropped`() {
        _ = self.send(.loaded([self.row(0, 0, nil), self.row(1, 0, nil)]))
        _ = self.send(.placed([self.decision(0, self.a)]))
        _ = self.send(.placed([self.decision(1, self.b)]))
        _ = self.send(.ownerLost(self.b, reason: "dead"))
        #expect(!self.send(.claimed([Epoch(1)])).contains { if case .persist = $0 { true } else { false } })
        #expect(self.assignments.states[1] == .unowned(last: .none))
    }

    @Test mutating func `numbers that do not exist are ignored`() {
        self.assigned()
        #expect(self.send(.heartbeat(from: self.a, [self.holding(0, 7), self.holding(900, 1)])) == [])
        #expect(self.send(.released(from: self.a, number: 900, Epoch(1))) == [])
    }
}
