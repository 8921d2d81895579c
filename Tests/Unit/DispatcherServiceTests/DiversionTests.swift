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
