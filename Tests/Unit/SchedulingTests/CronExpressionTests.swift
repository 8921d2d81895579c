import EscapementModel
import Scheduling
import TestSupport
import Testing

@Suite struct CronExpressionTests {
    static let zones = ZoneDatabase()

    private func words(_ text: String, zone: String = "UTC") throws -> String {
        try CronExpression.parse(text, seed: "seed", zones: Self.zones).text(zoneName: zone)
    }

    @Test(arguments: [
        ("30 9 * * 1-5", "Every weekday at 09:30, UTC"),
        ("0 0 * * *", "Every day at 00:00, UTC"),
        ("*/15 * * * *", "Every 15 minutes, UTC"),
        ("* * * * *", "Every minute, UTC"),
        ("* * * * * *", "Every second, UTC"),
        ("*/30 * * * * *", "Every 30 seconds, UTC"),
        ("@hourly", "Every hour, UTC"),
        ("5 * * * *", "At 5 minutes past every hour, UTC"),
        ("0 */2 * * *", "Every 2 hours, UTC"),
        ("0 9-17 * * MON-FRI", "Every hour from 09:00 through 17:00, on weekdays, UTC"),
        ("*/10 9-17 * * *", "Every 10 minutes from 09:00 through 17:59, UTC"),
        ("0 9,12 * * SAT,SUN", "Every Saturday and Sunday at 09:00 and 12:00, UTC"),
        ("0 0 1 * *", "On the 1st of the month at 00:00, UTC"),
        ("0 0 29 2 *", "On the 29th of February at 00:00, UTC"),
        ("15 10 1,15 * *", "On the 1st and 15th of the month at 10:15, UTC"),
        ("0 0 L * *", "On the last day of the month at 00:00, UTC"),
        ("0 0 LW * *", "On the last weekday of the month at 00:00, UTC"),
        ("0 0 15W * *", "On the weekday nearest the 15th of the month at 00:00, UTC"),
        ("0 0 * * MON#1", "On the 1st Monday of the month at 00:00, UTC"),
        ("0 0 * * 5L", "On the last Friday of the month at 00:00, UTC"),
        ("0 0 13 * FRI", "On the 13th of the month and every Friday at 00:00, UTC"),
        ("0 0 13 * +FRI", "On the 13th of the month that is a Friday at 00:00, UTC"),
        ("0 0 0 1 1 ? 2026-2028", "On the 1st of January at 00:00, in 2026 through 2028, UTC"),
        ("0 12 * 6-8 *", "Every day in June through August at 12:00, UTC"),
        ("CRON_TZ=Europe/Paris 0 9 * * *", "Every day at 09:00, Europe/Paris"),
        ("@every 1h30m", "Every 1 hour and 30 minutes"),
        ("rate(1 day)", "Every day"),
        ("at(2026-12-24T18:00:00)", "Once, at 2026-12-24T18:00:00, UTC"),
    ])
    func `expressions read well in words`(text: String, expected: String) throws {
        #expect(try self.words(text) == expected)
    }

