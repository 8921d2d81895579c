import EscapementModel
import Testing

@Suite struct TextTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-23T01:30:00.021Z", 1_795_397_400_021),
        ("2026-11-23T03:30:00.0215+02:00", 1_795_397_400_021), ("1969-12-31T23:59:59.999Z", -1),
        ("2000-02-29T12:00:00Z", 951_825_600_000),
    ])
    func `RFC 3339 is read and written`(text: String, milliseconds: Int64) throws {
        let instant = try #require(WallInstant(text: text))
        #expect(instant.milliseconds == milliseconds)
        #expect(WallInstant(text: instant.description) == instant)
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23T24:00:00Z",
        "2026-11-23T01:30:00", "2026-11-23T01:30:60Z", "2026-11-23T01:30:00.Z", "2026-11-23T01:30:00Zjunk",
    ])
    func `other texts are no instant`(text: String) {
        #expect(WallInstant(text: text) == nil)
    }

    @Test(arguments: [
        ("90s", 90_000), ("1h30m", 5_400_000), ("250ms", 250), ("PT90S", 90_000), ("P1DT12H", 129_600_000),
        ("0s", 0), ("-5m", -300_000), ("2w", 1_209_600_000),
    ])
    func `durations are read`(text: String, milliseconds: Int64) {
        #expect(DurationText.parse(text)?.wholeMilliseconds == milliseconds)
    }

    @Test(arguments: ["", "5", "m", "1m1h", "1.5h", "P", "PT", "1y", "99999999999999999w", "5 m"])
    func `other texts are no duration`(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test func `a formatted duration reads back`() {
        for milliseconds in [0, 1, 999, 1000, 90_000, 86_400_000, 90_061_001] as [Int64] {
            let duration = Duration.milliseconds(milliseconds)
            #expect(DurationText.parse(DurationText.format(duration)) == duration)
        }
    }
}
