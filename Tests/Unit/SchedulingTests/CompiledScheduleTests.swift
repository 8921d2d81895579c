import EscapementModel
import Scheduling
import TestSupport
import Testing

@Suite struct CompiledScheduleTests {
    static let zones = ZoneDatabase()
    static let uid = UID(high: 0x01a0_f198_8e62_7c33, low: 0x9a0b_51f2_a8c9_d001)

    static func at(_ text: String) throws -> WallInstant { try #require(WallInstant(text: text), "\(text)") }

    static func compile(
        _ definition: ScheduleDefinition, createdAt: String = "2000-01-01T00:00:00Z",
        calendars: HolidayCalendars = .none
    ) throws -> CompiledSchedule {
        try CompiledSchedule(
            definition, uid: self.uid, createdAt: self.at(createdAt), zones: self.zones, calendars: calendars)
    }

    /// Scheduled times after `from`, as short text.
    static func times(_ schedule: CompiledSchedule, from: String, count: Int) throws -> [String] {
        schedule.upcoming(after: try self.at(from), count: count).map { String($0.scheduled.description.prefix(19)) }
    }

    // MARK: Clock changes

    @Test(arguments: [
        ("30 2 * * *", ["03:00"], ["02:30+02"]),
        ("15 30 2 * * *", ["03:00"], ["02:30:15+02"]),
        ("0 2,3 * * *", ["03:00"], ["02:00+02", "03:00+01"]),
        (
            "0,30 1-3 * * *", ["01:00", "01:30", "03:00", "03:30"],
            ["01:00+02", "01:30+02", "02:00+02", "02:30+02", "03:00+01", "03:30+01"]
        ),
        ("*/20 2 * * *", [], ["02:00+02", "02:20+02", "02:40+02", "02:00+01", "02:20+01", "02:40+01"]),
    ])
    func `clock changes in Berlin are those of the table`(text: String, gap: [String], overlap: [String]) throws {
        let schedule = try Self.compile(ScheduleDefinition(trigger: .cron([text]), timeZone: "Europe/Berlin"))
        func day(_ from: String, _ through: String) throws -> [String] {
            let end = try Self.at(through)
            return try schedule.upcoming(after: Self.at(from), count: 20).filter { $0.due < end }.map {
                schedule.zone.localText(of: $0.scheduled)
            }
        }
        let gapDay = try day("2024-03-30T22:59:59Z", "2024-03-31T22:00:00Z").map { String($0.dropFirst(11).prefix(5)) }
        #expect(gapDay == gap)
        let overlapDay = try day("2024-10-26T21:59:59Z", "2024-10-27T23:00:00Z").map { text -> String in
            let clock = text.dropFirst(11).prefix(8)
            return String((clock.hasSuffix(":00") ? clock.prefix(5) : clock) + text.dropFirst(19).prefix(3))
        }
        #expect(overlapDay == overlap)
    }

    @Test(arguments: [
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04T01:00:00Z", "2018-11-04T01:00:00-02:00"),
        ("0 10 * * *", "Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-31T00:00:00+14:00"),
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T10:00:00Z", "2024-10-06T02:30:00+11:00"),
    ])
    func `skipped times are made up at the end of gaps of any length`(
        text: String, zone: String, from: String, expected: String
    ) throws {
        let schedule = try Self.compile(ScheduleDefinition(trigger: .cron([text]), timeZone: zone))
        let next = try #require(schedule.next(after: Self.at(from)))
        #expect(schedule.zone.localText(of: next.scheduled) == expected)
        #expect(schedule.clockChange(at: next.scheduled)?.note == "dst-gap-shifted")
    }

    @Test func `previews tell shifted and repeated occurrences`() throws {
        let daily = try Self.compile(ScheduleDefinition(trigger: .cron(["30 2 * * *"]), timeZone: "Europe/Paris"))
        #expect(
            daily.clockChange(at: try Self.at("2027-03-28T01:00:00Z")) == .shifted(skippedTime: "2027-03-28T02:30:00"))
        #expect(daily.clockChange(at: try Self.at("2027-10-31T00:30:00Z")) == .repeated(isFirst: true))
        #expect(daily.clockChange(at: try Self.at("2027-10-30T00:30:00Z")) == nil)
    }

    // MARK: Triggers

