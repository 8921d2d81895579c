import HTTPClient
import HTTPServer
import Testing

@Suite struct GunzipTests {
    @Test func `what was compressed is read again, up to the bound`() {
        let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let bytes = Gzip.compress(content)
        #expect(Gunzip.decompress(bytes, byteCountMax: content.count) == .bytes(content))
        #expect(Gunzip.decompress(bytes, byteCountMax: content.count - 1) == .tooLarge)
        #expect(Gunzip.decompress(Gzip.compress([]), byteCountMax: 0) == .bytes([]))
    }

    @Test func `unfolding ends at the bound, not at the end of what is there`() {
        let bomb = Gzip.compress([UInt8](repeating: 0, count: 64 << 20))
        // The second half is missing: it is never looked at.
        #expect(Gunzip.decompress(Array(bomb.prefix(bomb.count / 2)), byteCountMax: 1 << 20) == .tooLarge)
    }

    @Test func `what is not one gzip member is malformed`() {
        let bytes = Gzip.compress(Array("a timer".utf8))
        #expect(Gunzip.decompress([], byteCountMax: 100) == .malformed)
        #expect(Gunzip.decompress(Array("a timer".utf8), byteCountMax: 100) == .malformed)
        for count in 0..<bytes.count {
            #expect(Gunzip.decompress(Array(bytes.prefix(count)), byteCountMax: 100) == .malformed)
        }
        #expect(Gunzip.decompress(bytes + bytes, byteCountMax: 100) == .malformed)
        var damaged = bytes
        damaged[bytes.count - 5] ^= 1
        #expect(Gunzip.decompress(damaged, byteCountMax: 100) == .malformed, "the checksum is looked at")
    }
}
