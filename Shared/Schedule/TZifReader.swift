/// Why a zone cannot be used.
package struct ZoneError: Error, Hashable, Sendable {
    /// The name asked for.
    package var zone: String
    /// A phrase: `the file is truncated`.
    package var reason: String
    /// The name that was probably meant.
    package var suggestion: String?

    /// `Unknown time zone 'Europe/Pari'; did you mean 'Europe/Paris'?`
    package var detail: String {
        if let suggestion { return "Unknown time zone '\(self.zone)'; did you mean '\(suggestion)'?" }
        return "Unknown time zone '\(self.zone)': \(self.reason)."
    }
}

/// Reads compiled zone files (TZif, RFC 9636), versions 2 to 4, fat or slim.
///
/// Total: any bytes give rules or a reason. Every count is checked against the length of the file
/// before it is used.
package enum TZifReader {
    /// No zone file comes near it; a larger one is refused unread.
    package static let bytesMax = 262_144

    /// What is wrong with a file, as a phrase.
    package struct Fault: Error, Hashable { package var reason: String }

    /// Decodes the rules of a zone.
    ///
    /// - Throws: `Fault`; the file is then not usable as a zone.
    package static func rules(name: String, bytes: [UInt8]) throws(Fault) -> ZoneRules {
        guard bytes.count <= self.bytesMax else { throw Fault(reason: "the file is larger than a zone file can be") }
        var cursor = Cursor(bytes: bytes)
        let old = try Header(&cursor)
        guard old.version >= UInt8(ascii: "2") else { throw Fault(reason: "version 1 zone files are not supported") }
        try cursor.skip(old.bodyBytes(timeBytes: 4))
        let header = try Header(&cursor)
        guard header.version == old.version else { throw Fault(reason: "its two headers disagree") }
        try header.validate()
        guard old.leapCount == 0 else { throw Fault(reason: "zone files with leap seconds are not supported") }

        var times: [Int] = []
        times.reserveCapacity(header.timeCount)
        for _ in 0..<header.timeCount {
            let time = try cursor.integer64()
            if let last = times.last, time <= last { throw Fault(reason: "its transitions do not ascend") }
            times.append(time)
        }
        var types: [Int] = []
        for _ in 0..<header.timeCount {
            let type = Int(try cursor.byte())
            guard type < header.typeCount else { throw Fault(reason: "a transition names no local time type") }
            types.append(type)
        }
        var offsets: [Int] = []
        for _ in 0..<header.typeCount {
            let offset = Int(Int32(bitPattern: try cursor.integer32()))
            let isDaylight = try cursor.byte()
            let designation = Int(try cursor.byte())
            guard abs(offset) <= ZoneRules.offsetMax, isDaylight <= 1, designation < header.characterCount else {
                throw Fault(reason: "a local time type is out of range")
            }
            offsets.append(offset)
        }
        try cursor.skip(header.characterCount + header.standardCount + header.universalCount)
        let footer = try self.footer(&cursor)
        return self.assemble(name: name, times: times, types: types, offsets: offsets, footer: footer)
    }

    private static func footer(_ cursor: inout Cursor) throws(Fault) -> POSIXZone? {
        guard try cursor.byte() == 0x0a else { throw Fault(reason: "its footer is missing") }
        var text: [UInt8] = []
        while true {
            let byte = try cursor.byte()
            if byte == 0x0a { break }
            text.append(byte)
        }
        if text.isEmpty { return nil }
        guard let zone = POSIXZone(text) else { throw Fault(reason: "its footer is not a time zone rule") }
        return zone
    }

    /// Transitions outside these bounds are as good as for ever.
    private static let timeMin = -(1 << 45)
    private static let timeMax = 1 << 45
    /// Rules are expanded from here on at the earliest; the years before do not matter to a schedule.
    private static let ruleYearMin = 1850
    private static let ruleYearMax = CivilTime.yearMax + 1

    private static func assemble(
        name: String, times: [Int], types: [Int], offsets: [Int], footer: POSIXZone?
    ) -> ZoneRules {
        var initial = offsets[0]
        var changes: [ZoneRules.Change] = []
        for (time, type) in zip(times, types) where time <= Self.timeMax {
            if time < Self.timeMin {
                initial = offsets[type]
            } else {
                changes.append(ZoneRules.Change(at: time, offset: offsets[type]))
            }
        }
        if let footer {
            if let last = changes.last {
                let events = footer.changes(
                    fromYear: max(Self.ruleYearMin, CivilDate(dayNumber: CivilTime.split(last.at).day).year - 1),
                    throughYear: Self.ruleYearMax)
                // From the last transition on the rule governs, whatever the file's last type says.
                let inForce = events.last { $0.at <= last.at }?.offset ?? events.first?.offset
                changes[changes.count - 1].offset = inForce ?? footer.standardOffset
                changes.append(contentsOf: events.lazy.filter { $0.at > last.at })
            } else {
                let events = footer.changes(fromYear: Self.ruleYearMin, throughYear: Self.ruleYearMax)
                initial = events.first?.offset ?? footer.standardOffset
                changes = events
            }
        }
        return ZoneRules(name: name, initialOffset: initial, changes: changes)
    }

    /// The six counts before a data block.
    private struct Header {
        var version: UInt8
        var universalCount: Int
        var standardCount: Int
        var leapCount: Int
        var timeCount: Int
        var typeCount: Int
        var characterCount: Int

        init(_ cursor: inout Cursor) throws(Fault) {
            guard try cursor.byte() == UInt8(ascii: "T"), try cursor.byte() == UInt8(ascii: "Z"),
                try cursor.byte() == UInt8(ascii: "i"), try cursor.byte() == UInt8(ascii: "f")
            else { throw Fault(reason: "the file is not a zone file") }
            self.version = try cursor.byte()
            try cursor.skip(15)
            self.universalCount = Int(try cursor.integer32())
            self.standardCount = Int(try cursor.integer32())
            self.leapCount = Int(try cursor.integer32())
            self.timeCount = Int(try cursor.integer32())
            self.typeCount = Int(try cursor.integer32())
            self.characterCount = Int(try cursor.integer32())
        }

        /// Length of the block that follows; every count is below 2^32, so the sum cannot overflow.
        func bodyBytes(timeBytes: Int) -> Int {
            self.timeCount * (timeBytes + 1) + self.typeCount * 6 + self.characterCount
                + self.leapCount * (timeBytes + 4) + self.standardCount + self.universalCount
        }

        func validate() throws(Fault) {
            guard self.leapCount == 0 else { throw Fault(reason: "zone files with leap seconds are not supported") }
            guard (1...256).contains(self.typeCount), (1...4096).contains(self.characterCount),
                self.timeCount <= ZoneRules.changesMax, self.standardCount == 0 || self.standardCount == self.typeCount,
                self.universalCount == 0 || self.universalCount == self.typeCount
            else { throw Fault(reason: "its counts are out of range") }
        }
    }

    /// A position in the bytes that never runs past their end.
    private struct Cursor {
        let bytes: [UInt8]
        var position = 0

        mutating func byte() throws(Fault) -> UInt8 {
            guard self.position < self.bytes.count else { throw Fault(reason: "the file is truncated") }
            defer { self.position += 1 }
            return self.bytes[self.position]
        }

        mutating func skip(_ count: Int) throws(Fault) {
            guard count <= self.bytes.count - self.position else { throw Fault(reason: "the file is truncated") }
            self.position += count
        }

        mutating func integer32() throws(Fault) -> UInt32 {
            var value: UInt32 = 0
            for _ in 0..<4 { value = value << 8 | UInt32(try self.byte()) }
            return value
        }

        mutating func integer64() throws(Fault) -> Int {
            var value: UInt64 = 0
            for _ in 0..<8 { value = value << 8 | UInt64(try self.byte()) }
            return Int(Int64(bitPattern: value))
        }
    }
}
