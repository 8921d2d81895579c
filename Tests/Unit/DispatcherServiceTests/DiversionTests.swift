import DispatcherDomain
import EscapementModel
import Testing

@testable import DispatcherService

@Suite struct DiversionTests {
    @Test func `a topic is away when it fails twice and others do not the second time`() {
        var diversion = Diversion()
        diversion.attempted(failed: ["a"], didElsewhere: true, didDivertFail: false)
        #expect(diversion.topics.isEmpty, "Kafka may have gone in the middle")
        diversion.attempted(failed: ["a"], didElsewhere: true, didDivertFail: false)
        #expect(diversion.topics == ["a"])
    }

    @Test func `while nothing is taken no topic is away, for however long`() {
        var diversion = Diversion()
        for _ in 0..<100 { diversion.attempted(failed: ["a", "b"], didElsewhere: false, didDivertFail: false) }
        #expect(diversion.topics.isEmpty && diversion.suspects == ["a", "b"])
    }

    @Test func `a topic that came back in between is no suspect`() {
        var diversion = Diversion()
        diversion.attempted(failed: ["a"], didElsewhere: false, didDivertFail: false)
        diversion.attempted(failed: ["b"], didElsewhere: true, didDivertFail: false)
        #expect(diversion.topics.isEmpty && diversion.suspects == ["b"])
    }

    @Test func `where fires wait fails too, so it is Kafka`() {
        var diversion = Diversion()
        diversion.declared(["a"])
        #expect(diversion.topics == ["a"])
        diversion.attempted(failed: ["parked"], didElsewhere: false, didDivertFail: true)
        #expect(diversion.topics.isEmpty)
    }
}

@Suite struct WaitingPumpTests {
    /// Found by simulation: seed 60 let fires overtake one that joined the line while its end was being read.
    @Test func `an end that was read before a fire joined is no end`() async {
        let pump = WaitingPump()
        var line = WaitingLine()
        line.joined("a", at: 0)
        pump.begin(at: line)
        pump.willRead()
        line.joined("a", at: 2)
        var settlement = Settlement(settledAt: .distantPast)
        settlement.waiting = line
        settlement.joinedCount = 1
        pump.committed(settlement)
        let resumed = RoundPlan.Resumed(fires: [], stretch: 0..<1, isEnd: true, pass: WaitingPass(from: line))
        async let walked = pump.offer(resumed, wake: {})
        var taken = pump.ready()
        while taken == nil { taken = pump.ready() }
        #expect(taken?.isEnd == false)
        #expect(taken?.drains("a", of: line) == false)
        pump.finish()
        _ = await walked
    }
}
