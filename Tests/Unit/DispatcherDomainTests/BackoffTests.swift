import DispatcherDomain
import EscapementModel
import TestSupport
import Testing

@Suite struct BackoffTests {
    @Test func `pauses double up to the bound, jittered, and begin anew after a success`() {
        var random = SeededRandom(seed: 1)
        var backoff = Backoff(first: .milliseconds(50), max: .seconds(2))
        for failure in 0..<20 {
            let bound = min(Duration.milliseconds(50) * (1 << min(failure, 10)), .seconds(2))
            let pause = backoff.next(using: &random)
            #expect(pause <= bound && pause >= bound * 0.1)
        }
        backoff.succeeded()
        #expect(backoff.next(using: &random) <= .milliseconds(50))
    }
}
