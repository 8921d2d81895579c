import CoordinatorDomain
import EscapementModel
import Testing
import TestSupport

@Suite struct LeaderTermTests {
    @Test func `the first members share everything`() {
        var harness = TermHarness(shards: 16, lanes: 4)
        harness.join(1)
        harness.join(2)
        harness.join(11, .dispatcher)
        harness.join(12, .dispatcher)
        harness.run(2500)
        #expect([harness.count(1), harness.count(2)] == [8, 8])
        #expect([harness.count(11), harness.count(12)] == [2, 2])
        #expect(harness.term.shards.unownedCount == 0)
    }

    @Test func `a killed ticker's shards go to the others under higher epochs`() {
        var harness = TermHarness(shards: 16, lanes: 4)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.silent.insert(incarnation(2))
        harness.send(.closed(incarnation(2), goodbye: false))
        harness.run(1200)
        #expect(harness.count(1) == 16)
        let epochs = harness.rows[.shard]?.map(\.epoch.rawValue).sorted()
        #expect(epochs == Array(repeating: 1, count: 8) + Array(repeating: 2, count: 8))
    }

    @Test func `a paused ticker loses its shards after three seconds and returns empty`() {
        var harness = TermHarness(shards: 8, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.silent.insert(incarnation(2))
        harness.run(3500)
        #expect(harness.count(1) == 8)
        harness.silent.remove(incarnation(2))
        harness.send(.joined(identity(2)))
        harness.run(1000)
        #expect(harness.count(2) == 0, "what it still held is revoked")
        harness.run(20_000)
        #expect(harness.count(1) + harness.count(2) == 8)
        #expect(harness.count(2) >= 3)
    }

    @Test func `a leader that stood still takes nothing from anybody`() {
        var harness = TermHarness(shards: 16, lanes: 4)
        harness.join(1)
        harness.join(2)
        harness.join(11, .dispatcher)
        harness.run(2500)
        harness.handovers = [:]
        harness.now += 3900
        harness.run(10_000)
        #expect(harness.handovers.isEmpty)
        #expect([harness.count(1), harness.count(2), harness.count(11)] == [8, 8, 4])
    }

    @Test func `after all tickers were lost the first to come back does not get everything`() {
        var harness = TermHarness(shards: 16, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.silent = [incarnation(1), incarnation(2)]
        harness.run(3500)
        #expect(harness.term.membership.members.isEmpty)
        harness.silent = []
        harness.held = [:]
        harness.join(1)
        harness.run(500)
        harness.join(2)
        harness.run(700)
        #expect([harness.count(1), harness.count(2)] == [8, 8])
    }

    @Test func `a lone ticker that comes back waits for nobody, others for a second`() {
        for lost in [[incarnation(1)], [incarnation(1), incarnation(2)]] {
            var harness = TermHarness(shards: 4, lanes: 1)
            for member in lost { harness.join(member.uid.low) }
            harness.run(2500)
            harness.silent = Set(lost)
            harness.run(3500)
            harness.silent = []
            harness.held = [:]
            harness.join(1)
            harness.run(700)
            #expect(harness.count(1) == (lost.count == 1 ? 4 : 0))
            harness.run(1000)
            #expect(harness.count(1) == 4)
        }
    }

    @Test func `a join is followed by planned moves, batched and bounded`() {
        var harness = TermHarness(shards: 64, lanes: 1)
        harness.join(1)
        harness.run(2000)
        #expect(harness.count(1) == 64)
        harness.join(2)
        harness.run(4000)
        #expect(harness.count(2) == 0, "further joins may come")
        harness.run(2000)
        #expect((1...6).contains(harness.count(2)), "a tenth in ten seconds")
        harness.run(90_000)
        #expect(harness.count(1) + harness.count(2) == 64)
        #expect(harness.count(2) >= 28)
    }

    @Test func `a leaving ticker is emptied and dismissed`() {
        var harness = TermHarness(shards: 32, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.leaving.insert(incarnation(1))
        harness.run(1500)
        #expect(harness.dismissed == [incarnation(1)])
        #expect(harness.count(2) == 32)
    }

    @Test func `a leaving ticker that nobody can relieve is let go`() {
        var harness = TermHarness(shards: 4, lanes: 1)
        harness.join(1)
        harness.run(2500)
        harness.leaving.insert(incarnation(1))
        harness.run(600)
        #expect(harness.dismissed == [incarnation(1)])
        harness.join(2)
        harness.run(1500)
        #expect(harness.count(2) == 4)
    }

    @Test func `what an owner gives back unasked goes on under a new epoch`() {
        var harness = TermHarness(shards: 2, lanes: 2)
        harness.join(11, .dispatcher)
        harness.run(2500)
        harness.held[incarnation(11)]?[0] = nil
        harness.send(.released(.lane, from: incarnation(11), number: 0, Epoch(1)))
        #expect(harness.held[incarnation(11)] == [0: Epoch(2), 1: Epoch(1)])
    }

    @Test func `an epoch above the store's lifts the next owner above it`() {
        var harness = TermHarness(shards: 2, lanes: 1)
        harness.join(1)
        harness.run(2500)
        harness.held[incarnation(1)]?[1] = nil
        harness.send(.released(.shard, from: incarnation(1), number: 1, Epoch(1), seen: Epoch(40)))
        harness.run(1000)
        #expect(harness.held[incarnation(1)] == [0: Epoch(1), 1: Epoch(41)])
        #expect(harness.told.allSatisfy { $0.2 != Epoch(40) }, "40 is somebody's already")
    }

    @Test func `a dispatcher that cannot publish is emptied while another one can`() {
        var harness = TermHarness(shards: 2, lanes: 4)
        harness.join(11, .dispatcher)
        harness.join(12, .dispatcher)
        harness.run(2500)
        harness.complaints[incarnation(11)] = "Kafka unavailable: no broker answers"
        harness.run(1500)
        #expect(harness.count(12) == 4)
        harness.complaints[incarnation(12)] = "Kafka unavailable: no broker answers"
        harness.run(3000)
        #expect(harness.count(12) == 4, "when nobody can, moving helps nobody")
    }

    @Test func `a drained ticker is emptied, stays empty, and works again when it may`() {
        var harness = TermHarness(shards: 16, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.send(.drained(incarnation(1), true))
        harness.run(3000)
        #expect([harness.count(1), harness.count(2)] == [0, 16])
        #expect(harness.dismissed.isEmpty, "the process stays")
        harness.join(3)
        harness.run(60_000)
        #expect(harness.count(1) == 0 && harness.count(3) >= 7)
        harness.send(.drained(incarnation(1), false))
        harness.run(60_000)
        #expect(harness.count(1) >= 4)
    }

    @Test func `the next leader learns from the member itself that it is to be empty`() {
        var harness = TermHarness(shards: 8, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(500)
        harness.send(.heartbeat(incarnation(1), Membership.Report(isDrained: true), []))
        #expect(harness.term.membership.members[incarnation(1)]?.isDrained == false, "this leader knows better")
        var next = TermHarness(shards: 8, lanes: 1)
        next.join(1)
        next.join(2)
        next.send(.heartbeat(incarnation(1), Membership.Report(isDrained: true), []))
        next.run(3000)
        #expect([next.count(1), next.count(2)] == [0, 8])
    }

    @Test func `lanes are moved one by one`() {
        var harness = TermHarness(shards: 1, lanes: 8)
        harness.join(11, .dispatcher)
        harness.join(12, .dispatcher)
        harness.run(3000)
        harness.leaving.insert(incarnation(11))
        for _ in 0..<65 {
            harness.run(100)
            let lanes = harness.term.lanes
            #expect(lanes.movesInFlight + lanes.unconfirmedCount <= 1)
        }
        #expect(harness.held[incarnation(12)]?.count == 8)
    }

    @Test func `a drained ticker works on when the others die`() {
        var harness = TermHarness(shards: 8, lanes: 1)
        harness.join(1)
        harness.join(2)
        harness.run(2500)
        harness.send(.drained(incarnation(1), true))
        harness.run(2000)
        harness.held[incarnation(2)] = nil
        harness.send(.closed(incarnation(2), goodbye: false))
        harness.run(3000)
        #expect(harness.count(1) == 8)
    }

    @Test func `a rebalance on demand waits for neither joins nor windows`() {
        var harness = TermHarness(shards: 64, lanes: 1)
        harness.join(1)
        harness.run(2000)
        harness.join(2)
        harness.run(600)
        harness.send(.rebalance)
        harness.run(1500)
        #expect(harness.count(2) >= 28 && harness.count(1) + harness.count(2) == 64)
        harness.join(3)
        harness.run(3000)
        #expect(harness.count(3) == 0, "the order was for that time only")
    }

    @Test func `a new leader's view waits for the owners that it would leave out`() {
        let owners = [Assignments.Row(number: 0, epoch: Epoch(5), owner: incarnation(11))]
        var harness = TermHarness(shards: 1, lanes: 1, laneOwners: owners)
        harness.join(1)
        #expect(!harness.term.isViewComplete(.lane))
        harness.join(11, .dispatcher)
        #expect(harness.term.isViewComplete(.lane))
        #expect(harness.published[.lane] == 1, "the tickers that came first get it now")
    }

    @Test func `once settled, a view goes out with whoever is there`() {
        let owners = [Assignments.Row(number: 0, epoch: Epoch(5), owner: incarnation(11))]
        var harness = TermHarness(shards: 1, lanes: 1, laneOwners: owners)
        harness.join(1)
        harness.run(3100)
        #expect(harness.term.isViewComplete(.lane))
        #expect(harness.published[.lane] == 1)
    }

    @Test func `a new leader keeps what the members hold`() {
        let owners = (0..<4).map {
            Assignments.Row(number: UInt16($0), epoch: Epoch(5), owner: incarnation($0 < 2 ? 1 : 2))
        }
        var harness = TermHarness(shards: 4, lanes: 1, owners: owners)
        harness.join(1)
        harness.join(2)
        harness.held[incarnation(1)] = [0: Epoch(5), 1: Epoch(5)]
        harness.held[incarnation(2)] = [2: Epoch(5), 3: Epoch(5)]
        harness.run(6000)
        #expect(harness.rows[.shard] == owners, "no claim was needed")
        #expect(harness.told.isEmpty)
    }

    @Test func `a new leader gives up owners that do not report within its settle window`() {
        let owners = [Assignments.Row(number: 0, epoch: Epoch(5), owner: incarnation(9))]
        var harness = TermHarness(shards: 2, lanes: 1, owners: owners)
        harness.join(1)
        harness.run(2900)
        #expect(harness.rows[.shard]?[0].owner == incarnation(9))
        harness.run(1000)
        #expect(harness.rows[.shard]?[0] == Assignments.Row(number: 0, epoch: Epoch(6), owner: incarnation(1)))
    }

    @Test func `while the store is away nobody is told anything new`() {
        var harness = TermHarness(shards: 4, lanes: 1)
        harness.storeIsUp = false
        harness.join(1)
        harness.run(5000)
        #expect(harness.told.isEmpty)
        harness.storeIsUp = true
        harness.send(.loaded(.shard, harness.rows[.shard] ?? []))
        harness.run(1000)
        #expect(harness.count(1) == 4)
    }

    /// Joins, kills, pauses, leaves in any order; once all is quiet everything is owned by exactly one.
    @Test(arguments: 0..<25) func `whatever happens, in the end every shard has one live owner`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var harness = TermHarness(shards: 24, lanes: 4)
        var next: UInt64 = 1
        for _ in 0..<40 {
            let alive = harness.held.keys.sorted()
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                harness.join(next, Bool.random(using: &random) ? .ticker : .dispatcher)
                next += 1
            case 2:
                if let victim = alive.randomElement(using: &random) {
                    harness.held[victim] = nil
                    harness.send(.closed(victim, goodbye: Bool.random(using: &random)))
                }
            case 3: if let victim = alive.randomElement(using: &random) { harness.silent.insert(victim) }
            case 4: if let victim = alive.randomElement(using: &random) { harness.leaving.insert(victim) }
            default: break
            }
            harness.run(Int.random(in: 1...20, using: &random) * 100)
        }
        for member in harness.silent { harness.held[member] = nil }
        for member in harness.leaving { harness.held[member] = nil }
        harness.join(next, .ticker)
        harness.join(next + 1, .dispatcher)
        harness.run(8000)
        for kind in AssignedKind.allCases {
            #expect(harness.term.assignments(of: kind).unownedCount == 0, "seed \(seed)")
            var owners: [UInt16: [Incarnation]] = [:]
            for (member, holdings) in harness.held where harness.roles[member] == kind.owner {
                for number in holdings.keys { owners[number, default: []].append(member) }
            }
            #expect(owners.values.allSatisfy { $0.count == 1 }, "two owners (seed \(seed))")
            #expect(owners.count == harness.rows[kind]?.count, "seed \(seed)")
        }
        var highest: [String: Epoch] = [:]
        for (kind, number, epoch, _) in harness.told {
            let key = "\(kind) \(number)"
            #expect(epoch >= highest[key] ?? .none, "an epoch fell (seed \(seed))")
            highest[key] = epoch
        }
    }
}
