#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A password, token or key: a value, or better the file that holds it. Prints and dumps as `<redacted>`.
///
/// A file is read at each `read()`, so a connection that is renewed uses a rotated secret without a
/// restart.
package struct Secret: Sendable {
    private enum Source: Sendable {
        case value(String)
        case file(String)
    }

    /// The largest secret file, bytes.
    package static let byteCountMax = 64 * 1024

    private let source: Source

    /// A secret that is known; one trailing line break is dropped.
    package init(_ value: String) { self.source = .value(Self.withoutTrailingBreak(value)) }

    /// A secret in a file, read when it is needed.
    package init(file path: String) { self.source = .file(path) }

    /// The file it is read from; `nil` for a value.
    package var file: String? { if case .file(let path) = self.source { path } else { nil } }

    /// The text, without one trailing line break (LF or CRLF): editors and `echo` leave one.
    ///
    /// - Throws: `SecretError`; try again later, as files of a rotation may be missing for a moment.
    package func read() throws(SecretError) -> String {
        switch self.source {
        case .value(let value):
            return value
        case .file(let path):
            let bytes: [UInt8]
            do {
                bytes = try SmallFile.read(path, byteCountMax: Self.byteCountMax)
            } catch {
                throw SecretError(path: path, reason: error.reason)
            }
            guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
                throw SecretError(path: path, reason: "is not text in UTF-8")
            }
            let value = Self.withoutTrailingBreak(text)
            if value.isEmpty { throw SecretError(path: path, reason: "is empty") }
            return value
        }
    }

    private static func withoutTrailingBreak(_ text: String) -> String {
        var scalars = text.unicodeScalars[...]
        if scalars.last == "\n" {
            scalars.removeLast()
            if scalars.last == "\r" { scalars.removeLast() }
        }
        return String(scalars)
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "<redacted>" }
    package var debugDescription: String { "<redacted>" }
    /// No children: `dump` and `String(reflecting:)` of an enclosing value show nothing.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A secret file that cannot be used now.
package struct SecretError: Error, Equatable, Sendable, CustomStringConvertible {
    package var path: String
    /// A phrase that follows the path: `is empty`.
    package var reason: String

    package init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    package var description: String { "\(self.path) \(self.reason)" }
}

/// Reading files of a few kilobytes at start-up.
enum SmallFile {
    struct Fault: Error {
        /// A phrase that follows the path.
        var reason: String
    }

    /// The whole file. Blocking.
    static func read(_ path: String, byteCountMax: Int) throws(Fault) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Fault(reason: "cannot be read: \(self.text(of: errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            #if canImport(Glibc)
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            #else
            let count = Darwin.read(descriptor, &chunk, chunk.count)
            #endif
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw Fault(reason: "cannot be read: \(self.text(of: errno))")
            }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > byteCountMax { throw Fault(reason: "is larger than \(byteCountMax) bytes") }
        }
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func text(of code: Int32) -> String { String(cString: strerror(code)) }
}
