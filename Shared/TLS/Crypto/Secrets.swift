import COpenSSL

/// `count` bytes from libcrypto's generator, fit for keys, salts and tokens.
package func randomBytes(_ count: Int) -> [UInt8] {
    precondition(count >= 0 && count <= Int(Int32.max), "\(count) random bytes")
    return [UInt8](unsafeUninitializedCapacity: count) { output, filled in
        // Without entropy nothing secret may be made: going on would be worse than stopping.
        precondition(count == 0 || RAND_bytes(output.baseAddress, Int32(count)) == 1, "no entropy")
        filled = count
    }
}

/// Whether two secrets are equal, in a time that depends on their lengths alone.
package func constantTimeEquals(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
