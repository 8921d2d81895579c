/// An instant of wall time: whole milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Scheduled times are of this type. It does not convert to `MonotonicInstant`: the wall clock may
/// step either way.
package struct WallInstant: Hashable, Comparable, Sendable {
    package var milliseconds: Int64
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static let distantPast = WallInstant(milliseconds: .min)
    package static let distantFuture = WallInstant(milliseconds: .max)

    package static func < (left: WallInstant, right: WallInstant) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// Moves by `duration`, rounded towards zero to milliseconds; stays within the range of the type.
    package func advanced(by duration: Duration) -> WallInstant {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(duration.wholeMilliseconds)
        if overflow { return duration < .zero ? .distantPast : .distantFuture }
        return WallInstant(milliseconds: sum)
    }

    /// How far `self` lies after `other`; negative when before.
    package func duration(since other: WallInstant) -> Duration {
        .milliseconds(self.milliseconds) - .milliseconds(other.milliseconds)
    }
}

/// An instant of a clock that never steps: nanoseconds since an arbitrary start (`CLOCK_BOOTTIME`).
///
/// Leases and time-outs are of this type. Comparable only within one process.
package struct MonotonicInstant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    package func advanced(by duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: self.nanoseconds + duration.wholeNanoseconds)
    }

    package func duration(since other: MonotonicInstant) -> Duration {
        .nanoseconds(self.nanoseconds - other.nanoseconds)
    }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero, clamped to the range of `Int64`.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        return product + attoseconds / 1_000_000_000_000_000
    }

    /// Whole nanoseconds, rounded towards zero. Durations beyond 292 years are not representable.
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}

/// Both clocks of a process, as one thing to hand in. Only a Main uses `SystemClocks`.
package protocol Clocks: Sendable {
    func wallNow() -> WallInstant
    func monotonicNow() -> MonotonicInstant
    /// Sleeps for `duration` of monotonic time; throws `CancellationError` when cancelled.
    func sleep(for duration: Duration) async throws
}
