/// The 256 bits of a digest, as two halves.
package struct SHA256Digest: Hashable, Sendable {
    package var high: UID
    package var low: UID

    package init(high: UID, low: UID) {
        self.high = high
        self.low = low
    }

    /// 64 lower-case hexadecimal digits.
    package var hex: String { self.high.hex + self.low.hex }
}

/// How a message that lies in one piece is hashed. The hot paths take one, so that a process with libcrypto uses the
/// processor's own instructions, and code that must run without a C library does not need it.
package struct SHA256Function: Sendable {
    /// Writes the 32 bytes of the digest of so many bytes.
    ///
    /// An address and no closure: a reference that all lanes count at each fire would keep the processors waiting for each
    /// other.
    package typealias Address =
        @convention(c) (_ message: UnsafeRawPointer?, _ count: Int, _ digest: UnsafeMutableRawPointer) -> Void

    private let address: Address

    package init(_ address: Address) { self.address = address }

    package func digest(_ message: UnsafeRawBufferPointer) -> SHA256Digest {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutablePointer(to: &words) { self.address(message.baseAddress, message.count, $0) }
        return SHA256Digest(
            high: UID(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1)),
            low: UID(high: UInt64(bigEndian: words.2), low: UInt64(bigEndian: words.3)))
    }

    /// `SHA256`.
    package static let plain = SHA256Function { message, count, digest in
        var hash = SHA256()
        hash.update(UnsafeRawBufferPointer(start: message, count: count))
        let halves = hash.finishDigest()
        let words = (
            halves.high.high.bigEndian, halves.high.low.bigEndian, halves.low.high.bigEndian, halves.low.low.bigEndian
        )
        digest.storeBytes(of: words, as: (UInt64, UInt64, UInt64, UInt64).self)
    }
}

/// SHA-256 after FIPS 180-4, in plain Swift.
///
/// Activation ids are derived with it in code that must run without a C library (the simulator, the
/// domains). For keys and certificates use libcrypto. About 3 ns a byte.
package struct SHA256: Sendable {
    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
    )
    private var block: InlineArray<64, UInt8> = .init(repeating: 0)
    private var filled = 0
    private var length: UInt64 = 0

    package init() {}

    package mutating func update(_ bytes: some Sequence<UInt8>) {
        // In one piece: element by element, a generic sequence costs a call for each byte.
        let isDone = bytes.withContiguousStorageIfAvailable { self.update(UnsafeRawBufferPointer($0)) } != nil
        if !isDone { for byte in bytes { self.update(byte) } }
    }

    /// Adds bytes; whole blocks are not copied.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while self.filled > 0, let byte = rest.popFirst() { self.update(byte) }
        let blocks = rest.count / 64
        for index in 0..<blocks {
            let start = rest.startIndex + index * 64
            self.compress(UnsafeRawBufferPointer(rebasing: bytes[start..<start + 64]))
        }
        self.length &+= UInt64(blocks) &* 512
        for byte in rest.dropFirst(blocks * 64) { self.update(byte) }
    }

    package mutating func update(_ byte: UInt8) {
        self.block[self.filled] = byte
        self.filled += 1
        self.length &+= 8
        if self.filled == 64 {
            let block = self.block
            block.span.withUnsafeBytes { self.compress($0) }
            self.filled = 0
        }
    }

    /// Adds the eight bytes of `value`, most significant first.
    package mutating func update(bigEndian value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            self.update(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    /// Ends the message; the value must not be used afterwards.
    package mutating func finish() -> [UInt8] {
        self.pad()
        let state = self.state
        return [UInt8](unsafeUninitializedCapacity: 32) { bytes, count in
            func write(_ word: UInt32) {
                UnsafeMutableRawBufferPointer(bytes).storeBytes(
                    of: word.bigEndian, toByteOffset: count, as: UInt32.self)
                count += 4
            }
            write(state.0)
            write(state.1)
            write(state.2)
            write(state.3)
            write(state.4)
            write(state.5)
            write(state.6)
            write(state.7)
        }
    }

    /// The same without allocating.
    package mutating func finishDigest() -> SHA256Digest {
        self.pad()
        func half(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> UID {
            UID(high: UInt64(a) << 32 | UInt64(b), low: UInt64(c) << 32 | UInt64(d))
        }
        let state = self.state
        return SHA256Digest(
            high: half(state.0, state.1, state.2, state.3), low: half(state.4, state.5, state.6, state.7))
    }

    private mutating func pad() {
        let length = self.length
        self.update(0x80)
        while self.filled != 56 { self.update(0) }
        self.update(bigEndian: length)
    }

    private mutating func compress(_ block: UnsafeRawBufferPointer) {
        var words = InlineArray<64, UInt32>(repeating: 0)
        for index in 0..<16 {
            words[unchecked: index] = UInt32(
                bigEndian: block.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
        }
        for index in 16..<64 {
            let early = words[unchecked: index - 15]
            let late = words[unchecked: index - 2]
            let first = early.rotatedRight(7) ^ early.rotatedRight(18) ^ (early >> 3)
            let second = late.rotatedRight(17) ^ late.rotatedRight(19) ^ (late >> 10)
            words[unchecked: index] = words[unchecked: index - 16] &+ first &+ words[unchecked: index - 7] &+ second
        }
        var (a, b, c, d, e, f, g, h) = self.state
        // Eight rounds at a time, after which every variable has its name back: none is moved.
        for index in stride(from: 0, to: 64, by: 8) {
            func word(_ offset: Int) -> UInt32 {
                words[unchecked: index + offset] &+ Self.constants[unchecked: index + offset]
            }
            Self.round(a, b, c, &d, e, f, g, &h, word(0))
            Self.round(h, a, b, &c, d, e, f, &g, word(1))
            Self.round(g, h, a, &b, c, d, e, &f, word(2))
            Self.round(f, g, h, &a, b, c, d, &e, word(3))
            Self.round(e, f, g, &h, a, b, c, &d, word(4))
            Self.round(d, e, f, &g, h, a, b, &c, word(5))
            Self.round(c, d, e, &f, g, h, a, &b, word(6))
            Self.round(b, c, d, &e, f, g, h, &a, word(7))
        }
        self.state.0 &+= a
        self.state.1 &+= b
        self.state.2 &+= c
        self.state.3 &+= d
        self.state.4 &+= e
        self.state.5 &+= f
        self.state.6 &+= g
        self.state.7 &+= h
    }

    /// - Parameter word: of the message's schedule, with the round's constant.
    @inline(__always)
    private static func round(
        _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: inout UInt32, _ e: UInt32, _ f: UInt32, _ g: UInt32,
        _ h: inout UInt32, _ word: UInt32
    ) {
        let mixE = e.rotatedRight(6) ^ e.rotatedRight(11) ^ e.rotatedRight(25)
        let choice = g ^ (e & (f ^ g))
        h = h &+ mixE &+ choice &+ word
        d = d &+ h
        let mixA = a.rotatedRight(2) ^ a.rotatedRight(13) ^ a.rotatedRight(22)
        let majority = (a & b) | (c & (a | b))
        h = h &+ mixA &+ majority
    }

    private static let constants: InlineArray<64, UInt32> = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
}

extension UInt32 {
    fileprivate func rotatedRight(_ count: UInt32) -> UInt32 { self >> count | self << (32 - count) }
}