    @Test func `a union fires once where its expressions meet`() throws {
        let schedule = try Self.compile(ScheduleDefinition(trigger: .cron(["0 */2 * * *", "0 */3 * * *"])))
        #expect(
            try Self.times(schedule, from: "2026-01-01T00:00:00Z", count: 5).map { $0.suffix(8) } == [
                "02:00:00", "03:00:00", "04:00:00", "06:00:00", "08:00:00",
            ])
        #expect(
            schedule.count(after: try Self.at("2026-01-01T00:00:00Z"), through: try Self.at("2026-01-02T00:00:00Z"))
                == 16)
    }

    @Test func `intervals keep their grid: from the creation, the start, or the anchor`() throws {
        let every = ScheduleDefinition(trigger: .every(.elapsed(milliseconds: 90_000), anchor: nil))
        let plain = try Self.compile(every, createdAt: "2026-01-01T00:00:10.700Z")
        #expect(
            try Self.times(plain, from: "2025-01-01T00:00:00Z", count: 2) == [
                "2026-01-01T00:01:40", "2026-01-01T00:03:10",
            ])
        var started = every
        started.startAt = try Self.at("2026-02-01T00:00:00Z")
        #expect(
            try Self.times(
                Self.compile(started, createdAt: "2026-01-01T00:00:00Z"), from: "2025-01-01T00:00:00Z", count: 1)
                == ["2026-02-01T00:00:00"])
        let anchored = ScheduleDefinition(
            trigger: .every(.elapsed(milliseconds: 900_000), anchor: try Self.at("2020-01-01T00:05:00Z")))
        #expect(
            try Self.times(
                Self.compile(anchored, createdAt: "2026-01-01T00:06:00Z"), from: "2026-01-01T00:06:00Z", count: 1)
                == ["2026-01-01T00:20:00"])
        let text = try Self.compile(
            ScheduleDefinition(trigger: .cron(["@every 90s"])), createdAt: "2026-01-01T00:00:10.700Z")
        #expect(try Self.times(text, from: "2025-01-01T00:00:00Z", count: 1) == ["2026-01-01T00:01:40"])
    }

    @Test func `a civil day follows the wall clock, 24 hours do not`() throws {
        let anchor = try Self.at("2026-03-27T08:00:00Z")
        func times(_ interval: ScheduleDefinition.Interval) throws -> [String] {
            let definition = ScheduleDefinition(trigger: .every(interval, anchor: anchor), timeZone: "Europe/Paris")
            return try Self.times(Self.compile(definition), from: "2026-03-27T08:00:00Z", count: 3)
        }
        #expect(try times(.civilDays(1)) == ["2026-03-28T08:00:00", "2026-03-29T07:00:00", "2026-03-30T07:00:00"])
        #expect(
            try times(.elapsed(milliseconds: 86_400_000)) == [
                "2026-03-28T08:00:00", "2026-03-29T08:00:00", "2026-03-30T08:00:00",
            ])
    }

    @Test func `a civil month keeps its day and uses the last one of shorter months`() throws {
        let definition = ScheduleDefinition(
            trigger: .every(.civilMonths(1), anchor: try Self.at("2024-01-31T12:00:00Z")))
        let schedule = try Self.compile(definition)
        #expect(
            try Self.times(schedule, from: "2024-01-01T00:00:00Z", count: 5).map { String($0.prefix(10)) } == [
                "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31",
            ])
        let previous = try #require(schedule.previous(before: Self.at("2024-03-31T12:00:00Z")))
        #expect(previous.scheduled == (try Self.at("2024-02-29T12:00:00Z")))
        #expect(
            schedule.count(after: try Self.at("2024-02-01T00:00:00Z"), through: try Self.at("2025-02-01T00:00:00Z"))
                == 12)
    }

    @Test func `listed instants are sorted, doubles dropped, the past before the creation absent`() throws {
        let instants = try [
            "2026-03-01T00:00:00.250Z", "2025-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z",
        ]
        .map(Self.at)
        let schedule = try Self.compile(ScheduleDefinition(trigger: .at(instants)), createdAt: "2026-01-01T00:00:00Z")
        let found = schedule.upcoming(after: .distantPast, count: 9).map(\.scheduled)
        #expect(found == [instants[2], instants[0]])
        #expect(!schedule.isOneShot)
        #expect(schedule.isExhausted(at: instants[0]))
        let single = try Self.compile(
            ScheduleDefinition(trigger: .at([instants[0]])), createdAt: "2026-03-01T00:00:00.250Z")
        #expect(single.isOneShot)
        #expect(single.next(after: .distantPast)?.due == instants[0], "a delay of zero still fires")
    }

    @Test func `start, end and limit bound the occurrences, all three by scheduled time`() throws {
        var definition = ScheduleDefinition(trigger: .cron(["0 0 * * *"]))
        definition.startAt = try Self.at("2026-01-01T00:00:00Z")
        definition.endAt = try Self.at("2026-01-04T00:00:00Z")
        #expect(
            try Self.times(Self.compile(definition), from: "2020-01-01T00:00:00Z", count: 9) == [
                "2026-01-01T00:00:00", "2026-01-02T00:00:00", "2026-01-03T00:00:00",
            ])
        definition.limit = 2
        let limited = try Self.compile(definition)
        #expect(try Self.times(limited, from: "2020-01-01T00:00:00Z", count: 9).count == 2)
        #expect(limited.previous(before: .distantFuture)?.scheduled == (try Self.at("2026-01-02T00:00:00Z")))
        #expect(limited.previous(before: try Self.at("2026-01-01T00:00:00Z")) == nil)
        #expect(limited.standing(of: try Self.at("2026-01-03T00:00:00Z")) == .afterEnd)
        #expect(limited.standing(of: try Self.at("2025-12-31T00:00:00Z")) == .beforeStart)
        #expect(limited.standing(of: try Self.at("2025-12-31T01:00:00Z")) == .notDue)
    }

    // MARK: Exclusions

    @Test func `dates, ranges, windows, expressions and calendars exclude`() throws {
        var calendars = HolidayCalendars()
        calendars.set("FR", dates: [try #require(CivilDate(text: "2026-01-10"))])
        func date(_ text: String) throws -> CivilDate { try #require(CivilDate(text: text)) }
        let definition = ScheduleDefinition(
            trigger: .cron(["0 */6 * * *"]), timeZone: "Europe/Paris",
            exclusions: [
                .date(try date("2026-01-02")), .dates(from: try date("2026-01-04"), through: try date("2026-01-08")),
                .weekly(WeeklyWindow(weekdays: .saturday, fromSecond: 11 * 3600, toSecond: 6 * 3600)),
                .cron("* 12 * * *"), .calendar("FR"),
                .list(name: "works", dates: [try date("2026-01-13"), try date("2026-01-12")]),
            ])
        let schedule = try Self.compile(definition, calendars: calendars)
        let found = schedule.upcoming(after: try Self.at("2025-12-31T23:30:00Z"), count: 11).map {
            String(schedule.zone.localText(of: $0.scheduled).prefix(16))
        }
        // 2026-01-03 is a Saturday: the window runs from 11:00 to 06:00 on Sunday.
        #expect(
            found == [
                "2026-01-01T06:00", "2026-01-01T18:00", "2026-01-03T00:00", "2026-01-03T06:00", "2026-01-09T00:00",
                "2026-01-09T06:00", "2026-01-09T18:00", "2026-01-11T06:00",
                "2026-01-11T18:00", "2026-01-14T00:00", "2026-01-14T06:00",
            ])
        #expect(schedule.standing(of: try Self.at("2026-01-05T05:00:00Z")) == .excluded)
        let last = try #require(schedule.previous(before: Self.at("2026-01-09T00:00:00Z")))
        #expect(schedule.zone.localText(of: last.scheduled).hasPrefix("2026-01-09T00:00"))
        #expect(schedule.previous(before: last.due)?.scheduled == (try Self.at("2026-01-03T05:00:00Z")))
    }

    @Test func `random exclusions remove what they name and nothing else`() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<30 {
            let zone = try #require(
                ["Europe/Paris", "America/Sao_Paulo", "Asia/Tehran", "UTC"].randomElement(using: &random))
            let cron = ReferenceCron.random(hasSeconds: false, using: &random)
            let removed = ReferenceCron.random(hasSeconds: false, using: &random)
            let day = Int.random(in: 17_000..<19_000, using: &random)
            let window = WeeklyWindow(
                weekdays: WeekdaySet(rawValue: UInt8.random(in: 1...127, using: &random)),
                fromSecond: Int.random(in: 0..<24, using: &random) * 3600,
                toSecond: Int.random(in: 0...24, using: &random) * 3600)
            var definition = ScheduleDefinition(trigger: .cron([cron.text]), timeZone: zone)
            definition.exclusions = [.cron(removed.text), .date(CivilDate(dayNumber: day)), .weekly(window)]
            guard let all = try? Self.compile(ScheduleDefinition(trigger: .cron([cron.text]), timeZone: zone)),
                let schedule = try? Self.compile(definition)
            else { continue }
            let rules = try Self.zones.rules(named: zone)
            func isExcluded(_ occurrence: Occurrence) -> Bool {
                let civil = rules.civil(atSecond: Int(occurrence.scheduled.milliseconds / 1000))
                let (date, second) = (CivilDate(dayNumber: civil / 86_400), civil % 86_400)
                if date.dayNumber == day { return true }
                if removed.selects(date), removed.selects(second: second / 60 * 60) { return true }
                return [0, 1].contains { back in
                    let open = (date.dayNumber - back) * 86_400 + window.fromSecond
                    let length = (window.toSecond - window.fromSecond + 86_400 - 1) % 86_400 + 1
                    let weekday = ReferenceCron.weekday(CivilDate(dayNumber: date.dayNumber - back))
                    return window.weekdays.rawValue >> UInt8(weekday) & 1 == 1 && open <= civil && civil < open + length
                }
            }
            let from = WallInstant(milliseconds: Int64(day - 3) * 86_400_000)
            let expected = all.upcoming(after: from, count: 300).filter { !isExcluded($0) }
            let found = schedule.upcoming(after: from, count: expected.count)
            #expect(found == expected, "\(definition)")
            guard let last = expected.last else { continue }
            #expect(schedule.count(after: from, through: last.due) == expected.count, "\(definition)")
            var backwards = [last]
            while backwards.count < expected.count,
                let previous = schedule.previous(before: backwards[backwards.count - 1].due)
            {
                backwards.append(previous)
            }
            #expect(backwards.reversed() == expected, "\(definition), backwards")
        }
    }

    @Test func `a schedule whose every occurrence is excluded is exhausted, not endless`() throws {
        var definition = ScheduleDefinition(trigger: .cron(["30 2 * * *"]), exclusions: [.cron("30 2 * * *")])
        #expect(try Self.compile(definition).next(after: Self.at("2026-01-01T00:00:00Z")) == nil)
        definition.exclusions = [.weekly(WeeklyWindow(weekdays: .all))]
        #expect(try Self.compile(definition).next(after: Self.at("2026-01-01T00:00:00Z")) == nil)
        #expect(
            definition.problems(zones: Self.zones, now: try Self.at("2026-01-01T00:00:00Z")).map(\.code) == [.exhausted]
        )
    }

    // MARK: Jitter

    @Test func `jitter is stable, never early, and keeps the order`() throws {
        var definition = ScheduleDefinition(trigger: .cron(["*/5 * * * *", "7 * * * *"]), timeZone: "Europe/Paris")
        definition.jitterMilliseconds = 600_000
        let schedule = try Self.compile(definition)
        let from = try Self.at("2026-03-28T20:00:00Z")
        let occurrences = schedule.upcoming(after: from, count: 300)
        var delays: Set<Int64> = []
        for (index, occurrence) in occurrences.enumerated() {
            #expect(occurrence.due >= occurrence.scheduled)
            delays.insert(occurrence.due.milliseconds - occurrence.scheduled.milliseconds)
            if index > 0 { #expect(occurrences[index - 1].due < occurrence.scheduled) }
            #expect(schedule.next(after: WallInstant(milliseconds: occurrence.due.milliseconds - 1)) == occurrence)
            #expect(schedule.previous(before: WallInstant(milliseconds: occurrence.due.milliseconds + 1)) == occurrence)
            #expect(schedule.standing(of: occurrence.scheduled) == .occurrence(occurrence))
        }
        #expect(delays.count > 100, "the delays should spread")
        #expect(schedule.count(after: from, through: occurrences[299].due) == 300)
        let again = try Self.compile(definition).upcoming(after: from, count: 300)
        #expect(again == occurrences)
        let other = try CompiledSchedule(
            definition, uid: UID(high: 1, low: 2), createdAt: Self.at("2000-01-01T00:00:00Z"), zones: Self.zones)
        #expect(other.upcoming(after: from, count: 300) != occurrences)
    }

    // MARK: Errors

    @Test func `problems name the part, and all of them are reported`() throws {
        var definition = ScheduleDefinition(
            trigger: .cron(["0 9 * * *", "61 * * * *"]), timeZone: "Europe/Pari", limit: 0,
            exclusions: [.calendar("DE"), .cron("@every 5m")], jitterMilliseconds: -1)
        definition.startAt = try Self.at("2026-01-01T00:00:00Z")
        definition.endAt = try Self.at("2026-01-01T00:00:00Z")
        let problems = definition.problems(zones: Self.zones)
        #expect(
            problems.map { "\($0.path) \($0.code.rawValue)" } == [
                "jitter value-out-of-range", "limit value-out-of-range", "endAt value-out-of-range",
                "timeZone unknown-timezone", "cron/1 value-out-of-range", "exclusions/0 unknown-calendar",
                "exclusions/1 bad-exclusion",
            ])
        #expect(problems[4].upperCode == "VALUE_OUT_OF_RANGE")
        #expect(problems[4].position == 0)
        #expect(problems[4].field == "minute")
        #expect(problems[3].detail == "Unknown time zone 'Europe/Pari'; did you mean 'Europe/Paris'?")
    }

    @Test func `a prefix replaces the default zone and must not contradict another`() throws {
        let prefixed = ScheduleDefinition(trigger: .cron(["CRON_TZ=Asia/Tokyo 0 9 * * *"]))
        let schedule = try Self.compile(prefixed)
        #expect(try Self.times(schedule, from: "2026-01-01T00:00:00Z", count: 1) == ["2026-01-02T00:00:00"])
        #expect(schedule.zone.name == "Asia/Tokyo")
        #expect(schedule.zoneNames == ["Asia/Tokyo", "UTC"])
        #expect(prefixed.zoneConflict(explicitTimeZone: "UTC")?.code == .timeZoneConflict)
        #expect(prefixed.zoneConflict(explicitTimeZone: "Asia/Tokyo") == nil)
        var conflicting = prefixed
        conflicting.timeZone = "Europe/Paris"
        #expect(conflicting.problems(zones: Self.zones).map(\.code) == [.timeZoneConflict])
    }

    @Test func `what lies wholly in the past compiles but is refused for a new schedule`() throws {
        let definition = ScheduleDefinition(trigger: .cron(["0 0 0 1 1 ? 1999"]))
        #expect(try Self.compile(definition).isExhausted(at: Self.at("2026-01-01T00:00:00Z")))
        #expect(definition.problems(zones: Self.zones).isEmpty)
        #expect(
            definition.problems(zones: Self.zones, now: try Self.at("2026-01-01T00:00:00Z")).map(\.code) == [.exhausted]
        )
    }

    @Test func `equal expressions share one program`() throws {
        let cache = ProgramCache()
        let one = try cache.expression("0 9 * * 1-5", seed: nil, zones: Self.zones)
        let two = try cache.expression("0 09 ? * MON-FRI", seed: "x", zones: Self.zones)
        guard case .calendar(let first) = one.body, case .calendar(let second) = two.body else {
            Issue.record("not calendars")
            return
        }
        #expect(first === second)
        let drawn = try ["a", "b"].map { try cache.expression("H H * * *", seed: $0, zones: Self.zones) }
        #expect(drawn[0] != drawn[1])
    }

    @Test func `a reload that moves occurrences is told by the first one that moves`() throws {
        let source = ChangingSource()
        source.set(["A/B": ZoneTests.file(initial: 3600, footer: "CET-1CEST,M3.5.0,M10.5.0/3")])
        let zones = ZoneDatabase(source: source)
        let definition = ScheduleDefinition(trigger: .cron(["0 12 * * *"]), timeZone: "A/B")
        let now = try Self.at("2026-03-01T00:00:00Z")
        let old = try CompiledSchedule(definition, uid: Self.uid, createdAt: now, zones: zones)
        source.set(["A/B": ZoneTests.file(initial: 3600, footer: "CET-1")])
        #expect(zones.reload().changes.map(\.zone) == ["A/B"])
        let new = try CompiledSchedule(definition, uid: Self.uid, createdAt: now, zones: zones)
        let move = try #require(old.firstMove(to: new, after: now))
        #expect(move.before?.scheduled == (try Self.at("2026-03-29T10:00:00Z")))
        #expect(move.after?.scheduled == (try Self.at("2026-03-29T11:00:00Z")))
        #expect(old.firstMove(to: old, after: now) == nil)
    }
}
