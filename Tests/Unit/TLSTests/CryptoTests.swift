import EscapementModel
import TLS
import Testing

@Suite struct CryptoTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    /// FIPS 180-4 examples.
    @Test func `digests agree with the standard's examples`() {
        #expect(
            self.hex(Digest.sha256(Array("abc".utf8)))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            self.hex(Digest.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(self.hex(Digest.sha512(Array("abc".utf8))).hasPrefix("ddaf35a193617abacc417349ae204131"))
        #expect(Digest.sha512([]).count == 64)
    }

    @Test(arguments: [0, 1, 55, 56, 63, 64, 65, 119, 512, 100_000])
    func `the function for hot paths digests as the plain one does, on every thread`(count: Int) async {
        let message = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let plain = message.withUnsafeBytes { SHA256Function.plain.digest($0) }
        await withTaskGroup(of: SHA256Digest.self) { group in
            for _ in 0..<8 { group.addTask { message.withUnsafeBytes { SHA256Function.libcrypto.digest($0) } } }
            for await digest in group { #expect(digest == plain) }
        }
    }

    /// RFC 4231, test cases 1 and 2.
    @Test func `keyed digests agree with RFC 4231`() {
        #expect(
            self.hex(HMAC.sha256(Array("Hi There".utf8), key: [UInt8](repeating: 0x0b, count: 20)))
                == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
        #expect(
            self.hex(HMAC.sha512(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8)))
                .hasPrefix("164b7a7bfcf819e2e395fbe73b56e0a3"))
        #expect(HMAC.sha256([], key: []).count == 32)
    }

    /// RFC 7677, section 3: the SCRAM-SHA-256 exchange of user "user" with password "pencil".
    @Test func `PBKDF2 gives the salted password of RFC 7677`() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let salted = pbkdf2(.sha256, password: Array("pencil".utf8), salt: salt, iterations: 4096)
        let clientKey = HMAC.sha256(Array("Client Key".utf8), key: salted)
        let storedKey = Digest.sha256(clientKey)
        let message =
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            + "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        let signature = HMAC.sha256(Array(message.utf8), key: storedKey)
        let proof = zip(clientKey, signature).map { $0 ^ $1 }
        #expect(Base64.encode(proof) == "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    }

    @Test func `PBKDF2 takes an empty password and any length`() {
        #expect(pbkdf2(.sha512, password: [], salt: [1], iterations: 1, length: 100).count == 100)
    }

    @Test func `random bytes differ`() {
        #expect(randomBytes(0).isEmpty)
        #expect(randomBytes(16).count == 16)
        #expect(randomBytes(16) != randomBytes(16))
    }

    @Test func `secrets are compared whole`() {
        #expect(constantTimeEquals([], []))
        #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
        #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
    }

    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ]) func `base64 agrees with RFC 4648`(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Zg", "Zg=", "Zg===", "Zh==", "Zm9", "Zm9=", "Zm9v\n", "Zm 9v", "====", "Z===", "Zm8=Zm8=", "Zm-_",
    ])
    func `base64 that is not exact is refused`(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func `the URL alphabet has no padding`() {
        let bytes: [UInt8] = [0xfb, 0xff, 0xfe, 0x01]
        #expect(Base64.encodeURLSafe(bytes) == "-__-AQ")
        #expect(Base64.decodeURLSafe("-__-AQ") == bytes)
        #expect(Base64.decodeURLSafe("-__-AQ==") == nil)
        #expect(Base64.decodeURLSafe("+//+AQ") == nil)
        #expect(Base64.decodeURLSafe("A") == nil)
    }

    @Test func `every byte survives base64`() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
            #expect(Base64.decodeURLSafe(Base64.encodeURLSafe(bytes)) == bytes)
        }
    }
}
