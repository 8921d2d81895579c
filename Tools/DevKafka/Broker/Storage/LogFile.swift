#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import NIOCore

/// An open file that grows at its end, is read anywhere, and is sometimes cut.
///
/// Data is given to the kernel and not forced to the disk: it survives the process, not the machine.
final class LogFile {
    let path: String
    private let descriptor: Int32
    private(set) var byteCount: Int

    /// Opens or creates the file.
    init(path: String) throws(StorageError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.fault("open", path) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else {
            close(descriptor)
            throw Self.fault("measure", path)
        }
        self.path = path
        self.descriptor = descriptor
        self.byteCount = Int(end)
    }

    deinit { close(self.descriptor) }

    /// Appends all of `bytes`; after a failure the file is as before.
    func append(_ bytes: ByteBuffer) throws(StorageError) {
        let start = self.byteCount
        var written = 0
        while written < bytes.readableBytes {
            let count = bytes.withUnsafeReadableBytes { buffer in
                pwrite(
                    self.descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written,
                    off_t(start + written))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = Self.fault("write to", self.path)
                _ = ftruncate(self.descriptor, off_t(start))
                throw error
            }
            written += count
        }
        self.byteCount = start + written
    }

    /// Up to `count` bytes at `position`; fewer at the end of the file.
    func read(at position: Int, count: Int) throws(StorageError) -> ByteBuffer {
        let wanted = max(0, min(count, self.byteCount - position))
        var buffer = ByteBufferAllocator().buffer(capacity: wanted)
        while buffer.readableBytes < wanted {
            let done = buffer.readableBytes
            let read = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted - done) { target in
                max(0, pread(self.descriptor, target.baseAddress, wanted - done, off_t(position + done)))
            }
            guard read > 0 else { throw Self.fault("read", self.path) }
        }
        return buffer
    }

    /// Cuts the file.
    func truncate(to byteCount: Int) throws(StorageError) {
        guard ftruncate(self.descriptor, off_t(byteCount)) == 0 else { throw Self.fault("truncate", self.path) }
        self.byteCount = byteCount
    }

    static func makeDirectory(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.fault("create the directory", path) }
    }

    /// Makes `from` take the place of `to`.
    static func rename(_ from: String, to: String) throws(StorageError) {
        #if canImport(Glibc)
        let result = Glibc.rename(from, to)
        #else
        let result = Darwin.rename(from, to)
        #endif
        guard result == 0 else { throw Self.fault("replace", to) }
    }

    /// Removes the file if it is there.
    static func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw Self.fault("remove", path) }
    }

    private static func fault(_ operation: String, _ path: String) -> StorageError {
        StorageError(operation: operation, path: path, reason: String(cString: strerror(errno)))
    }
}
