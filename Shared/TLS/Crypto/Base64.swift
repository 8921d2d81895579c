/// Base64 after RFC 4648, strict: no line breaks, no missing or superfluous padding, no stray bits.
package enum Base64 {
    /// The standard alphabet, with padding.
    package static func encode(_ bytes: [UInt8]) -> String {
        self.encode(bytes, alphabet: self.standard, padded: true)
    }

    /// The alphabet for URLs and file names, without padding.
    package static func encodeURLSafe(_ bytes: [UInt8]) -> String {
        self.encode(bytes, alphabet: self.urlSafe, padded: false)
    }

    /// Bytes of padded text in the standard alphabet; `nil` when it is not exactly that.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 4) else { return nil }
        for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
        return self.decode(digits, alphabet: self.standard)
    }

    /// Bytes of unpadded text in the URL alphabet; `nil` when it is not exactly that.
    package static func decodeURLSafe(_ text: some StringProtocol) -> [UInt8]? {
        self.decode(Array(text.utf8), alphabet: self.urlSafe)
    }

    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlSafe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    private static func encode(_ bytes: [UInt8], alphabet: [UInt8], padded: Bool) -> String {
        var digits: [UInt8] = []
        digits.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for index in 0..<3 { bits = bits << 8 | (index < group.count ? UInt32(group[start + index]) : 0) }
            for index in 0...group.count { digits.append(alphabet[Int(bits >> UInt32(18 - 6 * index)) & 63]) }
            if padded { digits.append(contentsOf: repeatElement(UInt8(ascii: "="), count: 3 - group.count)) }
        }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func decode(_ digits: [UInt8], alphabet: [UInt8]) -> [UInt8]? {
        guard digits.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 4 * 3 + 2)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for digit in digits {
            guard let value = self.value(of: digit, in: alphabet) else { return nil }
            bits = (bits << 6 | value) & 0xffff
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        // Bits beyond the last byte must be zero, or one value would have several spellings.
        return bits & ((1 << bitCount) - 1) == 0 ? bytes : nil
    }

    private static func value(of digit: UInt8, in alphabet: [UInt8]) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0")) + 52
        case alphabet[62]: 62
        case alphabet[63]: 63
        default: nil
        }
    }
}
