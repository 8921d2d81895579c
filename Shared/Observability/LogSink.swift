#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import EscapementModel
import Synchronization

/// Where finished log lines go. Takes one whole line with its line feed; may drop it, never throws.
package struct LogSink: Sendable {
    /// Writes one line. Called from any thread.
    package let write: @Sendable (_ line: [UInt8]) -> Void

    /// A sink that calls `write`; for tests and for tools that collect lines.
    package init(_ write: @escaping @Sendable (_ line: [UInt8]) -> Void) { self.write = write }

    /// Writes to standard output.
    package static func standardOutput() -> LogSink { .descriptor(STDOUT_FILENO) }

    /// Writes to an open file descriptor, which the caller keeps open as long as the sink lives.
    ///
    /// One `write(2)` per line. A reader that stops reading costs one wait of `patience` in all, not
    /// the process: after it, lines are dropped until the descriptor takes bytes again, and the first
    /// line then says how many were lost.
    package static func descriptor(_ descriptor: Int32, patience: Duration = .seconds(1)) -> LogSink {
        let writer = DescriptorWriter(descriptor: descriptor, patience: patience)
        return LogSink { writer.write($0) }
    }
}

/// Serialises the lines of one descriptor.
private final class DescriptorWriter: Sendable {
    private struct State {
        /// The reader did not keep up within `patience`; do not wait for it again until it reads.
        var stalled = false
        var dropped: UInt64 = 0
    }

    private let descriptor: Int32
    private let patienceMilliseconds: Int32
    private let state = Mutex(State())

    init(descriptor: Int32, patience: Duration) {
        self.descriptor = descriptor
        self.patienceMilliseconds = Int32(clamping: patience.wholeMilliseconds)
    }

    func write(_ line: [UInt8]) {
        self.state.withLock { state in
            guard self.isWritable(waitMilliseconds: state.stalled ? 0 : self.patienceMilliseconds) else {
                state.stalled = true
                state.dropped += 1
                return
            }
            state.stalled = false
            if state.dropped > 0 {
                let notice = Self.notice(dropped: state.dropped)
                state.dropped = 0
                guard self.writeAll(notice) else { return }
            }
            if !self.writeAll(line) { state.dropped += 1 }
        }
    }

    private func isWritable(waitMilliseconds: Int32) -> Bool {
        var request = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
        var result = poll(&request, 1, waitMilliseconds)
        while result < 0, errno == EINTR { result = poll(&request, 1, waitMilliseconds) }
        return result > 0
    }

    /// True when every byte was taken. More than one `write(2)` only after a signal or on a descriptor
    /// that took a part.
    private func writeAll(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let slice = UnsafeRawBufferPointer(rebasing: rest)
                #if canImport(Glibc)
                let count = Glibc.write(self.descriptor, slice.baseAddress, slice.count)
                #else
                let count = Darwin.write(self.descriptor, slice.baseAddress, slice.count)
                #endif
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if count < 0, errno == EINTR {
                    continue
                } else if count < 0, errno == EAGAIN, self.isWritable(waitMilliseconds: self.patienceMilliseconds) {
                    continue
                } else {
                    return false
                }
            }
            return true
        }
    }

    private static func notice(dropped: UInt64) -> [UInt8] {
        let fields = "\"level\":\"warning\",\"event\":\"log_lines_dropped\",\"msg\":\"log lines dropped\""
        return Array("{\(fields),\"count\":\(dropped)}\n".utf8)
    }
}
