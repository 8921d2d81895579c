import EscapementModel
import Scheduling
import TestSupport
import Testing

@Suite struct CatchUpTests {
    static let zones = ZoneDatabase()

    private func schedule(_ trigger: ScheduleDefinition.Trigger, jitter: Int64 = 0) throws -> CompiledSchedule {
        try CompiledSchedule(
            ScheduleDefinition(trigger: trigger, jitterMilliseconds: jitter), uid: UID(high: 1, low: 2),
            createdAt: WallInstant(milliseconds: 0), zones: Self.zones)
    }

    private func at(_ text: String) throws -> WallInstant { try #require(WallInstant(text: "2026-01-01T\(text)Z")) }

    /// `fire 10:00 +3`, `skip 08:00-09:00 x61 COALESCED`.
    private func story(_ settlements: [CatchUp.Settlement]) -> [String] {
        func clock(_ occurrence: Occurrence) -> String {
            String(occurrence.scheduled.description.dropFirst(11).prefix(5))
        }
        return settlements.map { settlement in
            switch settlement {
            case .fire(let occurrence, let skipped): "fire \(clock(occurrence))" + (skipped > 0 ? " +\(skipped)" : "")
            case .skip(let from, let through, let count, let reason):
                "skip \(clock(from))-\(clock(through)) x\(count) \(reason.name)"
            }
        }
    }

    @Test func `within the tolerance everything is fired, also when several have piled up`() throws {
        let schedule = try self.schedule(.cron(["*/20 * * * * *"]))
        let settled = CatchUp.settlements(
            of: schedule, after: try self.at("10:00:00"), now: try self.at("10:01:00"), rule: MisfireRule(policy: .skip)
        )
        #expect(self.story(settled) == ["fire 10:00", "fire 10:00", "fire 10:01"])
        let early = CatchUp.settlements(
            of: schedule, after: try self.at("10:00:00"), now: try self.at("10:00:19.999"), rule: MisfireRule())
        #expect(early.isEmpty, "nothing fires early")
    }

    @Test func `both bounds of lateness belong to the better side`() throws {
        let schedule = try self.schedule(.cron(["0 10 * * *"]))
        func settle(_ now: String, _ policy: MisfireRule.Policy) throws -> [String] {
            self.story(
                CatchUp.settlements(
                    of: schedule, after: try self.at("09:00:00"), now: try self.at(now),
                    rule: MisfireRule(policy: policy)))
        }
        #expect(try settle("10:01:00", .skip) == ["fire 10:00"])
        #expect(try settle("10:01:00.001", .skip) == ["skip 10:00-10:00 x1 CATCHUP_WINDOW"])
        #expect(try settle("11:00:00", .latest) == ["fire 10:00"])
        #expect(try settle("11:00:00.001", .latest) == ["skip 10:00-10:00 x1 CATCHUP_WINDOW"])
    }

    @Test func `latest fires the newest missed one before those on time, and tells the others`() throws {
        let schedule = try self.schedule(.cron(["*/10 * * * *"]))
        let settled = CatchUp.settlements(
            of: schedule, after: try self.at("07:00:00"), now: try self.at("10:00:30"),
            rule: MisfireRule(policy: .latest))
        #expect(
            self.story(settled) == [
                "skip 07:10-09:00 x12 CATCHUP_WINDOW", "skip 09:10-09:40 x4 COALESCED", "fire 09:50 +4", "fire 10:00",
            ])
    }

