import Store
import Synchronization

/// Requests to create timers that wait while others are being committed. What has gathered by then goes into one
/// transaction: a commit costs a disk write whether it holds one row or a thousand, and each shard's counter can
/// move only once a commit.
final class TimerQueue: Sendable {
    typealias Answer = Result<Keyed<[CreateOutcome<StoredTimer>]>, StoreError>

    struct Request: Sendable {
        let timers: [NewTimer]
        let key: IdempotencyKey?
        let isAtomic: Bool
        let completion: CheckedContinuation<Answer, Never>
        /// Rough size in the database.
        let bytes: Int

        init(
            timers: [NewTimer], key: IdempotencyKey?, isAtomic: Bool, completion: CheckedContinuation<Answer, Never>
        ) {
            self.timers = timers
            self.key = key
            self.isAtomic = isAtomic
            self.completion = completion
            self.bytes = timers.reduce(0) { $0 + $1.byteCount + 256 }
        }
    }

    /// Transactions at a time. Two, so that one is on its way while the other commits; more would wait for the
    /// same counters.
    static let writersMax = 2
    /// A transaction takes requests up to this many timers or bytes, the first one whatever its size.
    static let batchTimersMax = 1000
    static let batchBytesMax = 4 << 20
    /// Timers and bytes that may wait; a request beyond that is refused.
    static let waitingTimersMax = 50_000
    static let waitingBytesMax = 64 << 20

    private struct Contents {
        var waiting: [Request] = []
        var waitingTimers = 0
        var waitingBytes = 0
        var writers = 0
    }

    private let contents = Mutex(Contents())

    enum Admission { case refused, queued, queuedForNewWriter }

    /// Adds a request. `queuedForNewWriter` asks the caller to start a writer.
    func add(_ request: Request) -> Admission {
        self.contents.withLock { contents in
            guard contents.waitingTimers + request.timers.count <= Self.waitingTimersMax,
                contents.waitingBytes + request.bytes <= Self.waitingBytesMax
            else { return .refused }
            contents.waiting.append(request)
            contents.waitingTimers += request.timers.count
            contents.waitingBytes += request.bytes
            guard contents.writers < Self.writersMax else { return .queued }
            contents.writers += 1
            return .queuedForNewWriter
        }
    }

    /// What the next transaction takes. Empty when nothing waits: then the writer has ended.
    func next() -> [Request] {
        self.contents.withLock { contents in
            var taken: [Request] = []
            var timers = 0
            var bytes = 0
            var keys: Set<KeyName> = []
            for request in contents.waiting {
                timers += request.timers.count
                bytes += request.bytes
                if !taken.isEmpty, timers > Self.batchTimersMax || bytes > Self.batchBytesMax { break }
                // A repetition that came at once: the next transaction will see what became of the first.
                if let key = request.key, !keys.insert(KeyName(key)).inserted { break }
                taken.append(request)
            }
            contents.waiting.removeFirst(taken.count)
            contents.waitingTimers -= taken.reduce(0) { $0 + $1.timers.count }
            contents.waitingBytes -= taken.reduce(0) { $0 + $1.bytes }
            if taken.isEmpty { contents.writers -= 1 }
            return taken
        }
    }
}

/// What makes two keys the same.
struct KeyName: Hashable {
    var namespace: String
    var key: String

    init(namespace: String, key: String) {
        self.namespace = namespace
        self.key = key
    }

    init(_ key: IdempotencyKey) { self.init(namespace: key.namespace, key: key.key) }
}
