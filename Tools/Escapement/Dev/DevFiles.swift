import Glibc

/// Files and folders of the development stack.
enum DevFiles {
    /// - Throws: `DevError` naming the path.
    static func read(_ path: String) throws(DevError) -> String {
        guard let file = fopen(path, "r") else {
            throw DevError("cannot read \(path): \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Writes by rename, so that a reader sees the old text or the new one.
    static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws(DevError) {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw DevError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        let bytes = Array(text.utf8)
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        fchmod(descriptor, mode)
        close(descriptor)
        guard count == bytes.count, rename(temporary, path) == 0 else {
            unlink(temporary)
            throw DevError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(DevError) {
        var built = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            built += built.isEmpty || built.hasSuffix("/") ? "\(part)" : "/\(part)"
            if mkdir(built, mode) != 0, errno != EEXIST {
                throw DevError("cannot make \(built): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// The folder of the running executable, where the other ones are too.
    static func executableFolder() throws(DevError) -> String {
        guard let resolved = realpath("/proc/self/exe", nil) else {
            throw DevError("cannot find the folder of this program: \(String(cString: strerror(errno)))")
        }
        defer { free(resolved) }
        let path = String(cString: resolved)
        return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return "\(String(cString: folder))/\(path)"
    }

    /// The value of a variable of our own environment.
    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Our own variables whose names `select` accepts.
    static func variables(where select: (String) -> Bool) -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let pointer = entry.pointee {
            let text = String(cString: pointer)
            if let equals = text.firstIndex(of: "="), select(String(text[..<equals])) {
                result[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            entry += 1
        }
        return result
    }
}
