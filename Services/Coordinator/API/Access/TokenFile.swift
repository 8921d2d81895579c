import EscapementModel
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Logging
import Observability
import Synchronization

/// The file of token hashes, read again when it changes: a revoked token is refused within `checkEvery`.
///
/// While the file cannot be read, what was read last stays in force: an editor or a mount that swaps it must
/// not lock everyone out.
final class TokenFile: Sendable {
    /// Between two looks at the file.
    static let checkEvery = Duration.seconds(1)
    /// Bytes of the file.
    static let byteCountMax = 4 * 1024 * 1024

    private struct State {
        var table = TokenTable()
        var content: [UInt8]?
        var checkedAt: MonotonicInstant?
        var isUnreadable = false
    }

    private let path: String
    private let clocks: any Clocks
    private let logger: Logger
    private let state = Mutex(State())

    init(path: String, clocks: any Clocks, logger: Logger) {
        self.path = path
        self.clocks = clocks
        self.logger = logger
    }

    /// The table in force. Reads the file at most once in `checkEvery`, and parses it only when it is another.
    func current() -> TokenTable {
        let now = self.clocks.monotonicNow()
        return self.state.withLock { state in
            if let last = state.checkedAt, now.duration(since: last) < Self.checkEvery { return state.table }
            state.checkedAt = now
            self.refresh(&state)
            return state.table
        }
    }

    private func refresh(_ state: inout State) {
        guard let content = Self.read(self.path) else { return self.noteUnreadable(&state) }
        state.isUnreadable = false
        if content == state.content { return }
        let (table, faults) = TokenTable.parse(String(decoding: content, as: UTF8.self))
        state.table = table
        state.content = content
        self.logger.info(
            "tokens read", event: "tokens_read",
            [LogKey.path: .string(self.path), LogKey.count: .number(table.entries.count)])
        for fault in faults.prefix(10) {
            self.logger.warning(
                "a token is left out", event: "token_line_refused",
                [LogKey.path: .string(self.path), "line": .number(fault.line), LogKey.error: .string(fault.detail)])
        }
    }

    private func noteUnreadable(_ state: inout State) {
        let reason = String(cString: strerror(errno))
        if state.isUnreadable { return }
        state.isUnreadable = true
        self.logger.error(
            "the tokens cannot be read; those known stay valid", event: "tokens_unreadable",
            [LogKey.path: .string(self.path), LogKey.error: .string(reason)])
    }

    /// The file's bytes; `nil`, with `errno` set, when it cannot be read or is too large.
    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= self.byteCountMax {
            let count = chunk.withUnsafeMutableBytes { buffer in
                #if canImport(Glibc)
                Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                #else
                Darwin.read(descriptor, buffer.baseAddress, buffer.count)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk.prefix(count))
        }
        errno = EFBIG
        return nil
    }
}
