import Testing
import TimerSlack

@testable import TickerService

@Suite struct ClockThreadTests {
    @Test func `sleeps of the clock thread end when they should, those of others as they did`() async {
        let here = escapement_timer_slack()
        let slack = await withCheckedContinuation { continuation in
            ClockThread.start { continuation.resume(returning: escapement_timer_slack()) }
        }
        #if os(Linux)
        #expect(slack == 1)
        #endif
        #expect(here != 1)
    }
}
