import EscapementModel
import Testing

@Suite struct InstantTextTests {
    @Test(arguments: [
        WallInstant(milliseconds: 0), WallInstant(milliseconds: 1_795_397_400_021), WallInstant(milliseconds: -1),
        .distantPast, .distantFuture,
    ])
    func `it is the text of the instant, and no byte more`(instant: WallInstant) {
        let text = InstantText(instant)
        #expect(text.instant == instant)
        // Not at a whole word.
        var bytes = [UInt8](repeating: 0x21, count: WallInstant.textCount + 2)
        bytes.withUnsafeMutableBytes { text.write(to: $0.baseAddress.unsafelyUnwrapped + 1) }
        #expect(String(decoding: bytes, as: UTF8.self) == "!\(instant)!")
    }
}