    @Test func `every expression has words`() throws {
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            let cron = ReferenceCron.random(hasSeconds: Bool.random(using: &random), using: &random)
            guard let expression = try? CronExpression.parse(cron.text, seed: nil, zones: Self.zones) else { continue }
            let words = expression.text(zoneName: "UTC")
            #expect(
                words.hasSuffix(", UTC") && !words.contains("  ") && !words.contains(" ,"), "\(cron.text): \(words)")
        }
    }

    @Test func `a schedule in words names its bounds`() throws {
        let definition = ScheduleDefinition(
            trigger: .cron(["30 9 * * 1-5"]), timeZone: "Europe/Paris", limit: 3, exclusions: [.calendar("x")],
            jitterMilliseconds: 90_000)
        var calendars = HolidayCalendars()
        calendars.set("x", dates: [])
        let schedule = try CompiledSchedule(
            definition, uid: .zero, createdAt: WallInstant(milliseconds: 0), zones: Self.zones, calendars: calendars)
        #expect(
            schedule.text
                == "Every weekday at 09:30, Europe/Paris, 3 times at most, with 1 exclusion, up to 1m30s late by jitter"
        )
    }

    @Test(arguments: [
        ("0 0 1 JANUARY *", "month, column 7: 'JANUARY' is not a name of this field: write JAN."),
        ("61 * * * *", "minute, column 1: '61' is outside 0-59."),
        ("*/90 * * * *", "minute, column 3: A step in this field is at most 60; for longer intervals use @every."),
        (
            "0 0 * * L",
            "day of week, column 9: A bare L is ambiguous: write SAT, or for the last Friday of the month 5L."
        ),
        ("0 0 0 1 1 * 2030-2025", "year, column 13: Years do not wrap around: write 2025-2030."),
    ])
    func `errors say what to write instead`(text: String, detail: String) {
        let error = #expect(throws: CronError.self) { try CronExpression.parse(text, seed: nil, zones: Self.zones) }
        #expect(error?.detail == detail)
    }

    @Test func `the widest wait between two occurrences is found at once`() throws {
        let expression = try CronExpression.parse("0 0 29 2 +MON", seed: nil, zones: Self.zones)
        let from = try #require(WallInstant(text: "2072-03-01T00:00:00Z"))
        let next = try #require(expression.next(after: from, in: .utc, anchor: from))
        #expect(next.description == "2112-02-29T00:00:00.000Z")
    }

    @Test func `the calendar ends with the year 2200 and begins with 1970`() throws {
        let expression = try CronExpression.parse("* * * * *", seed: nil, zones: Self.zones)
        let kiritimati = try Self.zones.rules(named: "Pacific/Kiritimati")
        for zone in [ZoneRules.utc, kiritimati, try Self.zones.rules(named: "America/Los_Angeles")] {
            let first = try #require(expression.next(after: .distantPast, in: zone, anchor: .distantPast))
            #expect(zone.localText(of: first).hasPrefix("1970-01-01T00:00:00"))
            let last = try #require(expression.previous(before: .distantFuture, in: zone, anchor: .distantPast))
            #expect(zone.localText(of: last).hasPrefix("2200-12-31T23:59:00"))
            #expect(expression.next(after: last, in: zone, anchor: last) == nil)
            #expect(expression.previous(before: first, in: zone, anchor: first) == nil)
            #expect(expression.next(after: .distantFuture, in: zone, anchor: last) == nil)
        }
    }

    /// Mutations of real expressions: any text gives an expression that can be searched, or an error
    /// whose position lies within the text.
    @Test func `random text never traps the parser nor the search`() throws {
        var random = SeededRandom(seed: 10)
        let seeds = [
            "*/15 0-6/2 1,15,LW,L-3 * MON#1,5L", "H(0-29)/10 H * * H", "cron(0 10 ? * 2-6 2026)", "@every 1w2d3h",
            "rate(5 minutes)", "at(2026-12-24T18:00:00)", "CRON_TZ=Europe/Paris 0 0 * * +FRI",
            "0 0 0 29 2 ? 2000-2100/4",
        ].map { Array($0.unicodeScalars) }
        let alphabet = Array("0123456789*/,-?#+LWHhlw()= \t@MONJANxé٣\u{0}\u{200d}:T".unicodeScalars)
        var parsed = 0
        for _ in 0..<6000 {
            var scalars = try #require(seeds.randomElement(using: &random))
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: 0...scalars.count, using: &random)
                let scalar = try #require(alphabet.randomElement(using: &random))
                switch Int.random(in: 0..<3, using: &random) {
                case 0: scalars.insert(scalar, at: index)
                case 1 where index < scalars.count: scalars.remove(at: index)
                default: if index < scalars.count { scalars[index] = scalar }
                }
            }
            var view = String.UnicodeScalarView()
            view.append(contentsOf: scalars)
            let text = String(view)
            do {
                let expression = try CronExpression.parse(text, seed: "s", zones: Self.zones)
                parsed += 1
                let from = WallInstant(milliseconds: Int64.random(in: 0...7_000_000_000_000, using: &random))
                if let next = expression.next(after: from, in: .utc, anchor: from) { #expect(next > from, "\(text)") }
                #expect(!expression.text(zoneName: "UTC").isEmpty)
            } catch {
                #expect((0...scalars.count).contains(error.position), "\(text)")
                #expect(!error.detail.isEmpty)
            }
        }
        #expect(parsed > 500, "many mutations should still be expressions")
    }
}
