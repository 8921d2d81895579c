import EscapementModel
import HeapModule
import SimulationExecutor

/// Time and order of one run: everything that happens is a job of Swift's runtime or a timer here, on one thread,
/// and which ready job is next is drawn from the seed. A run with the same seed is the same run.
///
/// `@unchecked Sendable`, as all of the simulated world: the executor stops the process if a second thread appears.
final class Simulator: @unchecked Sendable {
    private struct Timer: Comparable {
        var at: Int64
        var sequence: UInt64
        var body: @Sendable () -> Void

        static func < (left: Timer, right: Timer) -> Bool { (left.at, left.sequence) < (right.at, right.sequence) }
        static func == (left: Timer, right: Timer) -> Bool { left.sequence == right.sequence }
    }

    /// True time: nanoseconds since the run began.
    private(set) var now: Int64 = 0
    /// Jobs run so far.
    private(set) var stepCount: UInt64 = 0
    private var timers = Heap<Timer>()
    private var sequence: UInt64 = 0
    private var order: SplitMix64
    private var isStopped = false

    init(seed: UInt64) { self.order = SplitMix64(seed: seed) }

    /// Calls `body` when `delay` has passed.
    func after(_ delay: Duration, _ body: @escaping @Sendable () -> Void) {
        self.sequence += 1
        self.timers.insert(
            Timer(at: self.now + max(0, delay.wholeNanoseconds), sequence: self.sequence, body: body))
    }

    /// Suspends the calling task for `delay` of true time; not cancelled.
    func pause(_ delay: Duration) async {
        await withUnsafeContinuation { continuation in self.after(delay) { continuation.resume() } }
    }

    /// `run` returns after the present step.
    func stop() { self.isStopped = true }

    /// Lets things happen until true time is `end` or `stop` is called.
    func run(until end: Duration) {
        let end = end.wholeNanoseconds
        while !self.isStopped {
            let ready = simulation_ready_count()
            if ready > 0 {
                simulation_run(ready == 1 ? 0 : Int.random(in: 0..<ready, using: &self.order))
                self.stepCount += 1
                continue
            }
            guard let timer = self.timers.min, timer.at <= end else { break }
            self.timers.removeMin()
            self.now = timer.at
            timer.body()
        }
        if !self.isStopped { self.now = max(self.now, end) }
    }
}
