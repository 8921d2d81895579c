#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A directory of its own for one test, removed with everything in it when the value goes away.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/escapement-configuration-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("no scratch directory: \(errno)") }
        self.path = String(cString: made)
    }

    deinit {
        if let directory = opendir(self.path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(self.path)/\(name)")
            }
            closedir(directory)
        }
        rmdir(self.path)
    }

    /// Writes `text` to a file and answers its path.
    @discardableResult
    func write(_ text: String, to name: String) -> String { self.write(Array(text.utf8), to: name) }

    @discardableResult
    func write(_ bytes: [UInt8], to name: String) -> String {
        let file = "\(self.path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let count = bytes.withUnsafeBytes { buffer in
            #if canImport(Glibc)
            Glibc.write(descriptor, buffer.baseAddress, buffer.count)
            #else
            Darwin.write(descriptor, buffer.baseAddress, buffer.count)
            #endif
        }
        close(descriptor)
        precondition(count == bytes.count, "cannot write \(file): \(errno)")
        return file
    }
}
