#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A folder of one test, removed with all that is in it when nobody holds it any more.
package final class TemporaryFolder: Sendable {
    package let path: String

    package struct Failure: Error {
        package var code: Int32
    }

    package init() throws {
        var template = Array("/tmp/escapement-es-XXXXXX\0".utf8.map { CChar(bitPattern: $0) })
        guard let made = mkdtemp(&template) else { throw Failure(code: errno) }
        self.path = String(cString: made)
    }

    deinit {
        for folder in ["\(self.path)/indices", self.path] {
            for name in Self.names(in: folder) { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Adds `text` to the log of every index, as a process that was killed while it wrote leaves it.
    package func appendToLogs(_ text: String) throws {
        for name in Self.names(in: "\(self.path)/indices") where name.hasSuffix(".log") {
            guard let file = fopen("\(self.path)/indices/\(name)", "a") else { throw Failure(code: errno) }
            defer { fclose(file) }
            guard fputs(text, file) >= 0 else { throw Failure(code: errno) }
        }
    }
}
