/// Key and headers of a record, in order, packed: a part of a block of memory that the records of a round share.
package struct RecordHead: @unchecked Sendable {
    // Unchecked: a part of a block that has been written is never changed.

    /// Keeps the bytes; `nil` when there are none.
    private let block: RecordBlocks.Block?
    private let start: UnsafeRawPointer?
    /// Bytes of the key, which comes first; `nil` for no key.
    private let keyCount: UInt32?
    /// Bytes of all headers.
    private let headersCount: UInt32
    package let headerCount: Int

    /// No key and no headers.
    init() {
        self.block = nil
        self.start = nil
        self.keyCount = nil
        self.headersCount = 0
        self.headerCount = 0
    }

    /// What `write` writes: the key, if any, then the headers.
    ///
    /// - Parameter capacity: bytes that they take, at most, as `Writer.bytes(...)` counts those of headers.
    init(capacity: Int, in blocks: inout RecordBlocks, _ write: (inout Writer) -> Void) {
        let memory = blocks.reserve(capacity)
        var writer = Writer(memory.start, capacity: capacity)
        write(&writer)
        blocks.take(writer.end)
        self.block = memory.block
        self.start = UnsafeRawPointer(memory.start)
        self.keyCount = writer.keyCount
        self.headersCount = UInt32(writer.end - Int(writer.keyCount ?? 0))
        self.headerCount = writer.count
    }

    /// In a block of its own.
    init(key: String?, headers: [OutgoingRecord.Header]) {
        if key == nil, headers.isEmpty {
            self.init()
            return
        }
        let capacity = headers.reduce(key?.utf8.count ?? 0) { $0 + Writer.bytes($1.name, $1.value) }
        var blocks = RecordBlocks(size: 0)
        self.init(capacity: capacity, in: &blocks) { writer in
            if let key { writer.key { $0.write(key) } }
            for header in headers { writer.add(header.name, header.value) }
        }
    }

    /// Bytes of both.
    var byteCount: Int { Int(self.keyCount ?? 0) + Int(self.headersCount) }
    private var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: self.start, count: self.byteCount) }

    /// `nil` for none. Valid as long as this is kept.
    package var key: UnsafeRawBufferPointer? {
        self.keyCount.map { UnsafeRawBufferPointer(start: self.start, count: Int($0)) }
    }

    /// For each header the counts of name and value, of four bytes each in this machine's order, the name, a NUL, the
    /// value. Valid as long as this is kept.
    package var packedHeaders: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.start.map { $0 + Int(self.keyCount ?? 0) }, count: Int(self.headersCount))
    }

    /// Copies of the headers, in order.
    package var headers: [OutgoingRecord.Header] {
        var rest = self.packedHeaders[...]
        func take(_ count: Int) -> UnsafeRawBufferPointer {
            defer { rest = rest.dropFirst(count) }
            return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
        }
        defer { withExtendedLifetime(self) {} }
        return (0..<self.headerCount).map { _ in
            let (nameCount, valueCount) = take(Writer.countsSize).loadUnaligned(as: (UInt32, UInt32).self)
            let name = take(Int(nameCount))
            _ = take(1)
            let value = take(Int(valueCount))
            return OutgoingRecord.Header(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }
    }

    /// Writes a key and headers one after the other into memory that was reserved for all of them: nothing is looked up
    /// or grown for each of their parts.
    struct Writer {
        fileprivate static let countsSize = 2 * MemoryLayout<UInt32>.size

        private let memory: UnsafeMutableRawPointer
        private let capacity: Int
        fileprivate private(set) var end = 0
        /// Headers.
        fileprivate private(set) var count = 0
        fileprivate private(set) var keyCount: UInt32?
        /// Of the header that is being written.
        private var start = 0
        private var nameEnd = 0

        fileprivate init(_ memory: UnsafeMutableRawPointer, capacity: Int) {
            self.memory = memory
            self.capacity = capacity
        }

        /// Bytes that a header takes.
        static func bytes(_ name: String, _ value: String) -> Int {
            self.countsSize + name.utf8.count + 1 + value.utf8.count
        }

        /// The key, before all headers.
        @inline(__always)
        mutating func key(_ write: (inout Writer) -> Void) {
            precondition(self.end == 0, "a key behind headers")
            write(&self)
            self.keyCount = UInt32(self.end)
            self.start = self.end
        }

        /// Writes the key again.
        @inline(__always)
        mutating func writeKey() {
            let count = Int(self.keyCount ?? 0)
            self.take(count).copyMemory(from: self.memory, byteCount: count)
        }

        /// Begins a header. Its value is what is written until `finish`.
        ///
        /// - Parameter skipped: bytes at the beginning of `name` that are left out.
        @inline(__always)
        mutating func begin(_ name: StaticString, skipping skipped: Int = 0) {
            self.take(Self.countsSize)
            let count = name.utf8CodeUnitCount - skipped
            self.take(count).copyMemory(from: name.utf8Start + skipped, byteCount: count)
            self.name()
        }

        mutating func add(_ name: String, _ value: String) {
            self.take(Self.countsSize)
            self.write(name)
            self.name()
            self.write(value)
            self.finish()
        }

        /// The name is written.
        @inline(__always)
        private mutating func name() {
            self.nameEnd = self.end
            self.take(1).storeBytes(of: 0, as: UInt8.self)
        }

        /// The value is written.
        @inline(__always)
        mutating func finish() {
            let counts = (UInt32(self.nameEnd - self.start - Self.countsSize), UInt32(self.end - self.nameEnd - 1))
            (self.memory + self.start).storeBytes(of: counts, as: (UInt32, UInt32).self)
            self.start = self.end
            self.count += 1
        }

        @inline(__always)
        mutating func write(_ text: StaticString) {
            let count = text.utf8CodeUnitCount
            self.take(count).copyMemory(from: text.utf8Start, byteCount: count)
        }

        mutating func write(_ text: String) {
            var text = text
            text.withUTF8 { self.write(UnsafeRawBufferPointer($0)) }
        }

        @inline(__always)
        mutating func write(_ bytes: UnsafeRawBufferPointer) {
            guard let start = bytes.baseAddress else { return }
            self.take(bytes.count).copyMemory(from: start, byteCount: bytes.count)
        }

        /// In decimal digits, with zeros before them up to `width`.
        mutating func write(_ number: UInt64, width: Int = 1) {
            var count = 1
            var left = number / 10
            while left > 0 {
                count += 1
                left /= 10
            }
            count = Swift.max(count, width)
            let digits = self.take(count)
            var rest = number
            for place in stride(from: count - 1, through: 0, by: -1) {
                (digits + place).storeBytes(of: UInt8(ascii: "0") + UInt8(rest % 10), as: UInt8.self)
                rest /= 10
            }
        }

        /// The next so many bytes.
        @inline(__always)
        @discardableResult
        mutating func take(_ count: Int) -> UnsafeMutableRawPointer {
            precondition(count <= self.capacity - self.end, "more bytes than were reserved")
            defer { self.end += count }
            return self.memory + self.end
        }
    }
}

extension RecordHead: Equatable {
    package static func == (one: RecordHead, other: RecordHead) -> Bool {
        withExtendedLifetime((one, other)) {
            one.keyCount == other.keyCount && one.bytes.elementsEqual(other.bytes)
        }
    }
}
