import Synchronization

/// Bytes on their way between a task and the client's thread: at most `byteCountMax` and one piece more wait.
///
/// Whoever is ahead waits: a task that writes suspends while the pipe is full, libcurl is paused while it can put
/// nothing in or take nothing out. The thread never blocks here.
final class BodyPipe: Sendable {
    /// Bytes that may wait before the writing side has to.
    static let byteCountMax = 256 * 1024

    private struct State {
        var pieces: [[UInt8]] = []
        /// Of the first piece, what was taken already.
        var taken = 0
        var byteCount = 0
        /// The last byte is in.
        var isEnded = false
        /// Nobody takes or brings anything more.
        var isClosed = false
        var fault: HTTPClientError?
        /// The task, waiting for room or for bytes.
        var waiter: CheckedContinuation<Void, Never>?
        /// libcurl waits for bytes or for room.
        var isPaused = false
        /// Continue a paused transfer, or end it; from any thread.
        var resume: (@Sendable () -> Void)?
        var cancel: (@Sendable () -> Void)?

        var isFull: Bool { self.byteCount >= BodyPipe.byteCountMax }

        mutating func append(_ piece: [UInt8]) {
            self.pieces.append(piece)
            self.byteCount += piece.count
        }
    }

    private let state = Mutex(State())

    // MARK: The thread's doors

    /// Before the transfer begins.
    func attach(resume: @escaping @Sendable () -> Void, cancel: @escaping @Sendable () -> Void) {
        self.state.withLock { ($0.resume, $0.cancel) = (resume, cancel) }
    }

    enum Taking {
        case bytes(Int)
        /// None yet: pause until `resume`.
        case later
        case end
        case closed
    }

    /// Moves waiting bytes into `buffer`.
    func take(into buffer: UnsafeMutableRawBufferPointer) -> Taking {
        let (taking, waiter) = self.state.withLock { state -> (Taking, CheckedContinuation<Void, Never>?) in
            if state.isClosed { return (.closed, nil) }
            if state.pieces.isEmpty {
                state.isPaused = !state.isEnded
                return (state.isEnded ? .end : .later, nil)
            }
            var count = 0
            var emptied = 0
            while count < buffer.count, emptied < state.pieces.count {
                let piece = state.pieces[emptied]
                let part = min(piece.count - state.taken, buffer.count - count)
                piece.withUnsafeBytes { bytes in
                    UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + part])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[state.taken..<state.taken + part]))
                }
                count += part
                state.taken += part
                if state.taken == piece.count {
                    emptied += 1
                    state.taken = 0
                }
            }
            state.pieces.removeFirst(emptied)
            state.byteCount -= count
            let waiter = state.isFull ? nil : state.waiter.take()
            return (.bytes(count), waiter)
        }
        waiter?.resume()
        return taking
    }

    enum Putting {
        case taken
        /// No room: pause until `resume`, then bring the same bytes again.
        case later
        case closed
    }

    /// Puts in what arrived.
    func put(_ bytes: UnsafeRawBufferPointer) -> Putting {
        let (putting, waiter) = self.state.withLock { state -> (Putting, CheckedContinuation<Void, Never>?) in
            if state.isClosed { return (.closed, nil) }
            if state.isFull {
                state.isPaused = true
                return (.later, nil)
            }
            state.append(Array(bytes))
            return (.taken, state.waiter.take())
        }
        waiter?.resume()
        return putting
    }

    /// The transfer is over: what was put in may still be read, before `fault` is thrown; nothing more is taken.
    func finish(_ fault: HTTPClientError?) {
        let waiter = self.state.withLock { state in
            state.isEnded = true
            state.isPaused = false
            (state.resume, state.cancel) = (nil, nil)
            state.fault = fault
            return state.waiter.take()
        }
        waiter?.resume()
    }

    // MARK: The task's doors

    /// Puts a piece in, when there is room.
    ///
    /// - Throws: why the transfer is over, `CancellationError` when it is because the answer came.
    func write(_ piece: [UInt8]) async throws {
        if piece.isEmpty { return }
        while true {
            enum Verdict { case put(resume: (@Sendable () -> Void)?), full, over(HTTPClientError?) }
            let verdict = self.state.withLock { state -> Verdict in
                if state.isClosed || state.isEnded { return .over(state.fault) }
                if state.isFull { return .full }
                state.append(piece)
                defer { state.isPaused = false }
                return .put(resume: state.isPaused ? state.resume : nil)
            }
            switch verdict {
            case .put(let resume):
                resume?()
                return
            case .over(let fault?): throw fault
            case .over(nil): throw CancellationError()
            case .full: try await self.wait { $0.isFull && !$0.isClosed && !$0.isEnded }
            }
        }
    }

    /// No more will be written.
    func end() {
        let resume = self.state.withLock { state in
            state.isEnded = true
            defer { state.isPaused = false }
            return state.isPaused ? state.resume : nil
        }
        resume?()
    }

    /// The next bytes; `nil` at the end.
    func read() async throws -> [UInt8]? {
        while true {
            enum Verdict { case piece([UInt8], resume: (@Sendable () -> Void)?), empty, end, fault(HTTPClientError) }
            let verdict = self.state.withLock { state -> Verdict in
                if state.pieces.isEmpty {
                    if let fault = state.fault { return .fault(fault) }
                    return state.isEnded ? .end : .empty
                }
                let piece = state.pieces.removeFirst()
                state.byteCount -= piece.count
                // Not for each piece: then libcurl would be paused and continued all the time.
                guard state.isPaused, state.byteCount < Self.byteCountMax / 2 else { return .piece(piece, resume: nil) }
                state.isPaused = false
                return .piece(piece, resume: state.resume)
            }
            switch verdict {
            case .piece(let piece, let resume):
                resume?()
                return piece
            case .empty: try await self.wait { $0.pieces.isEmpty && !$0.isEnded }
            case .end: return nil
            case .fault(let fault): throw fault
            }
        }
    }

    /// The task has left: ends the transfer, unless it is over.
    func close() {
        let cancel = self.state.withLock { state in
            state.isClosed = true
            state.pieces = []
            state.byteCount = 0
            return state.cancel
        }
        cancel?()
    }

    private func wait(while condition: @escaping @Sendable (borrowing State) -> Bool) async throws(CancellationError) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = self.state.withLock { state in
                    // Looked at again under the lock: what was waited for, or the cancellation, may have come between.
                    if !condition(state) || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.resume()
        }
        if Task.isCancelled { throw CancellationError() }
    }
}
