package import EscapementModel

/// A parameter of a statement, sent in PostgreSQL's binary format. The SQL text casts every parameter
/// (`$1::bigint`), so the type on both sides is written down where it is used.
package enum PostgresValue: Hashable, Sendable {
    case null
    /// `boolean`
    case bool(Bool)
    /// `bigint`
    case int(Int64)
    /// `text`; a NUL in it is refused by the server.
    case text(String)
    /// `bytea`
    case bytes([UInt8])
    /// `uuid`
    case uid(UID)
    /// `bigint[]`
    case ints([Int64])
    /// `text[]`
    case texts([String?])
    /// `bytea[]`
    case blobs([[UInt8]?])
    /// `uuid[]`
    case uids([UID?])

    package static func int(_ value: Int64?) -> PostgresValue { value.map { .int($0) } ?? .null }
    package static func text(_ value: String?) -> PostgresValue { value.map { .text($0) } ?? .null }
    package static func bytes(_ value: [UInt8]?) -> PostgresValue { value.map { .bytes($0) } ?? .null }
    package static func uid(_ value: UID?) -> PostgresValue { value.map { .uid($0) } ?? .null }

    /// Appends the binary form; `false` for `null`, which has none.
    func append(to buffer: inout [UInt8]) -> Bool {
        switch self {
        case .null: return false
        case .bool(let value): buffer.append(value ? 1 : 0)
        case .int(let value): buffer.appendBigEndian(value)
        case .text(let value): buffer.append(contentsOf: value.utf8)
        case .bytes(let value): buffer.append(contentsOf: value)
        case .uid(let value): buffer.append(value)
        case .ints(let values):
            buffer.appendArray(values, elementType: 20) { buffer, value in
                buffer.appendBigEndian(value)
                return true
            }
        case .texts(let values):
            buffer.appendArray(values, elementType: 25) { buffer, value in
                guard let value else { return false }
                buffer.append(contentsOf: value.utf8)
                return true
            }
        case .blobs(let values):
            buffer.appendArray(values, elementType: 17) { buffer, value in
                guard let value else { return false }
                buffer.append(contentsOf: value)
                return true
            }
        case .uids(let values):
            buffer.appendArray(values, elementType: 2950) { buffer, value in
                guard let value else { return false }
                buffer.append(value)
                return true
            }
        }
        return true
    }
}

extension [UInt8] {
    mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { self.append(contentsOf: $0) }
    }

    mutating func append(_ uid: UID) {
        self.appendBigEndian(uid.high)
        self.appendBigEndian(uid.low)
    }

    /// One dimension, lower bound 1: dimensions, whether any is NULL, type of the elements, count, lower bound,
    /// then length (-1 for NULL) and bytes of each. No dimension at all when there is no element.
    fileprivate mutating func appendArray<Value>(
        _ values: [Value], elementType: Int32, _ appendElement: (inout [UInt8], Value) -> Bool
    ) {
        self.appendBigEndian(Int32(values.isEmpty ? 0 : 1))
        let nullFlag = self.count
        self.appendBigEndian(Int32(0))
        self.appendBigEndian(elementType)
        if values.isEmpty { return }
        self.appendBigEndian(Int32(values.count))
        self.appendBigEndian(Int32(1))
        for value in values {
            let start = self.count
            self.appendBigEndian(Int32(-1))
            if appendElement(&self, value) {
                var length: [UInt8] = []
                length.appendBigEndian(Int32(self.count - start - 4))
                self.replaceSubrange(start..<start + 4, with: length)
            } else {
                self[nullFlag + 3] = 1
            }
        }
    }
}
