import EscapementModel
import NIOCore
import Observability
import TestSupport
import Testing
import TickerService
import WireProtocol

/// A whole ticker between a leader and a dispatcher: what it asks, what it fires, what it does when either
/// of them fails.
@Suite struct TickerNodeTests {
    private let shard = Stage.shard

    @Test func `a shard is opened, loaded after the cursor, and fires batches that follow each other`() async throws {
        try await Stage.run { stage in
            let cursor = Cursor(
                cron: Watermark(through: stage.now), delay: Watermark(through: stage.now), revision: Revision(1))
            stage.dispatcher.set(cursor: cursor)
            stage.leader.hold(
                ShardContents(
                    schedules: [stage.everySecond(1)],
                    timers: [stage.timer(1, dueIn: 1500), stage.timer(2, dueIn: 2500)]), revision: 1)
            #expect(stage.observability.health.status(of: TickerNode.loadedCondition) != .ok)
            try await stage.assign()
            try await stage.until("three seconds of fires") { stage.dispatcher.fired.count >= 5 }

            let request = try #require(stage.leader.received(SnapshotRequest.self).first)
            #expect(request.cursor == cursor, "contents are asked for once the cursor bounds them")
            #expect(stage.dispatcher.batches.first?.from == cursor)
            for (earlier, later) in zip(stage.dispatcher.batches, stage.dispatcher.batches.dropFirst()) {
                #expect(later.from == earlier.to)
            }
            #expect(stage.dispatcher.occurrences.allSatisfy { $0.due <= stage.now }, "nothing leaves early")
            #expect(Set(stage.dispatcher.fired).isSuperset(of: [UID(high: 9, low: 1), UID(high: 9, low: 2)]))
            #expect(stage.dispatcher.refused.isEmpty)
            #expect(stage.observability.health.status(of: TickerNode.loadedCondition) == .ok)
        }
    }

    @Test func `a schedule whose template names its neighbours is told them, and no other`() async throws {
        try await Stage.run { stage in
            let created = stage.now
            let payload = ByteBuffer(string: "since {{previousAt}}")
            let naming = FireTemplate(
                origin: .schedule, namespace: "guest", name: "a", payload: payload, isPattern: true)
            let plain = FireTemplate(origin: .schedule, namespace: "guest", name: "b", payload: payload)
            stage.leader.hold(
                ShardContents(schedules: [
                    stage.everySecond(1, template: naming.encoded()), stage.everySecond(2, template: plain.encoded()),
                ]), revision: 1)
            try await stage.assign()
            try await stage.until("both fire") { stage.dispatcher.fired.count >= 4 }
            for occurrence in stage.dispatcher.occurrences {
                let second = Duration.seconds(1)
                let previous = occurrence.scheduled.advanced(by: .zero - second)
                let neighbours = OccurrenceNeighbours(
                    previous: previous > created ? previous : nil, next: occurrence.scheduled.advanced(by: second))
                #expect(occurrence.neighbours == (occurrence.uid.low == 1 ? neighbours : nil))
            }
        }
    }

    @Test func `without credit nothing leaves, and an acknowledgement lets the rest go`() async throws {
        try await Stage.run { stage in
            stage.dispatcher.acknowledge(false)
            stage.dispatcher.grant(batches: 1)
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the first batch") { stage.dispatcher.batches.count == 1 }
            await stage.clocks.advance(by: .seconds(5))
            #expect(stage.dispatcher.batches.count == 1, "one batch may be in flight")
            stage.dispatcher.acknowledge(true)
            try await stage.until("the fires that waited") { stage.dispatcher.occurrences.count >= 6 }
            let scheduled = stage.dispatcher.occurrences.map(\.scheduled)
            #expect(Set(scheduled).count == scheduled.count, "no occurrence twice")
        }
    }

