import EscapementModel

/// One machine with one process: it can be paused, killed, and have a wrong clock. Whatever reaches the process from
/// outside (an answer, a frame, the end of a sleep) goes through `deliver`.
final class Host: @unchecked Sendable {
    let name: String
    private let simulator: Simulator
    private(set) var isAlive = true
    private(set) var isPaused = false
    private var held: [@Sendable () -> Void] = []
    /// How far the wall clock is off, in nanoseconds.
    var wallOffset: Int64 = 0

    init(name: String, simulator: Simulator) {
        self.name = name
        self.simulator = simulator
    }

    /// Lets the process see something: now, after its pause, or never when it is dead.
    func deliver(_ body: @escaping @Sendable () -> Void) {
        guard self.isAlive else { return }
        if self.isPaused { self.held.append(body) } else { body() }
    }

    /// SIGSTOP: nothing reaches the process until `resume`.
    func pause() { self.isPaused = true }

    /// SIGCONT.
    func resume() {
        self.isPaused = false
        let held = self.held
        self.held = []
        for body in held { self.deliver(body) }
    }

    /// SIGKILL: whatever waits for an answer waits for ever.
    func kill() {
        self.isAlive = false
        self.held = []
    }

    /// Waits `delay` of true time, and the end of a pause; for ever once the process is dead.
    func pause(_ delay: Duration) async {
        await withUnsafeContinuation { continuation in
            self.simulator.after(delay) { self.deliver { continuation.resume() } }
        }
    }

    var clocks: SimulatedClocks { SimulatedClocks(host: self, simulator: self.simulator) }
}

/// The clocks of one host. The monotonic one is true time; the wall clock starts at `epoch` and may be wrong.
final class SimulatedClocks: Clocks, @unchecked Sendable {
    /// True time 0 as wall time: 2026-03-29T00:59:50Z, ten seconds before a change to summer time in Europe.
    static let epoch = WallInstant(milliseconds: 1_774_745_990_000)

    private let host: Host
    private let simulator: Simulator
    private var sleepers: [UInt64: UnsafeContinuation<Void, any Error>] = [:]
    private var nextSleeper: UInt64 = 0

    init(host: Host, simulator: Simulator) {
        self.host = host
        self.simulator = simulator
    }

    func wallNow() -> WallInstant {
        WallInstant(
            milliseconds: Self.epoch.milliseconds + (self.simulator.now + self.host.wallOffset) / 1_000_000)
    }

    func monotonicNow() -> MonotonicInstant { MonotonicInstant(nanoseconds: self.simulator.now) }

    func sleep(for duration: Duration) async throws {
        self.nextSleeper += 1
        let id = self.nextSleeper
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
                self.sleepers[id] = continuation
                self.simulator.after(duration) {
                    self.host.deliver { self.sleepers.removeValue(forKey: id)?.resume() }
                }
            }
        } onCancel: {
            self.sleepers.removeValue(forKey: id)?.resume(throwing: CancellationError())
        }
    }
}