    @Test func `all fires the newest up to the limit`() throws {
        let schedule = try self.schedule(.cron(["*/10 * * * *"]))
        let rule = MisfireRule(policy: .all, limit: 3)
        let settled = CatchUp.settlements(
            of: schedule, after: try self.at("07:00:00"), now: try self.at("10:00:30"), rule: rule)
        #expect(
            self.story(settled) == [
                "skip 07:10-09:00 x12 CATCHUP_WINDOW", "skip 09:10-09:20 x2 CATCHUP_LIMIT", "fire 09:30", "fire 09:40",
                "fire 09:50", "fire 10:00",
            ])
    }

    @Test func `a one-shot is fired however late`() throws {
        let schedule = try self.schedule(.at([try self.at("00:00:00")]))
        let now = WallInstant(milliseconds: 7_000_000_000_000)
        let settled = CatchUp.settlements(of: schedule, after: .distantPast, now: now, rule: MisfireRule(policy: .skip))
        #expect(self.story(settled) == ["fire 00:00"])
        #expect(
            CatchUp.settlements(of: schedule, after: try self.at("00:00:00"), now: now, rule: MisfireRule()).isEmpty)
    }

    @Test func `a year of missed seconds is settled in two ranges and one fire`() throws {
        let schedule = try self.schedule(.cron(["* * * * * *"]))
        let start = try self.at("00:00:00")
        let rule = MisfireRule(windowMilliseconds: 86_400_000)
        let settled = CatchUp.settlements(
            of: schedule, after: start, now: start.advanced(by: .seconds(366 * 86_400)), rule: rule)
        let skipped = settled.map { if case .skip(_, _, let count, _) = $0 { count } else { 0 } }.reduce(0, +)
        let fired = settled.count { if case .fire = $0 { true } else { false } }
        #expect(fired == 62, "one missed and the minute's tolerance")
        #expect(skipped + fired == 366 * 86_400)
    }

    @Test func `a clock stepped back settles nothing`() throws {
        let schedule = try self.schedule(.cron(["* * * * *"]))
        #expect(
            CatchUp.settlements(
                of: schedule, after: try self.at("10:00:00"), now: try self.at("09:00:00"), rule: MisfireRule()
            ).isEmpty)
    }

    @Test func `every occurrence between watermark and now is settled exactly once`() throws {
        var random = SeededRandom(seed: 8)
        for _ in 0..<150 {
            let cron = ReferenceCron.random(hasSeconds: false, using: &random)
            guard
                let schedule = try? self.schedule(.cron([cron.text]), jitter: Bool.random(using: &random) ? 0 : 120_000)
            else { continue }
            let watermark = WallInstant(milliseconds: Int64.random(in: 1...4_000_000_000_000, using: &random))
            let now = watermark.advanced(by: .milliseconds(Int64.random(in: 0...86_400_000, using: &random)))
            let rule = MisfireRule(
                policy: try #require(MisfireRule.Policy.allCases.randomElement(using: &random)),
                toleranceMilliseconds: Int64.random(in: 0...600_000, using: &random),
                windowMilliseconds: Int64.random(in: 600_000...43_200_000, using: &random),
                limit: Int.random(in: 1...20, using: &random))
            #expect(rule.validate().isEmpty)
            let all = schedule.upcoming(after: watermark, count: 2000).filter { $0.due <= now }
            func late(_ occurrence: Occurrence) -> Int64 { now.milliseconds - occurrence.due.milliseconds }
            let expired = all.filter { late($0) > rule.windowMilliseconds }
            let missed = all.filter { late($0) > rule.toleranceMilliseconds && late($0) <= rule.windowMilliseconds }
            let kept: [Occurrence] =
                switch rule.policy {
                case .skip: []
                case .latest: Array(missed.suffix(1))
                case .all: Array(missed.suffix(rule.limit))
                }
            let onTime = all.filter { late($0) <= rule.toleranceMilliseconds }
            let settled = CatchUp.settlements(of: schedule, after: watermark, now: now, rule: rule)
            var fired: [Occurrence] = []
            var skipped = 0
            var position = watermark
            for settlement in settled {
                switch settlement {
                case .fire(let occurrence, _):
                    #expect(occurrence.due > position)
                    position = occurrence.due
                    fired.append(occurrence)
                case .skip(let from, let through, let count, _):
                    #expect(from.due > position)
                    #expect(all.count { $0 >= from && $0 <= through } == count, "\(cron.text)")
                    position = through.due
                    skipped += count
                }
            }
            #expect(fired == kept + onTime, "\(cron.text) from \(watermark) to \(now) by \(rule)")
            #expect(skipped == expired.count + missed.count - kept.count, "\(cron.text)")
        }
    }

    @Test func `a rule out of bounds is named part by part`() {
        let rule = MisfireRule(toleranceMilliseconds: -1, windowMilliseconds: -2, limit: 0)
        #expect(rule.validate().map(\.path) == ["misfire/tolerance", "misfire/window", "misfire/limit"])
        #expect(MisfireRule().validate().isEmpty)
    }
}
