import DispatcherDomain
import EscapementModel
import Testing

@Suite struct LaneTroublesTests {
    private let long = Duration.seconds(10)

    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

    @Test func `failures count from the first one, until a publish succeeds`() {
        var troubles = LaneTroubles()
        troubles.add(.failed, now: self.at(0))
        troubles.add(.failed, now: self.at(9))
        #expect(!troubles.last(for: self.long, now: self.at(9)))
        #expect(troubles.last(for: self.long, now: self.at(10)))
        troubles.published()
        #expect(!troubles.last(for: self.long, now: self.at(11)))
        troubles.add(.failed, now: self.at(12))
        #expect(!troubles.last(for: self.long, now: self.at(13)))
    }

    @Test func `a leader out of reach is a trouble while others are published, until it is quiet for a while`() {
        var troubles = LaneTroubles()
        for second: Int64 in [0, 6, 12] {
            troubles.add(.leaderOutOfReach, now: self.at(second))
            troubles.published()
        }
        #expect(troubles.last(for: self.long, now: self.at(12)))
        #expect(troubles.last(for: self.long, now: self.at(41)))
        #expect(!troubles.last(for: self.long, now: self.at(42)))
        // Begins anew, and one look alone is none.
        troubles.add(.leaderOutOfReach, now: self.at(50))
        for second: Int64 in [50, 60, 79] { #expect(!troubles.last(for: self.long, now: self.at(second))) }
    }

    @Test func `a lane that is halted is in no trouble that another dispatcher could end`() {
        var troubles = LaneTroubles()
        troubles.add(.failed, now: self.at(0))
        troubles.add(.halted, now: self.at(1))
        #expect(!troubles.last(for: self.long, now: self.at(20)))
    }
}
