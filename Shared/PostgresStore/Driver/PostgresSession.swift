import CLibPQ
import EscapementModel

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One PGconn from the first packet to the last. Used by its connection's thread only.
///
/// In pipeline mode libpq answers each command with its results and then NULL, and each Sync with one result of
/// status `PGRES_PIPELINE_SYNC`. After an error the server skips to the next Sync; libpq gives
/// `PGRES_PIPELINE_ABORTED` for what was skipped. Nothing of the `PQexec` family may be called.
final class PostgresSession {
    /// One command of a unit on its way.
    private enum Step {
        case prepare(name: String)
        case execute
    }

    private struct Sent {
        var unit: PostgresUnit
        var steps: [Step]
        var next = 0
        var results: [PostgresResult] = []
        var failure: PostgresFailure?
        /// The server warned that the commit is not where it should be.
        var doubt: String?
        /// What the step under way has answered so far.
        var answered = false
    }

    private let attempt: ConnectionAttempt
    private let connection: PostgresConnection
    private let handle: OpaquePointer
    private var prepared: Set<String> = []
    private var waiting: [PostgresUnit] = []
    private var sent: [Sent] = []
    /// When the first of `sent` became the first; its answer is due from then.
    private var frontSince: Int64 = 0
    /// The last thing the server said before it hung up.
    private var lastWords: String?
    private var finished = false

