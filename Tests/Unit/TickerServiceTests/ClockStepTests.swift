import EscapementModel
import TestSupport
import Testing
import WireProtocol

/// A whole ticker whose wall clock is stepped.
@Suite struct ClockStepTests {
    private func everySecond(_ stage: Stage) -> Bool {
        let scheduled = stage.dispatcher.occurrences.map(\.scheduled.milliseconds)
        return zip(scheduled, scheduled.dropFirst()).allSatisfy { $1 == $0 + 1000 }
    }

    /// Lets time pass in small steps, so that the leader's answers come in between.
    private func pass(_ seconds: Int64, on stage: Stage) async throws {
        let end = stage.clocks.monotonicNow().advanced(by: .seconds(seconds))
        try await stage.until("\(seconds) seconds", limit: .seconds(seconds + 1)) {
            stage.clocks.monotonicNow() >= end
        }
    }

    @Test func `a clock that jumps ahead makes nothing fire early, and nothing is missed when it is set right`()
        async throws
    {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 2 }
            // The leader's clock, which the fake reads from the same source, stays right.
            stage.leader.stepClock(by: .seconds(-3600))
            stage.clocks.stepWall(by: .seconds(3600))
            let before = stage.dispatcher.fired.count
            try await self.pass(10, on: stage)
            #expect((9...11).contains(stage.dispatcher.fired.count - before), "one fire a second, as before")
            let early = stage.dispatcher.occurrences.filter { $0.due > stage.now.advanced(by: .seconds(-3600)) }
            #expect(early.isEmpty)
            stage.leader.stepClock(by: .seconds(3600))
            stage.clocks.stepWall(by: .seconds(-3600))
            let again = stage.dispatcher.fired.count
            try await stage.until("the fires go on") { stage.dispatcher.fired.count >= again + 3 }
            #expect(self.everySecond(stage), "each second once, in order")
        }
    }

    @Test func `a clock that was behind and is set right fires what fell due meanwhile, once`() async throws {
        try await Stage.run { stage in
            let timer = stage.timer(1, dueIn: 20_000)
            stage.leader.hold(ShardContents(timers: [timer]), revision: 1)
            try await stage.assign()
            try await stage.until("the shard is loaded") { !stage.leader.received(SnapshotRequest.self).isEmpty }
            try await self.pass(1, on: stage)
            // Leader and ticker alike: both are set by the same server.
            stage.clocks.stepWall(by: .seconds(30))
            try await self.pass(2, on: stage)
            #expect(stage.dispatcher.fired.isEmpty, "not before the leader has confirmed it")
            try await stage.until("the timer") { stage.dispatcher.fired == [timer.uid] }
            try await self.pass(5, on: stage)
            #expect(stage.dispatcher.fired == [timer.uid])
        }
    }

    @Test func `a clock that steps back fires nothing again, and goes on where it was`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 3 }
            let before = stage.dispatcher.fired.count
            stage.clocks.stepWall(by: .seconds(-5))
            try await self.pass(4, on: stage)
            #expect(stage.dispatcher.fired.count <= before + 1, "time stands still")
            try await stage.until("the fires go on") { stage.dispatcher.fired.count >= before + 3 }
            #expect(self.everySecond(stage), "each second once, in order")
        }
    }
}
