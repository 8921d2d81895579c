import Glibc

/// Keeps a second supervisor out of a data directory: a file lock, gone with its process.
struct DevLock {
    private let descriptor: Int32

    private static func path(_ folder: String) -> String { "\(folder)/supervisor.pid" }

    /// - Throws: `DevError` when another supervisor holds it.
    init(folder: String) throws(DevError) {
        try DevFiles.makeDirectory(folder)
        let descriptor = open(Self.path(folder), O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw DevError("cannot write \(Self.path(folder)): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw DevError("another supervisor runs in \(folder)")
        }
        self.descriptor = descriptor
        ftruncate(descriptor, 0)
        let text = Array("\(getpid())\n".utf8)
        _ = text.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    func release() { close(self.descriptor) }

    /// The process that holds the lock; `nil` when nobody does.
    static func holder(of folder: String) -> pid_t? {
        let descriptor = open(self.path(folder), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return nil }
        guard let text = try? DevFiles.read(self.path(folder)) else { return nil }
        return pid_t(text.split(separator: "\n").first ?? "")
    }
}
