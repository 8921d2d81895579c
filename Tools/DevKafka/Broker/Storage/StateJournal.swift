import JSON
import NIOCore

/// What the brokers know besides records: topics, producer ids, transactions, offsets. Lines of JSON, each behind
/// its checksum, in a file that only grows and is rewritten as a snapshot when it is opened or has grown long.
///
/// A later line about the same thing replaces the earlier one, so replaying a line twice does no harm.
final class StateJournal {
    /// Bytes appended since the last snapshot after which the next one is due.
    static let growthMax = 16 * 1024 * 1024

    private let path: String
    private var file: LogFile
    private var snapshotByteCount = 0

    /// Opens or creates the journal and hands every whole line to `replay`, in order. A torn last line is cut off.
    init(path: String, replay: (JSONValue) -> Void) throws(StorageError) {
        self.path = path
        self.file = try LogFile(path: path)
        let bytes = try self.file.read(at: 0, count: self.file.byteCount)
        var end = 0
        for line in bytes.readableBytesView.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast() {
            guard let value = Self.value(of: line) else { break }
            replay(value)
            end += line.count + 1
        }
        if end < self.file.byteCount { try self.file.truncate(to: end) }
    }

    var isLong: Bool { self.file.byteCount - self.snapshotByteCount > Self.growthMax }

    func append(_ entry: JSONValue) throws(StorageError) { try self.file.append(Self.line(of: entry)) }

    /// Replaces everything by `entries`.
    func rewrite(_ entries: [JSONValue]) throws(StorageError) {
        let fresh = "\(self.path).fresh"
        try LogFile.remove(fresh)
        let file = try LogFile(path: fresh)
        var lines = ByteBuffer()
        for entry in entries { lines.writeImmutableBuffer(Self.line(of: entry)) }
        try file.append(lines)
        try LogFile.rename(fresh, to: self.path)
        self.file = file
        self.snapshotByteCount = file.byteCount
    }

    private static func line(of entry: JSONValue) -> ByteBuffer {
        let text = entry.bytes
        let checksum = text.withUnsafeBytes { CRC32C.checksum($0) }
        let digits = String(checksum, radix: 16)
        var line = ByteBuffer()
        line.writeString(String(repeating: "0", count: 8 - digits.count) + digits + " ")
        line.writeBytes(text)
        line.writeInteger(UInt8(0x0a))
        return line
    }

    private static func value(of line: ByteBufferView) -> JSONValue? {
        guard line.count > 9, let checksum = UInt32(String(decoding: line.prefix(8), as: UTF8.self), radix: 16) else {
            return nil
        }
        let text = Array(line.dropFirst(9))
        guard text.withUnsafeBytes({ CRC32C.checksum($0) }) == checksum else { return nil }
        do { return try JSONParser.parse(text) } catch { return nil }
    }
}
