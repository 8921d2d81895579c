import EscapementModel
import Testing
import TickerDomain

/// The clock by which fires leave, when the wall clock is stepped.
@Suite struct TickClockTests {
    /// A host with a wall clock that can be stepped, and a leader whose clock is right.
    private struct Host {
        static let start: Int64 = 1_800_000_000_000
        var monotonic: Int64 = 0
        var wallAhead: Int64 = 0
        var clock = TickClock(wall: WallInstant(milliseconds: Self.start), monotonic: MonotonicInstant(nanoseconds: 0))
        var notes: [TickClock.Note] = []
        var isLeaderHeard = true
        var leaderAhead: Int64 = 0

        /// Time that really passed, in milliseconds; the clock is read every 100.
        mutating func pass(_ milliseconds: Int64) {
            for _ in 0..<(milliseconds / 100) {
                self.monotonic += 100
                let at = MonotonicInstant(nanoseconds: self.monotonic * 1_000_000)
                if self.isLeaderHeard, self.monotonic % 500 == 0 {
                    self.clock.heard(
                        WallInstant(milliseconds: Self.start + self.monotonic + self.leaderAhead), at: at)
                }
                let before = self.clock.now
                let wall = WallInstant(milliseconds: Self.start + self.monotonic + self.wallAhead)
                if let note = self.clock.read(wall: wall, monotonic: at) { self.notes.append(note) }
                #expect(self.clock.now >= before, "time went back")
            }
        }

        /// How far the clock of fires is ahead of the true time, in milliseconds.
        var ahead: Int64 { self.clock.now.milliseconds - Self.start - self.monotonic }
    }

    @Test func `small steps and slewing are followed`() {
        var host = Host()
        host.pass(1000)
        host.wallAhead = 1900
        host.pass(100)
        #expect(host.ahead == 1900)
        host.wallAhead = 1890
        host.pass(100)
        #expect(host.ahead == 1890)
        #expect(host.notes.isEmpty)
    }

    @Test func `after a backward step time stands still until the wall clock has caught up`() {
        var host = Host()
        host.pass(1000)
        let before = host.clock.now
        host.wallAhead = -60_000
        host.pass(59_900)
        #expect(host.clock.now == before)
        host.pass(200)
        #expect(host.clock.now == before.advanced(by: .milliseconds(100)))
        #expect(host.ahead == -60_000)
    }

    @Test func `a clock that jumped ahead and is wrong is not followed until it is set right`() {
        var host = Host()
        host.pass(1000)
        host.wallAhead = 3_600_000
        host.pass(60_000)
        #expect(host.ahead == 0, "fires keep their pace")
        #expect(host.notes == [.held(.seconds(3600)), .contradicted(.seconds(3600))])
        host.wallAhead = 20
        host.pass(100)
        #expect(host.ahead == 20)
        #expect(host.notes.last == .released)
    }

    @Test func `a clock that jumped ahead and is right is followed when the leader says the same`() {
        var host = Host()
        host.leaderAhead = 10_000
        host.pass(1000)
        host.wallAhead = 10_000
        host.pass(2900)
        #expect(host.ahead == 0)
        host.pass(1000)
        #expect(host.ahead == 10_000)
        #expect(host.notes == [.held(.seconds(10)), .released])
    }

    @Test func `without a leader the wall clock is believed after a while`() {
        var host = Host()
        host.isLeaderHeard = false
        host.pass(1000)
        host.wallAhead = 10_000
        host.pass(2900)
        #expect(host.ahead == 0)
        host.pass(200)
        #expect(host.ahead == 10_000)
    }

    @Test func `what the leader said before the step proves nothing, and a contradiction outlives the leader`() {
        var host = Host()
        host.pass(1000)
        host.isLeaderHeard = false
        host.wallAhead = 10_000
        host.pass(3200)
        #expect(host.ahead == 10_000)

        var other = Host()
        other.pass(1000)
        other.wallAhead = 10_000
        other.pass(4000)
        other.isLeaderHeard = false
        other.pass(60_000)
        #expect(other.ahead == 0)
        #expect(other.notes == [.held(.seconds(10)), .contradicted(.seconds(10))])
    }

    @Test func `instants are waited for by what the wall clock will show`() {
        var host = Host()
        host.pass(1000)
        let due = host.clock.now.advanced(by: .seconds(1))
        #expect(host.clock.wall(at: due) == due)
        host.wallAhead = 10_000
        host.pass(100)
        #expect(host.clock.wall(at: due) == due.advanced(by: .seconds(10)))
    }
}
