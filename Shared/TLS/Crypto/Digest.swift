import COpenSSL
package import EscapementModel

/// Message digests of libcrypto. Code that must not link a C library uses `EscapementModel.SHA256`.
package enum Digest {
    /// SHA-256 after FIPS 180-4: 32 bytes.
    package static func sha256(_ message: [UInt8]) -> [UInt8] { HashFunction.sha256.digest(message) }

    /// SHA-512 after FIPS 180-4: 64 bytes.
    package static func sha512(_ message: [UInt8]) -> [UInt8] { HashFunction.sha512.digest(message) }
}

extension SHA256Function {
    /// libcrypto's, with the processor's own instructions: a tenth of the time of the plain one.
    package static let libcrypto = SHA256Function { message, count, digest in
        let done = cossl_sha256(message, count, digest)
        precondition(done == 1, "libcrypto refuses SHA-256")
    }
}

/// Keyed digests after RFC 2104.
package enum HMAC {
    /// HMAC-SHA-256: 32 bytes.
    package static func sha256(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        HashFunction.sha256.authenticationCode(message, key: key)
    }

    /// HMAC-SHA-512: 64 bytes.
    package static func sha512(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        HashFunction.sha512.authenticationCode(message, key: key)
    }
}

/// The hash functions that SCRAM, tokens and fingerprints use.
package enum HashFunction: Sendable {
    case sha256
    case sha512

    /// Bytes of a digest.
    package var digestLength: Int {
        switch self {
        case .sha256: 32
        case .sha512: 64
        }
    }

    private var algorithm: OpaquePointer? {
        switch self {
        case .sha256: EVP_sha256()
        case .sha512: EVP_sha512()
        }
    }

    /// The digest of `message`.
    package func digest(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: self.digestLength) { output, count in
            var length: UInt32 = 0
            let done = EVP_Digest(message, message.count, output.baseAddress, &length, self.algorithm, nil)
            precondition(done == 1 && Int(length) == self.digestLength, "libcrypto has no \(self) or no memory")
            count = self.digestLength
        }
    }

    /// The HMAC of `message` under `key`.
    package func authenticationCode(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        precondition(key.count <= Int(Int32.max), "a key of 2 GiB")
        return [UInt8](unsafeUninitializedCapacity: self.digestLength) { output, count in
            var length: UInt32 = 0
            // A null key means "as before" to OpenSSL; an empty array's pointer is not null.
            let done = COpenSSL.HMAC(
                self.algorithm, key, Int32(key.count), message, message.count, output.baseAddress, &length)
            precondition(done != nil && Int(length) == self.digestLength, "libcrypto has no \(self) or no memory")
            count = self.digestLength
        }
    }

    /// PBKDF2 after RFC 8018 with HMAC of this function. Costs `iterations` HMACs for each digest length of output.
    ///
    /// - Precondition: `iterations` and `length` are positive.
    package func pbkdf2(password: [UInt8], salt: [UInt8], iterations: Int, length: Int) -> [UInt8] {
        precondition(iterations > 0 && length > 0, "PBKDF2 with \(iterations) iterations for \(length) bytes")
        return [UInt8](unsafeUninitializedCapacity: length) { output, count in
            let done = password.withUnsafeBytes { password in
                PKCS5_PBKDF2_HMAC(
                    password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt,
                    Int32(salt.count), Int32(iterations), self.algorithm, Int32(length), output.baseAddress)
            }
            precondition(done == 1, "libcrypto has no PBKDF2 or no memory")
            count = length
        }
    }
}

/// PBKDF2 after RFC 8018; see `HashFunction.pbkdf2`. SCRAM's `SaltedPassword` is this with the digest's length.
package func pbkdf2(
    _ function: HashFunction, password: [UInt8], salt: [UInt8], iterations: Int, length: Int? = nil
) -> [UInt8] {
    function.pbkdf2(
        password: password, salt: salt, iterations: iterations, length: length ?? function.digestLength)
}
