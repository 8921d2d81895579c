import Glibc
import TimerSlack

/// A thread that nothing else runs on: its sleeps are as exact as the system's, and no task waits behind it.
enum ClockThread {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a thread of its own, which ends with it. A system that gives none ends the process.
    static func start(_ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { raw in
                // Where the system refuses, sleeps end some 50 µs later.
                _ = escapement_timer_slack_minimize()
                if let raw { Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().body() }
                return nil
            }, start.toOpaque())
        precondition(result == 0, "the clock thread cannot be made: error \(result)")
        pthread_detach(thread)
    }
}
