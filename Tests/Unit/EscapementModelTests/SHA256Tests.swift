import EscapementModel
import Testing

/// Vectors of FIPS 180-4, appendix examples.
@Suite struct SHA256Tests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func `digests match the standard`(text: String, digest: String) {
        var hash = SHA256()
        hash.update(text.utf8)
        #expect(Hexadecimal.text(hash.finish()) == digest)
        let bytes = Array(text.utf8)
        #expect(bytes.withUnsafeBytes { SHA256Function.plain.digest($0) }.hex == digest)
    }

    @Test func `an activation id depends on each of its parts`() {
        let uid = UID(high: 1, low: 2)
        let time = WallInstant(milliseconds: 1_795_397_400_000)
        let ids = [
            ActivationID(cluster: "a", kind: .cron, uid: uid, scheduledTime: time),
            ActivationID(cluster: "b", kind: .cron, uid: uid, scheduledTime: time),
            ActivationID(cluster: "a", kind: .delay, uid: uid, scheduledTime: time),
            ActivationID(cluster: "a", kind: .cron, uid: UID(high: 1, low: 3), scheduledTime: time),
            ActivationID(cluster: "a", kind: .cron, uid: uid, scheduledTime: time.advanced(by: .milliseconds(1))),
        ]
        #expect(Set(ids).count == ids.count)
        // Computed elsewhere: ids are the same in every build.
        #expect(
            ActivationID(
                cluster: "prod", kind: .cron, uid: UID(high: 0x01a0_f198_8e62_7c33, low: 0x9a0b_51f2_a8c9_d001),
                scheduledTime: time
            ).description == "bd1118e40ea26fffde319ba2b2e852ff")
        #expect(ids[0] == ActivationID(cluster: "a", kind: .cron, uid: uid, scheduledTime: time))
    }

    /// Around each length at which the message fills a block, or a character lies across two.
    @Test(arguments: ["abcdefghijklmnopqrstuvwxyz", "č"])
    func `an activation id is the digest of its parts one after the other, however long they are`(letters: String) {
        let letters = Array(letters)
        for count in 0...200 {
            let cluster = String((0..<count).map { letters[$0 % letters.count] })
            let kind = FireKind.allCases[count % FireKind.allCases.count]
            let uid = UID(high: .max - UInt64(count), low: 1 << UInt64(count % 64))
            // Before 1970 too.
            let time = WallInstant(milliseconds: 1_795_397_400_000 - Int64(count) * 17_953_974_000)
            var message = Array("esc1".utf8) + Array(cluster.utf8) + [0, kind.rawValue]
            message += self.bytes(uid.high) + self.bytes(uid.low)
            message += self.bytes(UInt64(bitPattern: time.milliseconds * 1000))
            var hash = SHA256()
            for byte in message { hash.update(byte) }
            let digest = Array(hash.finish().prefix(16))
            let id = ActivationID(cluster: cluster, kind: kind, uid: uid, scheduledTime: time)
            #expect(self.bytes(id.uid.high) + self.bytes(id.uid.low) == digest, "\(count) letters")
        }
    }

    /// Most significant first.
    private func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(number >> (56 - 8 * UInt64($0)) & 0xff) }
    }
}
