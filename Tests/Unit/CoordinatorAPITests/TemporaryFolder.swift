#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A folder of one test, removed with its files when nobody holds it any more.
final class TemporaryFolder: Sendable {
    let path: String

    struct Failure: Error {
        var path: String
    }

    init() throws {
        var template = Array("/tmp/escapement-api-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        guard let made = mkdtemp(&template) else { throw Failure(path: "/tmp") }
        self.path = String(cString: made)
    }

    deinit {
        self.remove("tokens")
        rmdir(self.path)
    }

    func write(_ text: String, to name: String) throws {
        guard let file = fopen("\(self.path)/\(name)", "w") else { throw Failure(path: name) }
        defer { fclose(file) }
        guard fputs(text, file) >= 0 else { throw Failure(path: name) }
    }

    func remove(_ name: String) { unlink("\(self.path)/\(name)") }
}
