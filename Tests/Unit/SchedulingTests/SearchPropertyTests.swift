import EscapementModel
import Scheduling
import TestSupport
import Testing

/// The search against a slow reference that looks at every civil time of a window.
@Suite struct SearchPropertyTests {
    static let zones = ZoneDatabase()
    /// All names, to draw from.
    static let names = zones.names()

    /// A window that usually contains a change of the clock.
    private func window(_ zone: ZoneRules, hours: Int, using random: inout SeededRandom) -> Range<Int> {
        let changes = zone.changes(in: 0..<7_260_000_000)
        let half = hours * 1800
        if let change = changes.randomElement(using: &random), Int.random(in: 0..<8, using: &random) > 0 {
            let middle = change.at + Int.random(in: -half...half, using: &random)
            return middle - half..<middle + half
        }
        let middle = Int.random(in: 200_000...7_280_000_000, using: &random)
        return middle - half..<middle + half
    }

    private func zone(using random: inout SeededRandom) throws -> ZoneRules {
        try Self.zones.rules(named: #require(Self.names.randomElement(using: &random)))
    }

    @Test(arguments: [(seed: 1, hasSeconds: false), (2, false), (3, true)])
    func `random expressions fire where the reference says`(seed: UInt64, hasSeconds: Bool) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<(hasSeconds ? 150 : 400) {
            let cron = ReferenceCron.random(hasSeconds: hasSeconds, using: &random)
            let zone = try self.zone(using: &random)
            let window = self.window(zone, hours: hasSeconds ? 4 : 72, using: &random)
            let gap = try #require(ScheduleDefinition.GapPolicy.allCases.randomElement(using: &random))
            let overlap = try #require(ScheduleDefinition.OverlapPolicy.allCases.randomElement(using: &random))
            let story = "seed \(seed): '\(cron.text)' in \(zone.name) over \(window), \(gap), \(overlap)"
            let definition = ScheduleDefinition(
                trigger: .cron([cron.text]), timeZone: zone.name, gap: gap, overlap: overlap)
            let schedule: CompiledSchedule
            do {
                schedule = try CompiledSchedule(
                    definition, uid: .zero, createdAt: WallInstant(milliseconds: -1_000_000_000), zones: Self.zones)
            } catch {
                #expect(error.code == .neverFires, "\(story): \(error.detail)")
                continue
            }
            let expected = ReferenceWindow(zone: zone, window: window).fires(of: cron, gap: gap, overlap: overlap)
            let bounds = (Self.instant(window.lowerBound - 1), Self.instant(window.upperBound - 1))
            var found: [Int] = []
            var position = bounds.0
            while let next = schedule.next(after: position), next.scheduled <= bounds.1 {
                try #require(next.scheduled > position, "\(story): next goes back")
                found.append(Int(next.scheduled.milliseconds / 1000))
                position = next.scheduled
            }
            #expect(found == expected, "\(story)")
            var backwards: [Int] = []
            position = Self.instant(window.upperBound)
            while let previous = schedule.previous(before: position), previous.scheduled > bounds.0 {
                try #require(previous.scheduled < position, "\(story): previous goes forward")
                backwards.append(Int(previous.scheduled.milliseconds / 1000))
                position = previous.scheduled
            }
            #expect(backwards.reversed() == expected, "\(story), backwards")
            #expect(schedule.count(after: bounds.0, through: bounds.1) == expected.count, "\(story), counted")
        }
    }

    @Test func `random expressions select the dates that the reference selects, through all years`() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<120 {
            var cron = ReferenceCron.random(hasSeconds: false, using: &random)
            cron.minute = .init(text: "30", values: [30], hasStar: false)
            cron.hour = .init(text: "12", values: [12], hasStar: false)
            guard let expression = try? CronExpression.parse(cron.text, seed: nil, zones: Self.zones) else {
                #expect(!(0..<84_371).contains { cron.selects(CivilDate(dayNumber: $0)) }, "\(cron.text) never fires")
                continue
            }
            let start = Int.random(in: 0..<80_000, using: &random)
            let expected = (start..<start + 3000).filter { cron.selects(CivilDate(dayNumber: $0)) }
            var found: [Int] = []
            var position = Self.instant(start * 86_400 - 1)
            let end = Self.instant((start + 3000) * 86_400)
            while let next = expression.next(after: position, in: .utc, anchor: position), next < end {
                found.append(Int(next.milliseconds / 86_400_000))
                position = next
            }
            #expect(found == expected, "\(cron.text) from day \(start)")
            let count = expression.count(after: Self.instant(start * 86_400 - 1), through: end, in: .utc, anchor: end)
            #expect(count == expected.count, "\(cron.text) counted")
        }
    }

    @Test func `next and previous are inverse and counting agrees, far apart`() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<1000 {
            let cron = ReferenceCron.random(hasSeconds: Bool.random(using: &random), using: &random)
            guard let expression = try? CronExpression.parse(cron.text, seed: nil, zones: Self.zones) else { continue }
            let zone = try self.zone(using: &random)
            var position = Self.instant(Int.random(in: 0...7_280_000_000, using: &random))
            let start = position
            var steps = 0
            while steps < 20, let next = expression.next(after: position, in: zone, anchor: start) {
                #expect(next > position, "\(cron.text) in \(zone.name) after \(position)")
                let back = expression.previous(before: next, in: zone, anchor: start)
                #expect(
                    steps == 0 ? (back ?? start) <= start : back == position,
                    "\(cron.text) in \(zone.name) before \(next)")
                #expect(expression.matches(next, in: zone, anchor: start), "\(cron.text) in \(zone.name) at \(next)")
                position = next
                steps += 1
            }
            let count = expression.count(after: start, through: position, in: zone, anchor: start)
            #expect(count == steps, "\(cron.text) in \(zone.name) from \(start) to \(position)")
        }
    }

    @Test func `no zone has changes so close that civil times lose their order`() throws {
        // The search may rely on it: a civil time skipped at one change is never shown later.
        for name in Self.names {
            let zone = try Self.zones.rules(named: name)
            var high = Int.min
            var before = 0
            for change in zone.changes(in: -1_000_000..<7_400_000_000) {
                if high == .min { before = zone.offset(atSecond: change.at - 1) }
                let jump = change.offset - before
                if jump < 0 { #expect(change.at + change.offset > high, "\(name) at \(change.at)") }
                if jump > 0 { high = change.at + change.offset }
                before = change.offset
            }
        }
    }

    static func instant(_ second: Int) -> WallInstant { WallInstant(milliseconds: Int64(second) * 1000) }
}
