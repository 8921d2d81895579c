package import EscapementModel

/// Model values that several messages carry.
extension FieldWriter {
    package mutating func watermark(_ number: UInt32, _ value: Watermark) {
        self.nested(number) { inner in
            inner.instant(1, value.instant)
            inner.uid(2, value.tie)
        }
    }

    package mutating func cursor(_ number: UInt32, _ value: Cursor) {
        self.nested(number) { inner in
            inner.watermark(1, value.cron)
            inner.watermark(2, value.delay)
            inner.unsigned(3, value.revision.rawValue)
        }
    }

    package mutating func neighbours(_ number: UInt32, _ value: OccurrenceNeighbours) {
        self.nested(number) { inner in
            inner.instant(1, value.previous)
            inner.instant(2, value.next)
        }
    }
}

extension FieldReader.Field {
    package func kind(_ name: StaticString) throws(WireError) -> FireKind {
        guard let kind = FireKind(rawValue: try self.unsigned(name)) else {
            throw WireError(.badValue, field: "\(name)")
        }
        return kind
    }

    package func watermark(_ name: StaticString) throws(WireError) -> Watermark {
        var value = Watermark(instant: .distantPast, tie: .zero)
        var reader = try self.nested(name)
        while let field = try reader.next() {
            switch field.number {
            case 1: value.instant = try field.instant(name)
            case 2: value.tie = try field.uid(name)
            default: continue
            }
        }
        return value
    }

    package func neighbours(_ name: StaticString) throws(WireError) -> OccurrenceNeighbours {
        var value = OccurrenceNeighbours(previous: nil, next: nil)
        var reader = try self.nested(name)
        while let field = try reader.next() {
            switch field.number {
            case 1: value.previous = try field.instant(name)
            case 2: value.next = try field.instant(name)
            default: continue
            }
        }
        return value
    }

    package func cursor(_ name: StaticString) throws(WireError) -> Cursor {
        var value = Cursor.start
        var reader = try self.nested(name)
        while let field = try reader.next() {
            switch field.number {
            case 1: value.cron = try field.watermark(name)
            case 2: value.delay = try field.watermark(name)
            case 3: value.revision = Revision(try field.unsigned(name))
            default: continue
            }
        }
        return value
    }
}
