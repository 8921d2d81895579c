import EscapementModel
import TickerDomain

/// What is measured: a queue of timers by due instant, in milliseconds from its own start.
protocol TimerQueue: ~Copyable {
    associatedtype Handle
    static var name: String { get }
    init()
    var count: Int { get }
    mutating func insert(due: UInt32, token: UInt32) -> Handle
    mutating func remove(_ handle: Handle)
    /// Hands on the tokens of all that is due at or before `now`, in order of due instant.
    mutating func advance(to now: UInt32, _ body: (UInt32) -> Void)
}

/// The product's wheel.
struct WheelQueue: TimerQueue, ~Copyable {
    typealias Handle = TimerWheel.Handle

    static let name = "escapement"
    private var wheel = TimerWheel(now: WallInstant(milliseconds: 0))

    init() {}

    var count: Int { self.wheel.count }

    @inline(__always) mutating func insert(due: UInt32, token: UInt32) -> Handle {
        self.wheel.insert(due: WallInstant(milliseconds: Int64(due)), token: token)
    }

    @inline(__always) mutating func remove(_ handle: Handle) {
        self.wheel.remove(handle)
    }

    mutating func advance(to now: UInt32, _ body: (UInt32) -> Void) {
        self.wheel.advance(to: WallInstant(milliseconds: Int64(now))) { slice in
            for entry in slice { body(entry.token) }
        }
    }
}
