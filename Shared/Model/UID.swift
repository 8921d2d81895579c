/// A 128-bit identifier: of a schedule, a timer, an incarnation, an activation.
///
/// Ordered as an unsigned big-endian number, so the order in memory, on the wire, in PostgreSQL
/// (`uuid`) and as text is the same.
package struct UID: Hashable, Comparable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Draws a random identifier from `generator`.
    package static func random(using generator: inout some RandomNumberGenerator) -> UID {
        UID(high: generator.next(), low: generator.next())
    }

    package static let zero = UID(high: 0, low: 0)
    package static let max = UID(high: .max, low: .max)

    package static func < (left: UID, right: UID) -> Bool {
        left.high == right.high ? left.low < right.low : left.high < right.high
    }

    /// Reads 32 hexadecimal digits, or a UUID with its four hyphens; `nil` for anything else.
    package init?(text: some StringProtocol) {
        var digits = 0
        var value = UID.zero
        var position = 0
        let hyphenated = text.utf8.count == 36
        guard hyphenated || text.utf8.count == 32 else { return nil }
        for byte in text.utf8 {
            defer { position += 1 }
            if hyphenated, position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let digit = Hexadecimal.value(of: byte) else { return nil }
            value.high = value.high << 4 | value.low >> 60
            value.low = value.low << 4 | UInt64(digit)
            digits += 1
        }
        guard digits == 32 else { return nil }
        self = value
    }

    /// 32 lower-case hexadecimal digits, the form of an activation id.
    package var hex: String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            self.writeHex(into: buffer)
            return 32
        }
    }

    /// The usual UUID form with hyphens.
    package var uuid: String {
        let hex = Array(self.hex.utf8)
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for (index, byte) in hex.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append(UInt8(ascii: "-")) }
            text.append(byte)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Writes the 32 digits at the start of `buffer`, without allocating.
    ///
    /// - Precondition: `buffer` holds at least 32 bytes.
    package func writeHex(into buffer: UnsafeMutableBufferPointer<UInt8>) {
        precondition(buffer.count >= 32, "room for only \(buffer.count) of 32 digits")
        func write(_ bits: UInt64, at start: Int) {
            let digits = Hexadecimal.digits(UInt32(truncatingIfNeeded: bits)).bigEndian
            UnsafeMutableRawBufferPointer(buffer).storeBytes(of: digits, toByteOffset: start, as: UInt64.self)
        }
        write(self.high >> 32, at: 0)
        write(self.high, at: 8)
        write(self.low >> 32, at: 16)
        write(self.low, at: 24)
    }
}

extension UID: CustomStringConvertible {
    package var description: String { self.hex }
}

/// Hexadecimal digits, lower case out, either case in.
package enum Hexadecimal {
    package static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// The eight digits of `value` as bytes, the first one on top. All at once: a byte has room for each.
    static func digits(_ value: UInt32) -> UInt64 {
        var digits = UInt64(value)
        digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff
        digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff
        digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f
        let ones: UInt64 = 0x0101_0101_0101_0101
        let isLetter = (digits + 6 * ones) >> 4 & ones
        return digits + UInt64(UInt8(ascii: "0")) * ones
            + isLetter * UInt64(UInt8(ascii: "a") - 10 - UInt8(ascii: "0"))
    }

    package static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(self.digit(byte >> 4))
            text.append(self.digit(byte & 15))
        }
        return String(decoding: text, as: UTF8.self)
    }
}