    /// A ticker with a schedule of every second, which finds after its first batch that much waits to leave.
    private func runWithoutRoom(_ body: (Stage) async throws -> Void) async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the first batch") { stage.dispatcher.batches.count == 1 }
            stage.dispatcher.letRoomEnd(true)
            try await body(stage)
        }
    }

    @Test func `while much waits to leave nothing is added, and the rest goes when there is room`() async throws {
        try await self.runWithoutRoom { stage in
            // What was on its way when room ended.
            await stage.clocks.advance(by: .seconds(2))
            let count = stage.dispatcher.batches.count
            await stage.clocks.advance(by: .seconds(5))
            #expect(stage.dispatcher.batches.count == count)
            stage.dispatcher.letRoomEnd(false)
            try await stage.until("the fires that waited") { stage.dispatcher.occurrences.count >= 8 }
            let scheduled = stage.dispatcher.occurrences.map(\.scheduled)
            #expect(Set(scheduled).count == scheduled.count, "no occurrence twice")
            #expect(stage.dispatcher.refused.isEmpty && stage.dispatcher.opens.count == 1)
        }
    }

    @Test func `a link that ends while the ticker waits for room holds nothing up`() async throws {
        try await self.runWithoutRoom { stage in
            await stage.clocks.advance(by: .seconds(3))
            stage.dispatcher.crash(backTo: stage.dispatcher.cursor)
            try await stage.until("the fires that waited") { stage.dispatcher.occurrences.count >= 5 }
            #expect(stage.dispatcher.opens.count == 2)
        }
    }

    @Test func `a timer that a delta brings too late is fired at once, and once`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 2 }
            let late = stage.timer(7, dueIn: -1500, revision: 2)
            stage.leader.send(
                Delta(
                    shard: self.shard, from: Revision(1), through: Revision(2),
                    contents: ShardContents(timers: [late])))
            try await stage.until("the late timer") { stage.dispatcher.fired.contains(late.uid) }
            await stage.clocks.advance(by: .seconds(3))
            #expect(stage.dispatcher.fired.count { $0 == late.uid } == 1)
            #expect(stage.dispatcher.cursor.revision == Revision(2))
        }
    }

    @Test func `a gap between deltas makes the ticker ask for what it misses`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 1 }
            let missed = stage.timer(1, dueIn: 500, revision: 2)
            let brought = stage.timer(2, dueIn: 600, revision: 3)
            stage.leader.hold(
                ShardContents(schedules: [stage.everySecond(1)], timers: [missed, brought]), revision: 3)
            stage.leader.send(
                Delta(
                    shard: self.shard, from: Revision(2), through: Revision(3),
                    contents: ShardContents(timers: [brought])))
            try await stage.until("both timers") {
                Set(stage.dispatcher.fired).isSuperset(of: [missed.uid, brought.uid])
            }
            #expect(stage.leader.received(SnapshotRequest.self).last?.since == Revision(1))
        }
    }

    @Test func `a stale epoch ends the shard here, and the leader is told`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign(epoch: 4)
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 1 }
            stage.dispatcher.send(
                FireRefused(shard: self.shard, epoch: Epoch(4), code: .staleEpoch, seenEpoch: Epoch(5)))
            try await stage.until("the shard is given up") { !stage.leader.received(ShardReleased.self).isEmpty }
            let fired = stage.dispatcher.fired.count
            await stage.clocks.advance(by: .seconds(3))
            #expect(stage.dispatcher.fired.count == fired)
            #expect(stage.leader.heartbeats.last?.holdings.isEmpty == true)
        }
    }

    @Test func `a dispatcher that comes back is opened again, and nothing is lost or doubled`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 2 }
            let committed = stage.dispatcher.cursor
            stage.dispatcher.acknowledge(false)
            try await stage.until("a batch that will not count") { stage.dispatcher.fired.count >= 3 }
            stage.dispatcher.crash(backTo: committed)
            stage.dispatcher.acknowledge(true)
            try await stage.until("the fires go on") { stage.dispatcher.fired.count >= 6 }
            #expect(stage.dispatcher.opens.count >= 2)
            let scheduled = stage.dispatcher.occurrences.map(\.scheduled.milliseconds)
            #expect(zip(scheduled, scheduled.dropFirst()).allSatisfy { $1 == $0 + 1000 }, "\(scheduled)")
        }
    }

    @Test func `without its leader a ticker goes on firing, and catches up on changes after`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 1 }
            stage.network.sever(stage.leader.address)
            let before = stage.dispatcher.fired.count
            try await stage.until("fires without a leader") { stage.dispatcher.fired.count >= before + 3 }
            let created = stage.timer(1, dueIn: 1000, revision: 2)
            stage.leader.hold(
                ShardContents(schedules: [stage.everySecond(1)], timers: [created]), revision: 2)
            stage.network.heal()
            try await stage.until("the timer made meanwhile") { stage.dispatcher.fired.contains(created.uid) }
            #expect(stage.leader.received(SnapshotRequest.self).last?.since == Revision(1))
        }
    }

    @Test func `timers beyond the horizon are asked for as time goes on`() async throws {
        try await Stage.run { stage in
            let far = stage.timer(1, dueIn: 75_000)
            stage.leader.hold(ShardContents(timers: [far]), revision: 1)
            try await stage.assign()
            try await stage.until("the far timer", limit: .seconds(80), step: .milliseconds(500)) {
                stage.dispatcher.fired == [far.uid]
            }
            #expect(stage.now >= far.due)
            #expect(!stage.leader.received(HorizonRequest.self).isEmpty)
        }
    }

    @Test func `a wall clock that steps back fires nothing twice, and nothing early`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 3 }
            let before = stage.dispatcher.fired.count
            stage.clocks.stepWall(by: .seconds(-4))
            await stage.clocks.advance(by: .seconds(3))
            #expect(stage.dispatcher.fired.count == before, "time stands still until it has caught up")
            try await stage.until("the fires go on") { stage.dispatcher.fired.count >= before + 2 }
            let scheduled = stage.dispatcher.occurrences.map(\.scheduled)
            #expect(Set(scheduled).count == scheduled.count)
        }
    }

    @Test func `a ticker is alive while its clock turns`() async throws {
        try await Stage.run { stage in
            await stage.clocks.advance(by: .seconds(60))
            try await stage.until("the loop has turned since") { stage.observability.health.liveness.isOK }
            stage.node.leave()
            try await stage.until("it has ended, and nothing turns any more") {
                !stage.observability.health.liveness.isOK
            }
        }
    }

    @Test func `a revoked shard is released after what is in flight`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            stage.dispatcher.acknowledge(false)
            try await stage.assign()
            try await stage.until("a batch in flight") { !stage.dispatcher.batches.isEmpty }
            stage.leader.send(ShardRevoke(leaderEpoch: Epoch(1), shard: self.shard, epoch: Epoch(1)))
            await stage.clocks.advance(by: .seconds(1))
            #expect(stage.leader.received(ShardReleased.self).isEmpty, "a batch is still in flight")
            let count = stage.dispatcher.batches.count
            stage.dispatcher.acknowledge(true)
            try await stage.until("the release") { stage.leader.received(ShardReleased.self).count == 1 }
            await stage.clocks.advance(by: .seconds(2))
            #expect(stage.dispatcher.batches.count == count, "a released shard fires nothing more")
        }
    }
}
