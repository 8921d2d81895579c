#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A folder of one test, removed with all that is in it when nobody holds it any more.
///
/// It lies in `TMPDIR`, else in `/tmp`: the paths of Unix sockets in it have to be short. A machine that gives no such folder, or
/// no room in it, ends the tests: there is nothing to learn from them then.
package final class TemporaryFolder: Sendable {
    package let path: String

    package init() {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/escapement-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { preconditionFailure("no folder in \(parent): error \(errno)") }
        self.path = String(cString: made)
    }

    deinit { Self.removeAll(in: self.path) }

    package func path(of name: String) -> String { "\(self.path)/\(name)" }

    /// Writes over what is there, in place, and answers the file's path.
    @discardableResult
    package func write(_ text: String, to name: String) -> String { self.write(Array(text.utf8), to: name) }

    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) -> String {
        self.write(bytes, to: name, O_WRONLY | O_CREAT | O_TRUNC)
    }

    /// Adds to a file that is there.
    package func append(_ text: String, to name: String) { self.write(Array(text.utf8), to: name, O_WRONLY | O_APPEND) }

    package func remove(_ name: String) { unlink(self.path(of: name)) }

    /// What is in the folder `name`, or in this one; no order.
    package func names(in name: String = ".") -> [String] { Self.entries(in: self.path(of: name)).map(\.name) }

    @discardableResult
    private func write(_ bytes: [UInt8], to name: String, _ flags: Int32) -> String {
        let file = self.path(of: name)
        let descriptor = open(file, flags, 0o600)
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { SystemCall.write(descriptor, $0.baseAddress, $0.count) }
            precondition(count > 0, "cannot write \(file): error \(errno)")
            rest = rest.dropFirst(count)
        }
        precondition(descriptor >= 0, "cannot write \(file): error \(errno)")
        return file
    }

    private static func entries(in folder: String) -> [(name: String, isFolder: Bool)] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var entries: [(name: String, isFolder: Bool)] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { entries.append((name, entry.pointee.d_type == UInt8(DT_DIR))) }
        }
        return entries
    }

    private static func removeAll(in folder: String) {
        for (name, isFolder) in self.entries(in: folder) {
            if isFolder { self.removeAll(in: "\(folder)/\(name)") } else { unlink("\(folder)/\(name)") }
        }
        rmdir(folder)
    }
}

/// The function, where a method has its name.
private enum SystemCall {
    static func write(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
        #if canImport(Glibc)
        Glibc.write(descriptor, bytes, count)
        #else
        Darwin.write(descriptor, bytes, count)
        #endif
    }
}
