import EscapementModel
import Testing

@Suite struct UIDTests {
    @Test func `text forms round-trip`() throws {
        let uid = UID(high: 0x9d0c_1f6e_2b7a_4c55, low: 0xa1f0_e3d2_c4b5_9687)
        #expect(uid.hex == "9d0c1f6e2b7a4c55a1f0e3d2c4b59687")
        #expect(uid.uuid == "9d0c1f6e-2b7a-4c55-a1f0-e3d2c4b59687")
        #expect(UID(text: uid.hex) == uid)
        #expect(UID(text: uid.uuid.uppercased()) == uid)
    }

    @Test func `every byte has its digits, wherever it stands`() {
        for byte in UInt64(0)...255 {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                let uid = UID(high: byte << shift, low: ~(byte << shift))
                let expected = [uid.high, uid.low].map { half in
                    let digits = String(half, radix: 16)
                    return String(repeating: "0", count: 16 - digits.count) + digits
                }
                #expect(uid.hex == expected.joined())
            }
        }
    }

    @Test(arguments: ["", "9d0c", "9d0c1f6e2b7a4c55a1f0e3d2c4b5968g", "9d0c1f6e-2b7a-4c55-a1f0e-3d2c4b59687"])
    func `other text is refused`(text: String) {
        #expect(UID(text: text) == nil)
    }
}
