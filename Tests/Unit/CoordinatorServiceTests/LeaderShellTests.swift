import CoordinatorService
import EscapementModel
import NIOCore
import Observability
import Store
import Testing
import TestSupport
import WireProtocol

@Suite struct LeaderShellTests {
    private func all(_ epoch: UInt64) -> [UInt16: Epoch] {
        Dictionary(uniqueKeysWithValues: (0..<UInt16(Harness.shardCount)).map { ($0, Epoch(epoch)) })
    }

    @Test func `a ticker that joins gets every shard, and each is in the store before it hears of it`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            try await harness.until("it owns all") { ticker.held == self.all(1) }
            let rows = try await harness.rows(.shard)
            #expect(rows.allSatisfy { $0.owner == NodeID("ticker-1") && $0.epoch == Epoch(1) })
            #expect(harness.store.assignmentHistory.allSatisfy { $0.reason == "join" && $0.leaderEpoch == Epoch(1) })
        }
    }

    @Test func `a leader finishes what a namespace's pause has not reached`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1) { $0.cleanEvery = .seconds(1) }
            _ = try await harness.leader()
            let now = harness.clocks.wallNow()
            let body = ScheduleBody(
                kind: .cron, when: [], misfirePolicy: 0, misfireToleranceMilliseconds: 0,
                misfireWindowMilliseconds: 0, misfireLimit: 0, template: [], document: [])
            _ = try await harness.store.createSchedule(
                NewSchedule(
                    uid: UID(high: 1, low: 1), shard: ShardID(1), namespace: "guest", name: "a", createdAt: now,
                    createdBy: "test", body: body))
            // Whoever stored the pause died before the schedules.
            _ = try await harness.store.changeNamespace(
                "guest", .pause(until: nil), ifGeneration: nil, origin: ChangeOrigin(at: now, by: "test"))
            try await harness.until("the schedule is paused") {
                try await harness.store.schedule(namespace: "guest", name: "a")?.isEmpty == true
            }
        }
    }

    @Test func `a leader counts schedules, and shows none when it leads no longer`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1) { $0.countEvery = .seconds(1) }
            let leader = try await harness.leader()
            let now = harness.clocks.wallNow()
            let body = ScheduleBody(
                kind: .cron, when: [], misfirePolicy: 0, misfireToleranceMilliseconds: 0,
                misfireWindowMilliseconds: 0, misfireLimit: 0, template: [], document: [])
            for (number, name) in ["a", "b", "c"].enumerated() {
                _ = try await harness.store.createSchedule(
                    NewSchedule(
                        uid: UID(high: 1, low: UInt64(number)), shard: ShardID(1), namespace: "guest", name: name,
                        createdAt: now, createdBy: "test", body: body))
            }
            _ = try await harness.store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(pause: .pause(until: nil)), ifGeneration: nil,
                origin: ChangeOrigin(at: now, by: "test"))
            func shown() -> [String: Double] {
                let family = leader.observability.metrics.snapshot().first { $0.name == "escapement_schedules" }
                var values: [String: Double] = [:]
                for series in family?.series ?? [] {
                    if case .number(let value) = series.value { values[series.labels[0].value] = value }
                }
                return values
            }
            try await harness.until("they are counted") { shown() == ["active": 2, "paused": 1] }
            await leader.stop()
            try await harness.until("nothing is shown") { shown() == ["active": 0, "paused": 0] }
        }
    }

    @Test func `while claims fail nobody is told, and then everybody once`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            for _ in 0..<3 { harness.store.failNext(.refused(.unavailable), operation: "claim") }
            harness.store.failNext(.answerLost, operation: "claim")
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
            #expect(ticker.held == self.all(1), "the claim whose answer was lost counts")
        }
    }

    @Test func `a killed ticker's shards go on under higher epochs`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            let second = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            try await harness.until("both own half") { first.held.count == 4 && second.held.count == 4 }
            let before = second.held
            first.die()
            try await harness.until("the second owns all") { second.held.count == Harness.shardCount }
            for (number, epoch) in second.held { #expect(epoch == (before[number] == nil ? Epoch(2) : Epoch(1))) }
            #expect(harness.store.assignmentHistory.suffix(4).allSatisfy { $0.reason == "dead" })
        }
    }

    @Test func `a silent ticker loses its shards after three seconds, and its link`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            let second = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            try await harness.until("both own half") { first.held.count == 4 && second.held.count == 4 }
            first.fallSilent()
            try await harness.until("the second owns all") { second.held.count == Harness.shardCount }
            try await harness.until("the first has to join anew") { !first.isConnected }
            first.fallSilent(false)
            try await first.connect(to: leader.address)
            try await harness.until("what it still held is taken back") {
                !first.received(ShardRevoke.self).isEmpty && Set(first.held.keys).isDisjoint(with: second.held.keys)
            }
        }
    }

    @Test func `a leaving ticker is emptied by planned moves`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            let second = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            try await harness.until("both own half") { first.held.count == 4 && second.held.count == 4 }
            first.leave()
            try await harness.until("it is empty") { first.held.isEmpty && second.held.count == Harness.shardCount }
            #expect(first.received(ShardRevoke.self).count >= 4)
            #expect(harness.store.assignmentHistory.suffix(4).allSatisfy { $0.reason == "drain" })
            #expect(first.isConnected, "it goes by itself")
        }
    }

    @Test func `an owner that does not let go is passed over after two seconds`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            let second = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            try await harness.until("both own half") { first.held.count == 4 && second.held.count == 4 }
            first.ignoreRevokes()
            first.leave()
            await harness.pass(.seconds(1))
            #expect(second.held.count == 4)
            try await harness.until("the second owns all") { second.held.count == Harness.shardCount }
        }
    }

    @Test func `an epoch that the journal knows lifts the store's`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            try await harness.until("it owns all") { ticker.held == self.all(1) }
            ticker.send(
                ShardReleased(leaderEpoch: Epoch(1), shard: ShardID(3), epoch: Epoch(1), seenEpoch: Epoch(70)))
            try await harness.until("the shard goes on above it") { ticker.held[3] == Epoch(71) }
            #expect(!ticker.received(ShardAssign.self).contains { $0.epoch == Epoch(70) })
        }
    }

    @Test func `dispatchers see the owners before a ticker hears of its shard`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let dispatcher = try await harness.join(.dispatcher, "dispatcher-1", incarnation: 11, leader)
            try await harness.until("it owns the lanes") { dispatcher.held.count == Harness.laneCount }
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            try await harness.until("the ticker owns all") { ticker.held.count == Harness.shardCount }
            let views = dispatcher.received(ShardView.self)
            #expect(views.last?.entries.count == Harness.shardCount)
            #expect(views.last?.entries.allSatisfy { $0.incarnation == ticker.incarnation } == true)
            #expect(zip(views, views.dropFirst()).allSatisfy { $0.version < $1.version })
            let lanes = try #require(ticker.received(LaneView.self).last)
            #expect(lanes.entries.map(\.address) == ["dispatcher-1:7400", "dispatcher-1:7400"])
        }
    }

    @Test func `a new leader tells tickers of no lane view that leaves out a dispatcher at work`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let dispatcher = try await harness.join(.dispatcher, "dispatcher-1", incarnation: 11, first)
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            try await harness.until("all is owned") {
                ticker.held.count == Harness.shardCount && dispatcher.held.count == Harness.laneCount
            }
            let second = harness.coordinator(2)
            await harness.kill(first)
            try await harness.until("the second leads") { second.coordinator.ledEpoch != nil }
            try await ticker.connect(to: second.address)
            await harness.pass(.seconds(1))
            #expect(ticker.received(LaneView.self).isEmpty)
            try await dispatcher.connect(to: second.address)
            try await harness.until("the view is whole") {
                ticker.received(LaneView.self).last?.entries.count == Harness.laneCount
            }
            await harness.pass(.seconds(5))
            #expect(ticker.received(ShardRevoke.self).isEmpty && ticker.held == self.all(1), "nothing moved")
            #expect(harness.store.assignmentHistory.count == Harness.shardCount + Harness.laneCount)
        }
    }

    @Test func `a follower sends members to the leader`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let second = harness.coordinator(2)
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            try await harness.until("it is sent on") {
                if ticker.received(HelloRefused.self).last?.leaderAddress == "coordinator-1:7400" { return true }
                if !ticker.isConnected { try await ticker.connect(to: second.address) }
                return false
            }
            #expect(ticker.received(HelloRefused.self).last?.code == .notLeader)
        }
    }

    @Test func `other settings are refused, naming both`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            try await ticker.connect(to: leader.address) { $0.shardCount = 64 }
            try await harness.until("it is refused") { !ticker.received(HelloRefused.self).isEmpty }
            let refusal = ticker.received(HelloRefused.self)[0]
            #expect(refusal.code == .settingsMismatch)
            #expect(refusal.detail == "ESCAPEMENT_CLUSTER_SHARDS is 64 there and 8 here")
        }
    }

    @Test func `a dispatcher with another delivery mode is refused, naming whose it contradicts`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = harness.member(.dispatcher, "dispatcher-1", incarnation: 1)
            try await first.connect(to: leader.address) { $0.deliveryMode = "exactly-once" }
            try await harness.until("it is accepted") { !first.received(HelloAck.self).isEmpty }
            let second = harness.member(.dispatcher, "dispatcher-2", incarnation: 2)
            try await second.connect(to: leader.address) { $0.deliveryMode = "at-least-once" }
            try await harness.until("it is refused") { !second.received(HelloRefused.self).isEmpty }
            let refusal = second.received(HelloRefused.self)[0]
            #expect(refusal.code == .settingsMismatch)
            #expect(
                refusal.detail
                    == "ESCAPEMENT_DELIVERY_MODE is at-least-once there and exactly-once on dispatcher-1: set the same on "
                    + "every dispatcher, and stop all of them to change it")
        }
    }

    @Test func `where journals stand is written down and told to the next owner, also by the next leader`() async throws
    {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let first = try await harness.join(.dispatcher, "dispatcher-1", incarnation: 1, leader)
            try await harness.until("it owns all") { first.held.count == Harness.laneCount }
            #expect(first.received(LaneAssign.self).allSatisfy { $0.checkpoint == nil })
            let epoch = try #require(first.held[1])
            let state = ByteBuffer(string: "state")
            first.send(LaneProgress(lane: LaneID(1), epoch: epoch, sequence: 17, state: state))
            // Of a lane that it does not own under this epoch.
            first.send(LaneProgress(lane: LaneID(0), epoch: Epoch(900), sequence: 99))
            let written = LaneCheckpoint(lane: LaneID(1), epoch: epoch, sequence: 17, state: Array("state".utf8))
            try await harness.until("it is written") { harness.store.laneCheckpoints == [written] }
            await harness.kill(leader)
            harness.coordinator(2)
            let next = try await harness.leader()
            let second = try await harness.join(.dispatcher, "dispatcher-2", incarnation: 2, next)
            try await harness.until("it is told") {
                second.received(LaneAssign.self).contains {
                    $0.lane == LaneID(1)
                        && $0.checkpoint == LaneAssign.Checkpoint(epoch: epoch, sequence: 17, state: state)
                }
            }
        }
    }

    @Test func `a version nobody here speaks is refused`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            try await ticker.connect(to: leader.address) { $0.versions = ProtocolRange(lowest: 900, highest: 901) }
            try await harness.until("it is refused") { !ticker.received(HelloRefused.self).isEmpty }
            #expect(ticker.received(HelloRefused.self)[0].code == .versionMismatch)
        }
    }

    @Test func `a newer minor version meets in the middle`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            let ours = ProtocolRange.current.highest
            try await ticker.connect(to: leader.address) {
                $0.versions = ProtocolRange(lowest: ours, highest: ours + 1)
            }
            try await harness.until("it is accepted") { ticker.received(HelloAck.self).first?.version == ours }
        }
    }

    @Test func `a link that does not say who it is is closed`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let identity = PeerIdentity(cluster: Harness.cluster, role: .ticker, node: NodeID("mute"))
            let link = try await harness.network.connector(as: identity).connect(
                to: leader.address, expecting: .coordinator)
            async let frames: Int = link.frames.reduce(0) { count, _ in count + 1 }
            await harness.pass(.seconds(4))
            #expect(await frames == 0)
        }
    }

    @Test(arguments: [Role.ticker, .dispatcher, .tool])
    func `a message that the role may not send ends the link`(role: Role) async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let member = try await harness.join(role, "\(role)-1", incarnation: 1, leader)
            member.send(ChangeHint(shard: ShardID(0)))
            try await harness.until("it is closed") { !member.isConnected }
            #expect(member.received(Goodbye.self).first?.detail == "a \(role.rawValue) may not send changeHint")
        }
    }

    @Test func `an unknown message is answered and changes nothing`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            ticker.sendRaw(kind: 0x7777)
            try await harness.until("it is answered") {
                ticker.received(Unsupported.self).first?.unknownKind == 0x7777
            }
            #expect(ticker.isConnected)
        }
    }

    @Test func `what owners have settled is written down`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
            let instant = harness.clocks.wallNow()
            ticker.settle(through: instant)
            try await harness.until("a checkpoint is there") { harness.store.calls(of: "checkpoint") >= 2 }
            #expect(harness.store.checkpoint(of: ShardID(3)) == instant)
        }
    }
}
