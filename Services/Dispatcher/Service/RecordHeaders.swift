/// The headers of a record, in order, packed: two blocks of memory for all of them.
package struct RecordHeaders: Equatable, Sendable {
    /// Where one header lies: its name, a NUL, its value.
    package struct Span: Equatable, Sendable {
        package var nameCount: Int
        package var valueCount: Int
    }

    /// Name, NUL and value of the first header, then of the second, and so on.
    package private(set) var bytes: [UInt8] = []
    package private(set) var spans: [Span] = []

    package init() {}

    package mutating func reserve(bytes: Int, count: Int) {
        self.bytes.reserveCapacity(bytes)
        self.spans.reserveCapacity(count)
    }

    /// Appends a header whose name is `prefix` and `name`, and whose value `write` appends.
    package mutating func append(_ prefix: StaticString, _ name: StaticString, _ write: (inout [UInt8]) -> Void) {
        self.append(prefix)
        self.append(name)
        self.bytes.append(0)
        let start = self.bytes.count
        write(&self.bytes)
        self.spans.append(
            Span(
                nameCount: prefix.utf8CodeUnitCount + name.utf8CodeUnitCount, valueCount: self.bytes.count - start))
    }

    package mutating func append(_ name: String, _ value: String) {
        self.bytes.append(contentsOf: name.utf8)
        self.bytes.append(0)
        self.bytes.append(contentsOf: value.utf8)
        self.spans.append(Span(nameCount: name.utf8.count, valueCount: value.utf8.count))
    }

    package mutating func append(_ header: OutgoingRecord.Header) { self.append(header.name, header.value) }

    private mutating func append(_ text: StaticString) {
        self.bytes.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

extension RecordHeaders: Sequence {
    /// One header after the other, as text: for people and tests.
    package struct Iterator: IteratorProtocol {
        fileprivate let headers: RecordHeaders
        fileprivate var index = 0
        fileprivate var start = 0

        package mutating func next() -> OutgoingRecord.Header? {
            guard self.index < self.headers.spans.count else { return nil }
            let span = self.headers.spans[self.index]
            let value = self.start + span.nameCount + 1
            defer {
                self.index += 1
                self.start = value + span.valueCount
            }
            func text(_ range: Range<Int>) -> String { String(decoding: self.headers.bytes[range], as: UTF8.self) }
            return OutgoingRecord.Header(
                text(self.start..<self.start + span.nameCount), text(value..<value + span.valueCount))
        }
    }

    package func makeIterator() -> Iterator { Iterator(headers: self) }
}

extension RecordHeaders: ExpressibleByArrayLiteral {
    package init(arrayLiteral headers: OutgoingRecord.Header...) {
        for header in headers { self.append(header) }
    }
}
