import CLibPQ
import EscapementModel

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The thread of a `PostgresConnection`: connects, serves, connects again, until closed.
final class ConnectionThread {
    private let connection: PostgresConnection
    private var attempts = 0
    /// Failures in a row, for the pause.
    private var failures = 0
    private var random = SystemRandomNumberGenerator()

    private init(_ connection: PostgresConnection) { self.connection = connection }

    static func start(_ connection: PostgresConnection) {
        let box = Unmanaged.passRetained(ConnectionThread(connection))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                // Signals are for the threads that expect them.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_SETMASK, &all, nil)
                let thread = Unmanaged<ConnectionThread>.fromOpaque(argument).takeRetainedValue()
                clibpq_name_thread(String("pg-\(thread.connection.role)".prefix(15)))
                thread.main()
                return nil
            }, box.toOpaque())
        precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
        pthread_detach(thread)
    }

    private func main() {
        while !self.connection.isClosing {
            let attempt: ConnectionAttempt
            let session: PostgresSession
            do throws(PostgresFailure) {
                attempt = try ConnectionAttempt(self.connection.settings, number: self.attempts)
                self.attempts += 1
                session = try self.connect(attempt)
            } catch {
                self.fail(error)
                continue
            }
            let began = monotonicNanoseconds()
            self.connection.enter(.ready, telling: .connected)
            let reason = session.serve()
            session.finish(reason)
            if self.connection.isClosing { break }
            // A server that lets us in and throws us out must not be asked a thousand times a second.
            self.failures = monotonicNanoseconds() - began < 1_000_000_000 ? self.failures + 1 : 0
            self.connection.enter(.connecting, telling: .lost(reason: reason))
            if self.failures > 1 { self.pause() }
        }
        self.connection.finish()
    }

    private func fail(_ failure: PostgresFailure) {
        let reason: String
        switch failure {
        case .connection(let text), .overloaded(let text), .corrupt(let text): reason = text
        case .server(let state, let message): reason = "\(message) [\(state)]"
        }
        self.failures += 1
        self.connection.enter(.down(reason: reason), telling: .lost(reason: reason))
        self.pause()
    }

    /// Doubles with each failure in a row, up to the limit; between half and the whole of it, at random, so that
    /// the connections of a cluster do not come back in one moment.
    private func pause() {
        let limits = self.connection.limits
        let doubled = limits.backoffMin.wholeNanoseconds << Int64(min(self.failures - 1, 20))
        let whole = max(1, min(doubled, limits.backoffMax.wholeNanoseconds))
        let until = monotonicNanoseconds() + Int64.random(in: whole / 2...whole, using: &self.random)
        while !self.connection.isClosing {
            let left = until - monotonicNanoseconds()
            if left <= 0 { return }
            self.connection.expireInbox(at: monotonicNanoseconds())
            var descriptors = [pollfd(fd: self.connection.wakeup.descriptor, events: Int16(POLLIN), revents: 0)]
            if poll(&descriptors, 1, milliseconds(left)) > 0 { self.connection.wakeup.clear() }
        }
    }

    /// One attempt, up to a session that has its settings and serves.
    private func connect(_ attempt: ConnectionAttempt) throws(PostgresFailure) -> PostgresSession {
        let limit = self.connection.limits.connect * attempt.hostCount
        let deadline = monotonicNanoseconds() + limit.wholeNanoseconds
        let session = try PostgresSession(attempt, connection: self.connection)
        do throws(PostgresFailure) {
            try session.connect(deadline: deadline)
            try session.configure(deadline: deadline)
        } catch {
            session.finish("connecting failed")
            throw error
        }
        return session
    }
}

/// For `poll`: rounded up, so that a deadline is over when `poll` returns.
func milliseconds(_ nanoseconds: Int64) -> Int32 {
    Int32(clamping: max(0, (nanoseconds + 999_999) / 1_000_000))
}
