import EscapementModel
import Synchronization

/// Clocks that stand still until a test moves them.
final class FixedClocks: Clocks {
    private let state: Mutex<(wall: WallInstant, monotonic: MonotonicInstant)>

    init(_ text: String) {
        let wall = WallInstant(text: text) ?? WallInstant(milliseconds: 0)
        self.state = Mutex((wall, MonotonicInstant(nanoseconds: 1)))
    }

    func advance(by duration: Duration) {
        self.state.withLock { state in
            state.wall = state.wall.advanced(by: duration)
            state.monotonic = state.monotonic.advanced(by: duration)
        }
    }

    func wallNow() -> WallInstant { self.state.withLock { $0.wall } }
    func monotonicNow() -> MonotonicInstant { self.state.withLock { $0.monotonic } }
    func sleep(for duration: Duration) async throws { self.advance(by: duration) }
}
