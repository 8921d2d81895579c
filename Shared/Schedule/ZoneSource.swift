#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where zone files come from. Names are checked before they arrive here.
package protocol ZoneSource: Sendable {
    /// The file of a zone, `nil` when there is none or it cannot be read. At most `TZifReader.bytesMax + 1` bytes.
    func bytes(ofZone name: String) -> [UInt8]?
    /// The release of the data, `2026f`, when it says.
    func version() -> String?
    /// Names of all zones, sorted; at most `ZoneDirectory.namesMax`.
    func names() -> [String]
}

/// A zoneinfo directory on disk.
package struct ZoneDirectory: ZoneSource {
    package let path: String
    package static let namesMax = 4096

    package init(path: String) { self.path = path }

    /// `override` (`ESCAPEMENT_TZDIR`) when it is set, else the first of the usual directories that exists.
    package static func locate(override: String?) -> ZoneDirectory? {
        if let override, !override.isEmpty { return ZoneDirectory(path: override) }
        for path in ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"]
        where access(path, F_OK) == 0 {
            return ZoneDirectory(path: path)
        }
        return nil
    }

    package func bytes(ofZone name: String) -> [UInt8]? {
        self.read("\(self.path)/\(name)", bytesMax: TZifReader.bytesMax + 1)
    }

    /// `+VERSION`, `version`, or the first line of `tzdata.zi` (`# version 2026f`).
    package func version() -> String? {
        for file in ["+VERSION", "version", "tzdata.zi"] {
            guard let bytes = self.read("\(self.path)/\(file)", bytesMax: 64) else { continue }
            var line = Substring(String(decoding: bytes.prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self))
            if file == "tzdata.zi" {
                guard line.hasPrefix("# version ") else { continue }
                line = line.dropFirst(10)
            }
            let word = line.prefix { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." }
            if !word.isEmpty { return String(word) }
        }
        return nil
    }

    package func names() -> [String] {
        var found: [String] = []
        self.collect(prefix: "", depth: 0, into: &found)
        return found.sorted()
    }

    private func collect(prefix: String, depth: Int, into found: inout [String]) {
        guard depth < 4, let directory = opendir("\(self.path)/\(prefix)") else { return }
        defer { closedir(directory) }
        while found.count < Self.namesMax, let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // Zones start with a capital; tables and documents contain a dot or are in lower case.
            guard let first = name.utf8.first, (65...90).contains(first), !name.contains(".") else { continue }
            let path = prefix + name
            var status = stat()
            guard stat("\(self.path)/\(path)", &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                self.collect(prefix: path + "/", depth: depth + 1, into: &found)
            } else if ZoneName.isAcceptable(path) {
                found.append(path)
            }
        }
    }

    private func read(_ path: String, bytesMax: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < bytesMax {
            let count = chunk.withUnsafeMutableBytes { buffer in
                #if canImport(Glibc)
                Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                #else
                Darwin.read(descriptor, buffer.baseAddress, buffer.count)
                #endif
            }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { break }
            bytes.append(contentsOf: chunk.prefix(min(count, bytesMax - bytes.count)))
        }
        return bytes
    }
}

/// Zone files held in memory: for tests and for embedding.
package struct ZoneFiles: ZoneSource {
    package var files: [String: [UInt8]]
    package var release: String?

    package init(files: [String: [UInt8]], release: String? = nil) {
        self.files = files
        self.release = release
    }

    package func bytes(ofZone name: String) -> [UInt8]? { self.files[name] }
    package func version() -> String? { self.release }
    package func names() -> [String] { self.files.keys.sorted() }
}
