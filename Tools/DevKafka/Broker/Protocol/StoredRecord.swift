package import NIOCore

/// One record of a batch that is not compressed, read for people and for control records.
package struct StoredRecord: Sendable {
    package struct Header: Sendable {
        package var name: String
        package var value: ByteBuffer?
    }

    package var offset: Int64
    /// Milliseconds since 1970.
    package var timestamp: Int64
    package var key: ByteBuffer?
    package var value: ByteBuffer?
    package var headers: [Header]

    /// The records of a whole batch; `nil` when it is compressed or does not parse.
    static func all(in batch: ByteBuffer) -> [StoredRecord]? {
        guard let header = BatchHeader(batch), header.compression == 0, header.recordCount >= 0 else { return nil }
        var rest = batch
        rest.moveReaderIndex(forwardBy: BatchHeader.byteCount)
        guard Int(header.recordCount) <= rest.readableBytes else { return nil }
        var records: [StoredRecord] = []
        for _ in 0..<header.recordCount {
            guard let length = rest.readVarint(), length > 0, var body = rest.readSlice(length: Int(clamping: length)),
                let record = StoredRecord(&body, of: header)
            else { return nil }
            records.append(record)
        }
        return records
    }

    private init?(_ body: inout ByteBuffer, of batch: BatchHeader) {
        guard body.readInteger(as: Int8.self) != nil, let timestampDelta = body.readVarint(),
            let offsetDelta = body.readVarint(), let key = body.readSpan(), let value = body.readSpan(),
            let count = body.readVarint(), count >= 0, count <= body.readableBytes
        else { return nil }
        self.offset = batch.baseOffset &+ offsetDelta
        self.timestamp = batch.baseTimestamp &+ timestampDelta
        self.key = key.bytes
        self.value = value.bytes
        self.headers = []
        for _ in 0..<count {
            guard let name = body.readSpan()?.bytes, let value = body.readSpan() else { return nil }
            self.headers.append(Header(name: String(buffer: name), value: value.bytes))
        }
    }
}

extension ByteBuffer {
    /// A zigzag varint.
    fileprivate mutating func readVarint() -> Int64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = self.readInteger(as: UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
        }
        return nil
    }

    /// Bytes behind their length; -1 is null.
    fileprivate mutating func readSpan() -> (bytes: ByteBuffer?, Void)? {
        guard let length = self.readVarint() else { return nil }
        if length == -1 { return (nil, ()) }
        guard length >= 0, let bytes = self.readSlice(length: Int(clamping: length)) else { return nil }
        return (bytes, ())
    }
}
