import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

/// A dispatcher that is there for the leader and not for this ticker, and what the ticker says to its leader.
@Suite struct UnreachableLaneTests {
    @Test func `a dispatcher that falls silent is reported, and so is its return`() async throws {
        try await Stage.run(leaderVersion: ProtocolRange.reporting) { stage in
            stage.leader.hold(ShardContents(schedules: [stage.everySecond(1)]), revision: 1)
            try await stage.assign()
            try await stage.until("the schedule fires") { stage.dispatcher.fired.count >= 1 }
            stage.dispatcher.fallSilent()
            try await stage.until("the leader hears of it") {
                stage.leader.received(LanesUnreachable.self).map(\.owners) == [[stage.dispatcher.incarnation]]
            }
            try await stage.until("the metric says so") { stage.metric("escapement_lanes_unreachable") == 2 }
            stage.dispatcher.fallSilent(false)
            try await stage.until("the leader hears of its return") {
                stage.leader.received(LanesUnreachable.self).map(\.owners) == [[stage.dispatcher.incarnation], []]
            }
            let fired = stage.dispatcher.fired.count
            try await stage.until("it fires again") { stage.dispatcher.fired.count > fired }
        }
    }

    @Test func `a new leader is told again`() async throws {
        try await Stage.run(leaderVersion: ProtocolRange.reporting) { stage in
            try await stage.assign()
            try await stage.until("the lane is linked") { !stage.dispatcher.opens.isEmpty }
            stage.dispatcher.fallSilent()
            try await stage.until("the leader hears of it") { !stage.leader.received(LanesUnreachable.self).isEmpty }
            stage.leader.breakLinks()
            try await stage.until("and once more") { stage.leader.received(LanesUnreachable.self).count == 2 }
            #expect(stage.leader.received(LanesUnreachable.self).last?.owners == [stage.dispatcher.incarnation])
        }
    }

    @Test func `a quiet dispatcher that answers is left alone`() async throws {
        try await Stage.run(leaderVersion: ProtocolRange.reporting) { stage in
            try await stage.assign()
            try await stage.until("the lane is linked") { !stage.dispatcher.opens.isEmpty }
            try await stage.until("it has been asked often", limit: .seconds(60)) { stage.dispatcher.probes > 20 }
            #expect(stage.dispatcher.opens.count == 1, "on the same link all the time")
            #expect(stage.leader.received(LanesUnreachable.self).isEmpty)
        }
    }

    @Test(arguments: [1, 2] as [UInt32]) func `a leader that does not know it is told nothing`(version: UInt32)
        async throws
    {
        try await Stage.run(leaderVersion: version) { stage in
            try await stage.assign()
            try await stage.until("the lane is linked") { !stage.dispatcher.opens.isEmpty }
            stage.dispatcher.fallSilent()
            try await stage.until("the lane is lost") {
                stage.metric("escapement_lanes_unreachable") == 2
            }
            #expect(stage.leader.received(LanesUnreachable.self).isEmpty)
        }
    }

    /// 600 kB of timers, which are due much later.
    private func large(_ stage: Stage) -> ShardContents {
        ShardContents(
            timers: (1...6 as ClosedRange<UInt64>).map { number in
                var timer = stage.timer(number, dueIn: 50_000)
                timer.template = ByteBuffer(repeating: 7, count: 100_000)
                return timer
            })
    }

    @Test(arguments: [1, 2, 3] as [UInt32])
    func `contents that are taken are acknowledged to a leader that counts them`(version: UInt32) async throws {
        try await Stage.run(leaderVersion: version) { stage in
            stage.leader.hold(self.large(stage), revision: 1)
            try await stage.assign()
            try await stage.until("it is loaded") {
                stage.metric("escapement_timers_pending") == 6
            }
            await stage.clocks.advance(by: .seconds(2))
            let acknowledged = stage.leader.received(ContentsAck.self).map(\.bytes)
            if version >= ProtocolRange.reporting {
                #expect(acknowledged.last ?? 0 > 600_000)
                #expect(acknowledged == acknowledged.sorted(), "a sum only grows")
            } else {
                #expect(acknowledged.isEmpty)
            }
        }
    }
}
