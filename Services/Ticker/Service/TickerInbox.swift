import EscapementModel
import Glibc
import Synchronization

/// The mailbox of the clock thread: producers append, the thread waits for a deadline or for mail,
/// whichever is first.
///
/// Bounded: a producer that finds it full is suspended until the thread has emptied it, and stops
/// reading its link meanwhile. `@unchecked Sendable`: POSIX lets any thread use a mutex and a condition
/// variable; both live in stable allocations that are freed with the box, and all state is behind them.
final class TickerInbox: @unchecked Sendable {
    /// Events waiting, at most, before producers are held back.
    static let eventsMax = 4096
    /// The longest wait without a look at the wall clock, which may be stepped.
    static let waitMax = Duration.milliseconds(200)

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var events: [TickerEvent] = []
    private var heldBack: [CheckedContinuation<Void, Never>] = []
    /// A taker that is a task, while it waits for mail.
    private var taker: CheckedContinuation<Void, Never>?

    init() {
        pthread_mutex_init(self.mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(self.condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    /// Appends without waiting: for the few events that no peer can multiply.
    func post(_ event: TickerEvent) {
        pthread_mutex_lock(self.mutex)
        let wasEmpty = self.events.isEmpty
        self.events.append(event)
        let taker = self.taker
        self.taker = nil
        pthread_mutex_unlock(self.mutex)
        if wasEmpty { pthread_cond_signal(self.condition) }
        taker?.resume()
    }

    /// Appends, and returns when the thread has room for more.
    func offer(_ event: TickerEvent) async {
        self.post(event)
        await withCheckedContinuation { continuation in
            if !self.holdBack(continuation) { continuation.resume() }
        }
    }

    /// Moves all events into `batch`, which is emptied first; waits for the first one until `deadline`.
    ///
    /// - Parameter deadline: wall time; `nil` waits for events only. Either way the wait ends after
    ///   `waitMax`, so that a step of the wall clock is noticed.
    func take(into batch: inout [TickerEvent], until deadline: WallInstant?) {
        pthread_mutex_lock(self.mutex)
        if self.events.isEmpty {
            let wait = Self.waitNanoseconds(until: deadline)
            if wait > 0 {
                var end = timespec()
                clock_gettime(CLOCK_MONOTONIC, &end)
                let nanoseconds = end.tv_nsec + Int(wait % 1_000_000_000)
                end.tv_sec += Int(wait / 1_000_000_000) + nanoseconds / 1_000_000_000
                end.tv_nsec = nanoseconds % 1_000_000_000
                // One wait is enough: a spurious wake-up only looks at the clock once more.
                pthread_cond_timedwait(self.condition, self.mutex, &end)
            }
        }
        pthread_mutex_unlock(self.mutex)
        self.takeNow(into: &batch)
    }

    /// Moves all events into `batch`, which is emptied first, without waiting.
    func takeNow(into batch: inout [TickerEvent]) {
        batch.removeAll(keepingCapacity: true)
        pthread_mutex_lock(self.mutex)
        swap(&batch, &self.events)
        let resumed = self.heldBack
        self.heldBack.removeAll()
        pthread_mutex_unlock(self.mutex)
        for continuation in resumed { continuation.resume() }
    }

    /// As `take`, for a taker that is a task: waits by `clocks`.
    func arrival(until deadline: WallInstant?, clocks: any Clocks) async {
        let rest = deadline.map { min($0.duration(since: clocks.wallNow()), Self.waitMax) } ?? Self.waitMax
        guard rest > .zero else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.mail() }
            // Cancelled when mail is first.
            group.addTask { do { try await clocks.sleep(for: rest) } catch {} }
            await group.next()
            group.cancelAll()
        }
    }

    /// Returns when there is mail, or the task is cancelled.
    private func mail() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if !self.waits(continuation) { continuation.resume() }
            }
        } onCancel: {
            self.wakeTaker()
        }
    }

    private func waits(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        // A cancellation that comes later finds the continuation; an earlier one is seen here.
        guard self.events.isEmpty, !Task.isCancelled else { return false }
        self.taker = continuation
        return true
    }

    private func wakeTaker() {
        pthread_mutex_lock(self.mutex)
        let taker = self.taker
        self.taker = nil
        pthread_mutex_unlock(self.mutex)
        taker?.resume()
    }

    private func holdBack(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        guard self.events.count >= Self.eventsMax else { return false }
        self.heldBack.append(continuation)
        return true
    }

    private static func waitNanoseconds(until deadline: WallInstant?) -> Int64 {
        let longest = Self.waitMax.wholeNanoseconds
        guard let deadline else { return longest }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let nowMilliseconds = Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
        let (gap, overflow) = deadline.milliseconds.subtractingReportingOverflow(nowMilliseconds)
        if overflow { return deadline.milliseconds < 0 ? 0 : longest }
        if gap > longest / 1_000_000 { return longest }
        return gap * 1_000_000 - Int64(now.tv_nsec) % 1_000_000
    }
}
