import EscapementModel
import Synchronization

/// What the leader said last of the time. The clock thread looks at it whenever it reads the clocks, and is not woken
/// for it.
final class LeaderClock: Sendable {
    private let state = Mutex<(wall: WallInstant, at: MonotonicInstant)?>(nil)

    var latest: (wall: WallInstant, at: MonotonicInstant)? { self.state.withLock { $0 } }

    func heard(_ wall: WallInstant, at monotonic: MonotonicInstant) {
        self.state.withLock { $0 = (wall, monotonic) }
    }
}
