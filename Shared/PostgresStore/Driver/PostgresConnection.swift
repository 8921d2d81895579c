import EscapementModel
package import Store
import Synchronization

/// Whether a connection stands.
package enum PostgresState: Hashable, Sendable {
    case connected
    /// Trying to connect, again and again. The reason is one line without secrets.
    case lost(reason: String)
}

/// One connection to PostgreSQL and the thread that owns it.
///
/// Callers append units of work to a bounded inbox; the thread sends them in pipeline mode and completes each when its
/// Sync comes back, in order. While the first attempt to connect is under way, and for the moment after a connection
/// broke, units wait; once an attempt has failed they fail at once with its reason, until one succeeds.
/// A unit that was sent when the connection broke fails, and may have happened.
///
/// `start` once; whoever starts it must `close` it.
package final class PostgresConnection: Sendable {
    enum Phase: Sendable {
        case connecting
        case ready
        case down(reason: String)
        case closing
        case closed
    }

    struct Shared: Sendable {
        var phase = Phase.connecting
        var inbox: [PostgresUnit] = []
        var closeWaiters: [CheckedContinuation<Void, Never>] = []
        var started = false
    }

    /// For people: in `application_name` and the thread's name.
    package let role: String
    let settings: PostgresConnectionSettings
    let limits: PostgresLimits
    /// The schema that unqualified names mean.
    let schema: String
    let wakeup = Wakeup()
    let shared = Mutex(Shared())
    private let outstandingCount = Atomic<Int>(0)
    private let onState: @Sendable (PostgresState) -> Void

    /// - Parameter onState: called on the connection's thread at each change; must return soon.
    package init(
        role: String, settings: PostgresConnectionSettings, schema: String, limits: PostgresLimits,
        onState: @escaping @Sendable (PostgresState) -> Void = { _ in }
    ) {
        self.role = role
        self.settings = settings
        self.schema = schema
        self.limits = limits
        self.onState = onState
    }

    /// Units submitted and not completed.
    package var outstanding: Int { self.outstandingCount.load(ordering: .relaxed) }

    /// Starts the thread, which connects at once. Later calls do nothing.
    package func start() {
        let isFirst = self.shared.withLock { shared in
            defer { shared.started = true }
            return !shared.started
        }
        if isFirst { ConnectionThread.start(self) }
    }

    /// Closes the connection and ends the thread; units that have not been completed fail. Returns when
    /// the thread has let go of everything.
    package func close() async {
        await withCheckedContinuation { continuation in
            let isOver = self.shared.withLock { shared in
                if case .closed = shared.phase { return true }
                guard shared.started else {
                    shared.phase = .closed
                    return true
                }
                shared.phase = .closing
                shared.closeWaiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() } else { self.wakeup.signal() }
        }
    }

    /// Runs one unit of work: `calls` in one transaction, one result each.
    package func run(_ calls: [PostgresCall]) async throws(PostgresFailure) -> [PostgresResult] {
        self.outstandingCount.add(1, ordering: .relaxed)
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[PostgresResult], PostgresFailure>, Never>) in
            self.submit(calls) { result in
                self.outstandingCount.subtract(1, ordering: .relaxed)
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    /// Runs one statement in a transaction of its own.
    @discardableResult
    package func run(_ call: PostgresCall) async throws(PostgresFailure) -> PostgresResult {
        let results = try await self.run([call])
        guard let result = results.first else { throw .corrupt("no result") }
        return result
    }

    private func submit(
        _ calls: [PostgresCall], completion: @escaping @Sendable (Result<[PostgresResult], PostgresFailure>) -> Void
    ) {
        let unit = PostgresUnit(
            calls: calls, deadline: monotonicNanoseconds() + self.limits.answer.wholeNanoseconds,
            completion: completion)
        let refusal: PostgresFailure? = self.shared.withLock { shared in
            switch shared.phase {
            case .closing, .closed: return .connection("the connection is closed")
            case .down(let reason): return .connection(reason)
            case .connecting, .ready: break
            }
            guard shared.started else { return .connection("the connection is not started") }
            guard shared.inbox.count < self.limits.waitingMax else {
                return .overloaded("\(shared.inbox.count) requests wait for the database already")
            }
            shared.inbox.append(unit)
            if shared.inbox.count == 1 { self.wakeup.signal() }
            return nil
        }
        if let refusal { completion(.failure(refusal)) }
    }

    // For the thread.

    var isClosing: Bool {
        self.shared.withLock { shared in
            if case .closing = shared.phase { true } else { false }
        }
    }

    /// Moves on, unless closing; tells when the state is news.
    func enter(_ phase: Phase, telling state: PostgresState?) {
        let abandoned: [PostgresUnit] = self.shared.withLock { shared in
            if case .closing = shared.phase { return [] }
            shared.phase = phase
            guard case .down = phase else { return [] }
            defer { shared.inbox = [] }
            return shared.inbox
        }
        if case .down(let reason) = phase {
            for unit in abandoned { unit.completion(.failure(.connection(reason))) }
        }
        if let state { self.onState(state) }
    }

    func takeInbox() -> [PostgresUnit] {
        self.shared.withLock { shared in
            defer { shared.inbox = [] }
            return shared.inbox
        }
    }

    /// Fails the units whose time to be sent is over.
    func expireInbox(at now: Int64) {
        let expired: [PostgresUnit] = self.shared.withLock { shared in
            let expired = shared.inbox.filter { $0.deadline <= now }
            if !expired.isEmpty { shared.inbox.removeAll { $0.deadline <= now } }
            return expired
        }
        for unit in expired { unit.completion(.failure(.connection("no connection within \(self.limits.answer)"))) }
    }

    /// The thread is at its end.
    func finish() {
        let (units, waiters) = self.shared.withLock { shared in
            defer {
                shared.phase = .closed
                shared.inbox = []
                shared.closeWaiters = []
            }
            return (shared.inbox, shared.closeWaiters)
        }
        for unit in units { unit.completion(.failure(.connection("the connection is closed"))) }
        for waiter in waiters { waiter.resume() }
    }
}

extension PostgresConnection {
    /// Runs one unit and gives the store's error.
    package func run(_ calls: [PostgresCall], operation: String) async throws(StoreError) -> [PostgresResult] {
        do throws(PostgresFailure) {
            return try await self.run(calls)
        } catch {
            throw error.storeError(operation: operation)
        }
    }
}
