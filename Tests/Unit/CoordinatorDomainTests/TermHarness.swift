import CoordinatorDomain
import EscapementModel
import Testing
import TestSupport

/// A leader's term against a store and members that are plain values: claims are answered from rows, members
/// take what they are told and say so in their heartbeats.
struct TermHarness {
    var term: LeaderTerm
    var now = 0
    /// (kind, number) to epoch and owner, as the store has them.
    var rows: [AssignedKind: [Assignments.Row]]
    /// What each live member holds.
    var held: [Incarnation: [UInt16: Epoch]] = [:]
    var roles: [Incarnation: Role] = [:]
    var leaving: Set<Incarnation> = []
    var dismissed: Set<Incarnation> = []
    var silent: Set<Incarnation> = []
    /// Every assign ever sent, to check that epochs grow and that each was durable.
    var told: [(AssignedKind, UInt16, Epoch, Incarnation)] = []
    var storeIsUp = true
    var complaints: [Incarnation: String] = [:]
    /// What tickers say of each shard.
    var loads: [UInt16: ShardLoads.Measure] = [:]
    /// Lanes that each dispatcher says it cannot publish.
    var troubled: [Incarnation: Set<UInt16>] = [:]
    /// Shards given, by reason; and lanes.
    var handovers: [String: Int] = [:]
    var laneHandovers: [String: Int] = [:]
    /// How often each view was to be sent to everyone.
    var published: [AssignedKind: Int] = [:]

    init(shards: Int, lanes: Int, owners: [Assignments.Row] = [], laneOwners: [Assignments.Row] = []) {
        func rows(_ count: Int) -> [Assignments.Row] {
            (0..<UInt16(count)).map { Assignments.Row(number: $0, epoch: .none, owner: nil) }
        }
        var shardRows = rows(shards)
        for row in owners { shardRows[Int(row.number)] = row }
        var laneRows = rows(lanes)
        for row in laneOwners { laneRows[Int(row.number)] = row }
        self.rows = [.shard: shardRows, .lane: laneRows]
        self.term = LeaderTerm(shards: shardRows, lanes: laneRows, now: instant(0))
    }

    mutating func send(_ event: LeaderTerm.Event) {
        var pending = self.term.receive(event, now: instant(self.now))[...]
        while let action = pending.popFirst() {
            switch action {
            case .persist(let kind, let claims):
                guard self.storeIsUp else {
                    pending += self.term.receive(.claimsFailed(kind), now: instant(self.now))
                    continue
                }
                let epochs = claims.map { claim -> Epoch? in
                    guard self.rows[kind]?[Int(claim.number)].epoch == claim.expected else { return nil }
                    self.rows[kind]?[Int(claim.number)].epoch = claim.expected.next
                    self.rows[kind]?[Int(claim.number)].owner = claim.owner
                    return claim.expected.next
                }
                pending += self.term.receive(.claimed(kind, epochs), now: instant(self.now))
            case .reload(let kind):
                guard self.storeIsUp else { continue }
                pending += self.term.receive(.loaded(kind, self.rows[kind] ?? []), now: instant(self.now))
            case .raise(let kind, let number, let epoch):
                let row = self.rows[kind]?[Int(number)].epoch ?? .none
                self.rows[kind]?[Int(number)].epoch = max(row, epoch)
                pending += self.term.receive(.loaded(kind, self.rows[kind] ?? []), now: instant(self.now))
            case .assign(let kind, let number, let epoch, let member):
                let row = self.rows[kind]?[Int(number)]
                #expect(row?.epoch == epoch && row?.owner == member, "told before it was durable")
                self.told.append((kind, number, epoch, member))
                if !self.silent.contains(member) { self.held[member]?[number] = epoch }
            case .prepare(let kind, let number, let epoch, let member):
                guard !self.silent.contains(member) else { continue }
                pending += self.term.receive(
                    .prepared(kind, from: member, number: number, epoch), now: instant(self.now))
            case .revoke(let kind, let number, let epoch, let member):
                guard !self.silent.contains(member), self.held[member]?[number] == epoch else { continue }
                self.held[member]?[number] = nil
                pending += self.term.receive(
                    .released(kind, from: member, number: number, epoch), now: instant(self.now))
            case .dismiss(let member):
                self.dismissed.insert(member)
                self.held[member] = nil
            case .publishView(let kind): self.published[kind, default: 0] += 1
            case .handedOver(.shard, let reason): self.handovers[reason, default: 0] += 1
            case .handedOver(.lane, let reason): self.laneHandovers[reason, default: 0] += 1
            case .welcome, .memberChanged: break
            }
        }
    }

    mutating func join(_ number: UInt64, _ role: Role = .ticker) {
        self.held[incarnation(number)] = [:]
        self.roles[incarnation(number)] = role
        self.send(.joined(identity(number, role)))
    }

    /// Lets `milliseconds` pass, a tick each 100 ms and a heartbeat of everybody each 500 ms.
    mutating func run(_ milliseconds: Int) {
        let end = self.now + milliseconds
        while self.now < end {
            self.now += 100
            self.send(.tick)
            guard self.now % 500 == 0 else { continue }
            for (member, holdings) in self.held.sorted(by: { $0.key < $1.key }) where !self.silent.contains(member) {
                let loads = self.roles[member] == .ticker ? self.loads : [:]
                let list = holdings.map { number, epoch in
                    Assignments.Holding(
                        number: number, epoch: epoch, load: loads[number],
                        isTroubled: self.troubled[member]?.contains(number) == true)
                }
                let report = Membership.Report(
                    leaving: self.leaving.contains(member), complaint: self.complaints[member] ?? "")
                self.send(.heartbeat(member, report, list))
            }
        }
    }

    func count(_ member: UInt64) -> Int { self.held[incarnation(member)]?.count ?? 0 }
}