    /// Begins to connect.
    init(_ attempt: ConnectionAttempt, connection: PostgresConnection) throws(PostgresFailure) {
        self.attempt = attempt
        self.connection = connection
        let keywords = attempt.parameters.map { strdup($0.keyword) } + [nil]
        let values = attempt.parameters.map { strdup($0.value) } + [nil]
        defer {
            for keyword in keywords { free(keyword) }
            for value in values {
                // A password may be among them.
                if let value { explicit_bzero(value, strlen(value)) }
                free(value)
            }
        }
        let handle = keywords.map { UnsafePointer($0) }.withUnsafeBufferPointer { keywords in
            values.map { UnsafePointer($0) }.withUnsafeBufferPointer { values in
                PQconnectStartParams(keywords.baseAddress, values.baseAddress, 0)
            }
        }
        guard let handle else { throw .connection("out of memory") }
        self.handle = handle
        PQsetNoticeReceiver(
            handle,
            { argument, result in
                guard let argument else { return }
                Unmanaged<PostgresSession>.fromOpaque(argument).takeUnretainedValue().notice(result)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Fails what was sent, gives what was not back to no one, closes the socket. Must be called, once.
    func finish(_ reason: String) {
        guard !self.finished else { return }
        self.finished = true
        let sent = self.sent
        let waiting = self.waiting
        self.sent = []
        self.waiting = []
        PQfinish(self.handle)
        for sent in sent { sent.unit.completion(.failure(sent.failure ?? .connection(reason))) }
        for unit in waiting { unit.completion(.failure(.connection(reason))) }
    }

    /// Drives libpq until the server has let us in.
    func connect(deadline: Int64) throws(PostgresFailure) {
        guard PQstatus(self.handle) != CONNECTION_BAD else { throw .connection(self.errorText()) }
        var events = Int16(POLLOUT)
        while true {
            guard try self.wait(for: events, until: deadline) else {
                throw .connection("no answer to the attempt to connect within \(self.connection.limits.connect)")
            }
            switch PQconnectPoll(self.handle) {
            case PGRES_POLLING_OK:
                guard PQsetnonblocking(self.handle, 1) == 0, PQenterPipelineMode(self.handle) == 1 else {
                    throw .connection(self.errorText())
                }
                return
            case PGRES_POLLING_READING: events = Int16(POLLIN)
            case PGRES_POLLING_WRITING: events = Int16(POLLOUT)
            default: throw .connection(self.errorText())
            }
        }
    }

    /// Time-outs and names of this session. By `set_config` and not by the start-up packet, which poolers filter.
    func configure(deadline: Int64) throws(PostgresFailure) {
        let limits = self.connection.limits
        let quoted = PostgresMigrator.quote(self.connection.schema)
        let outcome = Outcome()
        let statement = PostgresStatement(
            once: """
                SELECT set_config('search_path', $1::text, false), \
                set_config('statement_timeout', $2::text, false), set_config('lock_timeout', $3::text, false), \
                set_config('idle_in_transaction_session_timeout', $4::text, false), set_config('jit', 'off', false), \
                set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') \
                THEN 'on' ELSE current_setting('synchronous_commit') END, false)
                """)
        let call = statement(
            .text(quoted), .text("\(limits.statement.wholeMilliseconds)"), .text("\(limits.lock.wholeMilliseconds)"),
            .text("\(limits.idleInTransaction.wholeMilliseconds)"))
        try self.send(PostgresUnit(calls: [call], deadline: deadline) { outcome.result = $0 })
        while !self.sent.isEmpty {
            let isBlocked = try self.flush()
            guard try self.wait(for: Int16(isBlocked ? POLLIN | POLLOUT : POLLIN), until: deadline) else {
                throw .connection("no answer to the first statement within \(limits.connect)")
            }
            try self.receive()
        }
        if case .failure(let failure) = outcome.result { throw failure }
    }

    private final class Outcome: @unchecked Sendable {
        // Written and read on the connection's thread only.
        var result: Result<[PostgresResult], PostgresFailure>?
    }

    /// Sends and receives until the connection breaks or is closed; why it did.
    func serve() -> String {
        do throws(PostgresFailure) {
            while true {
                if self.connection.isClosing { return "the connection is closed" }
                try self.sendWaiting()
                let isBlocked = try self.flush()
                let now = monotonicNanoseconds()
                try self.expire(at: now)
                let socket = PQsocket(self.handle)
                var descriptors = [
                    pollfd(fd: socket, events: Int16(isBlocked ? POLLIN | POLLOUT : POLLIN), revents: 0),
                    pollfd(fd: self.connection.wakeup.descriptor, events: Int16(POLLIN), revents: 0),
                ]
                guard poll(&descriptors, 2, self.timeout(from: now)) > 0 else { continue }
                if descriptors[1].revents != 0 { self.connection.wakeup.clear() }
                if descriptors[0].revents != 0 { try self.receive() }
            }
        } catch {
            switch error {
            case .connection(let reason), .overloaded(let reason), .corrupt(let reason): return reason
            case .server(let state, let message): return "\(message) [\(state)]"
            }
        }
    }

    private func timeout(from now: Int64) -> Int32 {
        var next = self.waiting.map(\.deadline).min() ?? .max
        if !self.sent.isEmpty { next = min(next, self.frontDeadline) }
        return next == .max ? -1 : milliseconds(next - now)
    }

    private var frontDeadline: Int64 { self.frontSince + self.connection.limits.answer.wholeNanoseconds }

    /// Fails what waited too long to be sent.
    ///
    /// - Throws: when the server has not answered the first unit in time: then nothing after it can be either.
    private func expire(at now: Int64) throws(PostgresFailure) {
        if !self.sent.isEmpty, now >= self.frontDeadline {
            throw .connection("no answer within \(self.connection.limits.answer)")
        }
        guard self.waiting.contains(where: { $0.deadline <= now }) else { return }
        let expired = self.waiting.filter { $0.deadline <= now }
        self.waiting.removeAll { $0.deadline <= now }
        for unit in expired {
            unit.completion(.failure(.overloaded("not sent within \(self.connection.limits.answer)")))
        }
    }
}

// Sending.
extension PostgresSession {
    private func sendWaiting() throws(PostgresFailure) {
        self.waiting += self.connection.takeInbox()
        let room = min(self.waiting.count, self.connection.limits.inFlightMax - self.sent.count)
        guard room > 0 else { return }
        let units = self.waiting[..<room]
        self.waiting.removeFirst(room)
        for (index, unit) in units.enumerated() {
            do throws(PostgresFailure) {
                try self.send(unit)
            } catch {
                // None of these was sent.
                for unit in units.dropFirst(index + 1) { unit.completion(.failure(error)) }
                throw error
            }
        }
    }

    /// Puts a unit into libpq's buffer.
    private func send(_ unit: PostgresUnit) throws(PostgresFailure) {
        if self.sent.isEmpty { self.frontSince = monotonicNanoseconds() }
        var steps: [Step] = []
        self.sent.append(Sent(unit: unit, steps: []))
        for call in unit.calls {
            let statement = call.statement
            if !statement.name.isEmpty, self.prepared.insert(statement.name).inserted {
                guard PQsendPrepare(self.handle, statement.name, statement.sql, 0, nil) == 1 else {
                    throw .connection(self.errorText())
                }
                steps.append(.prepare(name: statement.name))
            }
            try self.sendExecution(of: call)
            steps.append(.execute)
        }
        guard PQpipelineSync(self.handle) == 1 else { throw .connection(self.errorText()) }
        self.sent[self.sent.count - 1].steps = steps
    }

    private func sendExecution(of call: PostgresCall) throws(PostgresFailure) {
        var bytes: [UInt8] = []
        var ranges: [Range<Int>?] = []
        for value in call.values {
            let start = bytes.count
            ranges.append(value.append(to: &bytes) ? start..<bytes.count : nil)
        }
        // An empty value needs an address too: NULL is the address that says NULL.
        bytes.append(0)
        let count = Int32(ranges.count)
        let lengths = ranges.map { Int32($0?.count ?? 0) }
        let formats = [Int32](repeating: 1, count: ranges.count)
        let code = bytes.withUnsafeBufferPointer { buffer in
            let pointers = ranges.map { range -> UnsafePointer<CChar>? in
                guard let range, let base = buffer.baseAddress else { return nil }
                return UnsafeRawPointer(base + range.lowerBound).assumingMemoryBound(to: CChar.self)
            }
            return call.statement.name.isEmpty
                ? PQsendQueryParams(
                    self.handle, call.statement.sql, count, nil, pointers, lengths, formats, 1)
                : PQsendQueryPrepared(self.handle, call.statement.name, count, pointers, lengths, formats, 1)
        }
        guard code == 1 else { throw .connection(self.errorText()) }
    }

    /// Whether something is left to be written when the socket takes it.
    private func flush() throws(PostgresFailure) -> Bool {
        switch PQflush(self.handle) {
        case 0: return false
        case 1: return true
        default:
            // What the server said last may still be in the socket.
            try self.receive()
            throw .connection(self.errorText())
        }
    }
}

// Receiving.
extension PostgresSession {
    /// Reads what has come and completes what is complete.
    private func receive() throws(PostgresFailure) {
        let isAlive = PQconsumeInput(self.handle) == 1
        try self.takeResults()
        if !isAlive || PQstatus(self.handle) == CONNECTION_BAD {
            throw .connection(self.lastWords ?? self.errorText())
        }
    }

    private func takeResults() throws(PostgresFailure) {
        while !self.sent.isEmpty, PQisBusy(self.handle) == 0 {
            guard let result = PQgetResult(self.handle) else {
                // The end of one command, or of everything.
                guard self.sent[0].answered else {
                    throw .connection(self.lastWords ?? self.errorText())
                }
                self.sent[0].next += 1
                self.sent[0].answered = false
                continue
            }
            defer { PQclear(result) }
            try self.take(result)
        }
    }

    private func take(_ result: OpaquePointer) throws(PostgresFailure) {
        let status = PQresultStatus(result)
        if status == PGRES_PIPELINE_SYNC {
            self.completeFront()
            return
        }
        self.sent[0].answered = true
        let step = self.sent[0].next < self.sent[0].steps.count ? self.sent[0].steps[self.sent[0].next] : .execute
        switch status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
            if case .execute = step { self.sent[0].results.append(Self.copy(result)) }
        case PGRES_PIPELINE_ABORTED:
            if case .prepare(let name) = step { self.prepared.remove(name) }
        case PGRES_FATAL_ERROR:
            if case .prepare(let name) = step { self.prepared.remove(name) }
            let failure = self.failure(of: result)
            if self.sent[0].failure == nil { self.sent[0].failure = failure }
            if case .server(let state, let message) = failure {
                // Prepared by a unit that failed: prepare it anew.
                if state == "26000" { self.prepared = [] }
                if failure.endsSession { self.lastWords = "\(message) [\(state)]" }
            }
            if failure.endsSession { throw failure }
        default:
            throw .connection("unexpected answer \(String(cString: PQresStatus(status)))")
        }
    }

    private func completeFront() {
        let front = self.sent.removeFirst()
        self.frontSince = monotonicNanoseconds()
        if let failure = front.failure {
            front.unit.completion(.failure(failure))
        } else if let doubt = front.doubt {
            front.unit.completion(.failure(.connection(doubt)))
        } else if front.results.count != front.unit.calls.count {
            front.unit.completion(.failure(.corrupt("\(front.results.count) results for \(front.unit.calls.count)")))
        } else {
            front.unit.completion(.success(front.results))
        }
    }

    /// A notice, a warning, or what the server says on its way out while nothing is asked of it.
    private func notice(_ result: OpaquePointer?) {
        guard let result, let severity = Self.field(result, "V") else { return }
        let text = self.attempt.clean(Self.field(result, "M") ?? "")
        let state = Self.field(result, "C") ?? ""
        if severity == "FATAL" || severity == "PANIC" { self.lastWords = "\(text) [\(state)]" }
        // A commit whose wait for the standby was cut short by a person warns so, and then reports success: it is
        // durable here and perhaps nowhere else. A plain warning has no code of its own.
        if severity == "WARNING", state == "01000", !self.sent.isEmpty { self.sent[0].doubt = text }
    }

    private func failure(of result: OpaquePointer) -> PostgresFailure {
        // libpq's own errors (the connection broke) have no state.
        guard let state = Self.field(result, "C") else {
            return .connection(self.lastWords ?? self.attempt.clean(String(cString: PQresultErrorMessage(result))))
        }
        return .server(state: state, message: self.attempt.clean(Self.field(result, "M") ?? "error"))
    }

    private func errorText() -> String {
        let text = self.attempt.clean(String(cString: PQerrorMessage(self.handle)))
        return text.isEmpty ? "the connection is lost" : text
    }

    private static func field(_ result: OpaquePointer, _ code: Character) -> String? {
        guard let text = PQresultErrorField(result, Int32(code.asciiValue ?? 0)) else { return nil }
        return String(cString: text)
    }

    private static func copy(_ result: OpaquePointer) -> PostgresResult {
        let rows = PQntuples(result)
        let columns = PQnfields(result)
        var bytes: [UInt8] = []
        var cells: [PostgresResult.Cell] = []
        cells.reserveCapacity(Int(rows * columns))
        for row in 0..<rows {
            for column in 0..<columns {
                guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else {
                    cells.append(PostgresResult.Cell(offset: 0, length: -1))
                    continue
                }
                let length = Int(PQgetlength(result, row, column))
                cells.append(PostgresResult.Cell(offset: bytes.count, length: length))
                bytes.append(contentsOf: UnsafeRawBufferPointer(start: value, count: length))
            }
        }
        let changed = Int(String(cString: PQcmdTuples(result))) ?? 0
        return PostgresResult(
            rowCount: Int(rows), columnCount: Int(columns), cells: cells, bytes: bytes, changedCount: changed)
    }
}

// Waiting outside `serve`.
extension PostgresSession {
    /// Waits for the socket; `false` when the deadline comes first.
    ///
    /// - Throws: when the connection is being closed.
    private func wait(for events: Int16, until deadline: Int64) throws(PostgresFailure) -> Bool {
        while true {
            if self.connection.isClosing { throw .connection("the connection is closed") }
            let now = monotonicNanoseconds()
            self.connection.expireInbox(at: now)
            if now >= deadline { return false }
            var descriptors = [
                pollfd(fd: PQsocket(self.handle), events: events, revents: 0),
                pollfd(fd: self.connection.wakeup.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            // Looks up now and then, so that units which wait for the connection expire in time.
            guard poll(&descriptors, 2, min(milliseconds(deadline - now), 250)) > 0 else { continue }
            if descriptors[1].revents != 0 { self.connection.wakeup.clear() }
            if descriptors[0].revents != 0 { return true }
        }
    }
}
