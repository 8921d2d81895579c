package import EscapementModel

/// The rows of one statement, copied out of libpq: binary cells in one buffer.
package struct PostgresResult: Sendable {
    /// Where a cell lies in `bytes`; a negative length is NULL.
    struct Cell: Sendable {
        var offset: Int
        var length: Int
    }

    package let rowCount: Int
    let columnCount: Int
    let cells: [Cell]
    let bytes: [UInt8]
    /// Rows that a statement without `RETURNING` changed.
    package let changedCount: Int

    /// Reads the row at `index`, column by column from the left.
    package func row(_ index: Int) -> PostgresRow {
        precondition(index < self.rowCount, "row \(index) of \(self.rowCount)")
        return PostgresRow(result: self, next: index * self.columnCount, end: (index + 1) * self.columnCount)
    }

    /// Reads every row with `read`.
    package func map<Value>(
        _ read: (inout PostgresRow) throws(PostgresFailure) -> Value
    ) throws(PostgresFailure) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(self.rowCount)
        for index in 0..<self.rowCount {
            var row = self.row(index)
            values.append(try read(&row))
        }
        return values
    }

    /// Reads the first row with `read`; `nil` when there is none.
    package func first<Value>(
        _ read: (inout PostgresRow) throws(PostgresFailure) -> Value
    ) throws(PostgresFailure) -> Value? {
        guard self.rowCount > 0 else { return nil }
        var row = self.row(0)
        return try read(&row)
    }
}

/// One row, read from left to right. A cell that is not what is asked for is `PostgresFailure.corrupt`.
package struct PostgresRow {
    private let result: PostgresResult
    private var next: Int
    private let end: Int

    init(result: PostgresResult, next: Int, end: Int) {
        self.result = result
        self.next = next
        self.end = end
    }

    /// `smallint`, `integer` or `bigint`.
    package mutating func optionalInt() throws(PostgresFailure) -> Int64? {
        guard let cell = try self.cell() else { return nil }
        switch cell.count {
        case 2: return Int64(Int16(truncatingIfNeeded: self.number(cell)))
        case 4: return Int64(Int32(truncatingIfNeeded: self.number(cell)))
        case 8: return Int64(bitPattern: self.number(cell))
        default: throw .corrupt("a number of \(cell.count) bytes")
        }
    }

    package mutating func int() throws(PostgresFailure) -> Int64 { try self.required(self.optionalInt()) }

    /// A number that is never negative.
    package mutating func unsigned() throws(PostgresFailure) -> UInt64 {
        guard let value = UInt64(exactly: try self.int()) else { throw .corrupt("a negative number") }
        return value
    }

    package mutating func optionalUnsigned() throws(PostgresFailure) -> UInt64? {
        guard let value = try self.optionalInt() else { return nil }
        guard let unsigned = UInt64(exactly: value) else { throw .corrupt("a negative number") }
        return unsigned
    }

    package mutating func bool() throws(PostgresFailure) -> Bool {
        guard let cell = try self.cell(), cell.count == 1 else { throw .corrupt("a truth value is missing") }
        return self.result.bytes[cell.lowerBound] != 0
    }

    package mutating func optionalText() throws(PostgresFailure) -> String? {
        guard let cell = try self.cell() else { return nil }
        return String(decoding: self.result.bytes[cell], as: UTF8.self)
    }

    package mutating func text() throws(PostgresFailure) -> String { try self.required(self.optionalText()) }

    package mutating func optionalBytes() throws(PostgresFailure) -> [UInt8]? {
        guard let cell = try self.cell() else { return nil }
        return Array(self.result.bytes[cell])
    }

    package mutating func bytes() throws(PostgresFailure) -> [UInt8] { try self.required(self.optionalBytes()) }

    /// `text[]` without NULLs in it.
    package mutating func texts() throws(PostgresFailure) -> [String] {
        guard let cell = try self.cell() else { throw .corrupt("a list is missing") }
        var position = cell.lowerBound
        func word() throws(PostgresFailure) -> Int {
            guard position + 4 <= cell.upperBound else { throw .corrupt("a list is cut short") }
            defer { position += 4 }
            return Int(Int32(truncatingIfNeeded: self.number(position..<position + 4)))
        }
        // Dimensions, whether any is NULL, type; then count and lower bound of the one dimension.
        let dimensions = try word()
        _ = try (word(), word())
        if dimensions == 0 { return [] }
        guard dimensions == 1 else { throw .corrupt("a list of \(dimensions) dimensions") }
        let count = try word()
        _ = try word()
        var texts: [String] = []
        for _ in 0..<count {
            let length = try word()
            guard length >= 0, position + length <= cell.upperBound else { throw .corrupt("a list is cut short") }
            texts.append(String(decoding: self.result.bytes[position..<position + length], as: UTF8.self))
            position += length
        }
        return texts
    }

    package mutating func optionalUID() throws(PostgresFailure) -> UID? {
        guard let cell = try self.cell() else { return nil }
        guard cell.count == 16 else { throw .corrupt("a uuid of \(cell.count) bytes") }
        return UID(
            high: self.number(cell.lowerBound..<cell.lowerBound + 8),
            low: self.number(cell.lowerBound + 8..<cell.upperBound))
    }

    package mutating func uid() throws(PostgresFailure) -> UID { try self.required(self.optionalUID()) }

    private func required<Value>(_ value: Value?) throws(PostgresFailure) -> Value {
        guard let value else { throw .corrupt("a value is missing") }
        return value
    }

    private mutating func cell() throws(PostgresFailure) -> Range<Int>? {
        guard self.next < self.end else { throw .corrupt("a column is missing") }
        let cell = self.result.cells[self.next]
        self.next += 1
        return cell.length < 0 ? nil : cell.offset..<cell.offset + cell.length
    }

    private func number(_ range: Range<Int>) -> UInt64 {
        self.result.bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
    }
}
