#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A thread outside the cooperative pool, for calls that block.
enum BlockingThread {
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a new, detached thread; `false` when the system gives none.
    static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Box(body))
        #if canImport(Glibc)
        var thread = pthread_t()
        #else
        var thread: pthread_t?
        #endif
        let result = pthread_create(
            &thread, nil,
            { argument in
                #if canImport(Glibc)
                guard let argument else { return nil }
                #endif
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            return false
        }
        #if canImport(Glibc)
        pthread_detach(thread)
        #else
        if let thread { pthread_detach(thread) }
        #endif
        return true
    }
}

/// One thread that does blocking jobs in order. At most `jobsMax` wait.
///
/// The thread starts with the first job, so that a client that cannot be made leaves none behind.
///
/// Sendable because everything mutable is read and written under `mutex` only.
final class BlockingWorker: @unchecked Sendable {
    static let jobsMax = 64

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [@Sendable () -> Void] = []
    private var isStarted = false
    private var isStopping = false

    init() {
        pthread_mutex_init(self.mutex, nil)
        pthread_cond_init(self.condition, nil)
    }

    deinit {
        pthread_cond_destroy(self.condition)
        pthread_mutex_destroy(self.mutex)
        self.condition.deallocate()
        self.mutex.deallocate()
    }

    /// Does `job` on the thread and returns its result.
    ///
    /// - Throws: what the job throws; `destroyed` after `stop`, `queueFull` when too many wait, `fatal` when the system
    ///   gives no thread.
    func run<Value: Sendable>(_ job: @escaping @Sendable () throws(KafkaError) -> Value) async throws(KafkaError)
        -> Value
    {
        let result: Result<Value, KafkaError> = await withCheckedContinuation { continuation in
            let refusal = self.enqueue {
                do throws(KafkaError) {
                    continuation.resume(returning: .success(try job()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if let refusal { continuation.resume(returning: .failure(refusal)) }
        }
        return try result.get()
    }

    /// Ends the thread after the jobs that wait. Later jobs are refused.
    func stop() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            pthread_mutex_lock(self.mutex)
            let isIdle = self.isStopping || !self.isStarted
            if !isIdle { self.jobs.append { continuation.resume() } }
            self.isStopping = true
            pthread_cond_signal(self.condition)
            pthread_mutex_unlock(self.mutex)
            if isIdle { continuation.resume() }
        }
    }

    /// As `stop`, without waiting.
    func requestStop() {
        pthread_mutex_lock(self.mutex)
        self.isStopping = true
        pthread_cond_signal(self.condition)
        pthread_mutex_unlock(self.mutex)
    }

    private func enqueue(_ job: @escaping @Sendable () -> Void) -> KafkaError? {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        if self.isStopping { return KafkaError(.destroyed) }
        if self.jobs.count >= Self.jobsMax { return KafkaError(.queueFull) }
        if !self.isStarted {
            guard BlockingThread.start({ self.turn() }) else {
                return KafkaError(.fatal, detail: "the system gives no thread")
            }
            self.isStarted = true
        }
        self.jobs.append(job)
        pthread_cond_signal(self.condition)
        return nil
    }

    private func turn() {
        while true {
            pthread_mutex_lock(self.mutex)
            while self.jobs.isEmpty, !self.isStopping { pthread_cond_wait(self.condition, self.mutex) }
            let batch = self.jobs
            self.jobs = []
            pthread_mutex_unlock(self.mutex)
            if batch.isEmpty { return }
            for job in batch { job() }
        }
    }
}
