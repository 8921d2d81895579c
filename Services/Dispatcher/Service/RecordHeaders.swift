/// The headers of a record, in order, packed: one block of memory for all of them.
package struct RecordHeaders: Equatable, Sendable {
    /// For each header the counts of name and value, of four bytes each in this machine's order, the name, a NUL, the
    /// value.
    package private(set) var packed: [UInt8] = []
    package private(set) var count = 0

    /// Headers that `write` adds.
    ///
    /// - Parameter capacity: bytes that they take, at most, as `Writer.bytes(...)` counts them.
    init(capacity: Int, _ write: (inout Writer) -> Void) {
        var count = 0
        self.packed = [UInt8](unsafeUninitializedCapacity: capacity) { memory, used in
            var writer = Writer(UnsafeMutableRawBufferPointer(memory))
            write(&writer)
            used = writer.end
            count = writer.count
        }
        self.count = count
    }

    package mutating func append(_ header: OutgoingRecord.Header) {
        let added = RecordHeaders(capacity: Writer.bytes(header.name, header.value)) {
            $0.add(header.name, header.value)
        }
        self.packed += added.packed
        self.count += added.count
    }

    /// Writes headers one after the other into memory that was reserved for all of them: nothing is looked up or grown
    /// for each of their parts.
    struct Writer {
        private static let countsSize = 2 * MemoryLayout<UInt32>.size

        private let memory: UnsafeMutableRawPointer
        private let capacity: Int
        private(set) var end = 0
        private(set) var count = 0
        /// Of the header that is being written.
        private var start = 0
        private var nameEnd = 0

        fileprivate init(_ memory: UnsafeMutableRawBufferPointer) {
            guard let start = memory.baseAddress else { preconditionFailure("an array without memory") }
            self.memory = start
            self.capacity = memory.count
        }

        /// Bytes that a header takes.
        static func bytes(_ name: String, _ value: String) -> Int {
            self.countsSize + name.utf8.count + 1 + value.utf8.count
        }

        /// Begins a header whose name is `prefix` and `name`. Its value is what is written until `finish`.
        @inline(__always)
        mutating func begin(_ prefix: StaticString, _ name: StaticString) {
            self.take(Self.countsSize)
            self.write(prefix)
            self.write(name)
            self.name()
        }

        @inline(__always)
        mutating func add(_ prefix: StaticString, _ name: StaticString, _ value: String) {
            self.begin(prefix, name)
            self.write(value)
            self.finish()
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
            text.withUTF8 { bytes in
                guard let start = bytes.baseAddress else { return }
                self.take(bytes.count).copyMemory(from: start, byteCount: bytes.count)
            }
        }

        /// In decimal digits, with zeros before them up to `width`.
        mutating func write(_ number: UInt64, width: Int = 1) {
            var count = 1
            var bound: UInt64 = 10
            while count < 20, number >= bound {
                count += 1
                let (next, isOver) = bound.multipliedReportingOverflow(by: 10)
                if isOver { break }
                bound = next
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
            precondition(count <= self.capacity - self.end, "headers of more bytes than were reserved")
            defer { self.end += count }
            return self.memory + self.end
        }
    }
}

extension RecordHeaders: Sequence {
    /// One header after the other, as text: for people and tests.
    package struct Iterator: IteratorProtocol {
        fileprivate var rest: ArraySlice<UInt8>

        package mutating func next() -> OutgoingRecord.Header? {
            guard !self.rest.isEmpty else { return nil }
            let counts = self.take(8)
            func count(_ half: ArraySlice<UInt8>) -> Int {
                half.withUnsafeBytes { Int($0.loadUnaligned(as: UInt32.self)) }
            }
            let name = self.take(count(counts.prefix(4)))
            _ = self.take(1)
            let value = self.take(count(counts.suffix(4)))
            return OutgoingRecord.Header(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }

        private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
            defer { self.rest = self.rest.dropFirst(count) }
            return self.rest.prefix(count)
        }
    }

    package func makeIterator() -> Iterator { Iterator(rest: self.packed[...]) }
}

extension RecordHeaders: ExpressibleByArrayLiteral {
    package init(arrayLiteral headers: OutgoingRecord.Header...) {
        for header in headers { self.append(header) }
    }
}
