#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import JSON
import Synchronization

/// A file that only grows: records of one JSON line and, after some, a payload of raw bytes.
///
/// ```
/// {"op":"index","id":"a","length":7}\n
/// {"x":1}\n
/// ```
/// What a killed process left half written at the end is cut off when the file is opened again. Data is given to
/// the kernel and not forced to the disk: it survives the process, not the machine.
final class RecordLog: Sendable {
    /// Where a payload lies in the file.
    struct Location: Hashable, Sendable {
        var offset: Int
        var length: Int
    }

    /// The longest header line, bytes: settings and mappings are in headers.
    private static let headerByteCountMax = 16 * 1024 * 1024

    private struct State {
        var end: Int
        /// Appended and not yet written.
        var pending: [UInt8] = []
    }

    let path: String
    private let descriptor: Int32
    private let state: Mutex<State>

    /// Opens or creates the file, and hands every whole record to `replay` in order.
    ///
    /// - Throws: `RecordLogError`, and what `replay` throws.
    init(
        path: String, replay: (_ header: JSONValue, _ payload: ArraySlice<UInt8>, _ location: Location) throws -> Void
    ) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw RecordLogError(path: path, operation: "open", code: errno) }
        self.path = path
        self.descriptor = descriptor
        do {
            let bytes = try Self.contents(descriptor, path: path)
            let end = try Self.replay(bytes, replay)
            if end < bytes.count, ftruncate(descriptor, off_t(end)) != 0 {
                throw RecordLogError(path: path, operation: "truncate", code: errno)
            }
            self.state = Mutex(State(end: end))
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(self.descriptor) }

    /// Adds a record in memory; `flush` writes it. A payload's length is added to the header.
    @discardableResult
    func append(_ header: [JSONMember], payload: [UInt8]? = nil) -> Location {
        var members = header
        if let payload { members.append(JSONMember("length", .integer(payload.count))) }
        return self.state.withLock { state in
            JSONValue.object(members).write(to: &state.pending)
            state.pending.append(0x0a)
            let offset = state.end + state.pending.count
            if let payload {
                state.pending += payload
                state.pending.append(0x0a)
            }
            return Location(offset: offset, length: payload?.count ?? 0)
        }
    }

    /// Writes what was appended.
    ///
    /// - Throws: `RecordLogError`; what could not be written stays pending.
    func flush() throws(RecordLogError) {
        try self.state.withLock { state throws(RecordLogError) in
            var written = 0
            while written < state.pending.count {
                let count = state.pending.withUnsafeBytes { buffer in
                    pwrite(
                        self.descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written,
                        off_t(state.end + written))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw RecordLogError(path: self.path, operation: "write", code: errno) }
                written += count
            }
            state.end += written
            state.pending.removeAll(keepingCapacity: state.pending.count < 1 << 20)
        }
    }

    /// The bytes of a payload, written or pending.
    func read(_ location: Location) throws(RecordLogError) -> [UInt8] {
        let pending = self.state.withLock { state -> [UInt8]? in
            guard location.offset >= state.end else { return nil }
            let start = location.offset - state.end
            return Array(state.pending[start..<start + location.length])
        }
        if let pending { return pending }
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: location.length) { buffer, count in
            while count < location.length {
                let got = pread(
                    self.descriptor, buffer.baseAddress?.advanced(by: count), location.length - count,
                    off_t(location.offset + count))
                if got < 0, errno == EINTR { continue }
                if got <= 0 {
                    code = got < 0 ? errno : EIO
                    return
                }
                count += got
            }
        }
        if code != 0 { throw RecordLogError(path: self.path, operation: "read", code: code) }
        return bytes
    }

    /// Removes the file; searches that hold the log can still read it.
    func remove() { unlink(self.path) }

    private static func contents(_ descriptor: Int32, path: String) throws(RecordLogError) -> [UInt8] {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0 else { throw RecordLogError(path: path, operation: "measure", code: errno) }
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
            while count < Int(size) {
                let got = pread(descriptor, buffer.baseAddress?.advanced(by: count), Int(size) - count, off_t(count))
                if got < 0, errno == EINTR { continue }
                if got < 0 { code = errno }
                if got <= 0 { return }
                count += got
            }
        }
        if code != 0 { throw RecordLogError(path: path, operation: "read", code: code) }
        return bytes
    }

    /// - Returns: where the last whole record ends.
    private static func replay(
        _ bytes: [UInt8], _ replay: (JSONValue, ArraySlice<UInt8>, Location) throws -> Void
    ) throws -> Int {
        var position = 0
        while position < bytes.count {
            guard let lineEnd = bytes[position...].firstIndex(of: 0x0a), lineEnd - position <= Self.headerByteCountMax,
                let header = try? JSONParser.parse(bytes[position..<lineEnd], depthMax: RequestBody.depthMax)
            else { return position }
            let start = lineEnd + 1
            guard let length = header["length"]?.integerValue.flatMap({ Int(exactly: $0) }) else {
                try replay(header, [], Location(offset: start, length: 0))
                position = start
                continue
            }
            guard length >= 0, start + length < bytes.count, bytes[start + length] == 0x0a else { return position }
            try replay(header, bytes[start..<start + length], Location(offset: start, length: length))
            position = start + length + 1
        }
        return position
    }
}

/// A file of ours cannot be used: the disk is full, or permissions are missing.
struct RecordLogError: Error, CustomStringConvertible {
    var path: String
    var operation: String
    /// `errno`.
    var code: Int32

    var description: String { "cannot \(self.operation) \(self.path): \(String(cString: strerror(self.code)))" }
}
