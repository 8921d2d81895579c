/// The stable draw behind `H` and jitter: FNV-1a over the seed, a zero byte and a name, finished as
/// MurmurHash3 finishes 64 bits. The same on every node and release, for ever.
package enum SpreadHash {
    /// The 64-bit value x of the dialect's section 6.2.
    package static func value(seed: String, field: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in seed.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = hash &* 0x100_0000_01b3
        for byte in field.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return self.finish(hash)
    }

    /// Spreads the bits of `hash` over the whole word.
    static func finish(_ hash: UInt64) -> UInt64 {
        var hash = hash ^ hash >> 33
        hash = hash &* 0xff51_afd7_ed55_8ccd
        hash ^= hash >> 33
        hash = hash &* 0xc4ce_b9fe_1a85_ec53
        return hash ^ hash >> 33
    }
}
