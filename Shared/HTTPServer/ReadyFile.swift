#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import JSON
import Synchronization

/// Tells a supervisor, through a file, that a process listens and where: `ESCAPEMENT_READY_FILE`.
///
/// `{"pid": 1, "role": "ticker", "instance": "ticker-0", "ports": {"admin": 9090}}`, written by rename when the
/// last expected listener is bound, so a reader sees all of it or nothing.
package final class ReadyFile: Sendable {
    private let path: String?
    private let role: String
    private let instance: String
    private let expected: Set<String>
    private let ports = Mutex<[String: Int]>([:])

    /// - Parameters:
    ///   - path: `nil` makes every call do nothing.
    ///   - listeners: the names that must be noted before the file is written.
    package init(path: String?, role: String, instance: String, listeners: Set<String>) {
        self.path = path
        self.role = role
        self.instance = instance
        self.expected = listeners
    }

    /// Notes a listener's port, and writes the file when it was the last one missing.
    ///
    /// - Throws: `ReadyFileError` when the file cannot be written.
    package func note(_ listener: String, port: Int) throws(ReadyFileError) {
        let complete: [String: Int]? = self.ports.withLock { ports in
            ports[listener] = port
            return self.expected.isSubset(of: ports.keys) ? ports : nil
        }
        guard let path = self.path, let ports = complete else { return }
        let document: JSONValue = [
            "pid": .integer(getpid()), "role": .string(self.role), "instance": .string(self.instance),
            "ports": .object(ports.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) }),
        ]
        try Self.write(document.bytes + [0x0a], to: path)
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(ReadyFileError) {
        let temporary = "\(path).\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ReadyFileError(path: temporary, code: errno) }
        let count = bytes.withUnsafeBytes { buffer in
            #if canImport(Glibc)
            Glibc.write(descriptor, buffer.baseAddress, buffer.count)
            #else
            Darwin.write(descriptor, buffer.baseAddress, buffer.count)
            #endif
        }
        let code = errno
        close(descriptor)
        guard count == bytes.count else {
            unlink(temporary)
            throw ReadyFileError(path: temporary, code: count < 0 ? code : ENOSPC)
        }
        guard rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw ReadyFileError(path: path, code: code)
        }
    }
}

/// The ready file could not be written.
package struct ReadyFileError: Error, CustomStringConvertible {
    package var path: String
    /// `errno`.
    package var code: Int32

    package var description: String { "cannot write \(self.path): \(String(cString: strerror(self.code)))" }
}
