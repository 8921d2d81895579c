package import EscapementModel
import Logging
package import Observability
import ServiceLifecycle

/// Notices when the wall clock is stepped: the operating system slews a clock that is a little off, and steps one that is
/// far off, and then fires may be early or late by that much.
package struct ClockWatch: Service {
    /// The direction of a step.
    package enum Direction: String, CaseIterable, Sendable {
        case forward, backward
    }

    /// Between two looks.
    package static let period = Duration.seconds(1)
    /// A smaller difference is slewing, or a pause of the process between two readings.
    package static let stepMin = Duration.milliseconds(250)

    private let clocks: any Clocks
    private let logger: Logger
    private let jumps: MetricSet<Direction, Counter>

    package init(clocks: any Clocks, observability: Observability) {
        self.clocks = clocks
        self.logger = observability.logger("clock")
        self.jumps = observability.metrics.counters(
            "escapement_clock_jumps_total", "Steps of the wall clock of 250 ms and more, by direction.",
            label: "direction", by: Direction.self)
    }

    /// One reading of both clocks.
    package struct Reading: Sendable {
        var wall: WallInstant
        var monotonic: MonotonicInstant
    }

    package var reading: Reading {
        // The monotonic clock is read on both sides, so that a pause between the readings is seen and taken again.
        while true {
            let before = self.clocks.monotonicNow()
            let wall = self.clocks.wallNow()
            let after = self.clocks.monotonicNow()
            if after.duration(since: before) < Self.stepMin { return Reading(wall: wall, monotonic: after) }
        }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var last = self.reading
            while !Task.isCancelled {
                do { try await self.clocks.sleep(for: Self.period) } catch { break }
                self.look(since: &last)
            }
        }
    }

    /// Compares how far both clocks went.
    package func look(since last: inout Reading) {
        let now = self.reading
        let step =
            now.wall.duration(since: last.wall) - now.monotonic.duration(since: last.monotonic)
        last = now
        let direction: Direction
        switch step {
        case Self.stepMin...: direction = .forward
        case ...(.zero - Self.stepMin): direction = .backward
        default: return
        }
        self.jumps[direction].increment()
        self.logger.warning(
            "the wall clock was stepped", event: "clock_stepped",
            [
                "direction": .string(direction.rawValue),
                LogKey.durationMilliseconds: .number(step.wholeNanoseconds / 1_000_000),
            ])
    }
}
