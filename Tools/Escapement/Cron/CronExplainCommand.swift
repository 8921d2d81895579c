import ArgumentParser
import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling

/// `escapement cron explain`: an expression in words, its next occurrences, and what clock changes do to it.
struct CronExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say in words what an expression means, and when it fires next.")

    @Argument(help: "The expression: 5 to 7 fields, a macro, '@every 1h30m', rate(), at() or cron().")
    var expression: String

    @Option(name: .customLong("time-zone"), help: "The zone of an expression without a prefix of its own.")
    var timeZone = "UTC"

    @Option(help: "Explain as of this instant; the default is now.")
    var from: String?

    @Option(name: .shortAndLong, help: "How many occurrences to list.")
    var count = CronQuery.countDefault

    @Option(help: "What H is drawn from; a schedule uses its own identifier.")
    var seed: String?

    @Option(name: .shortAndLong, help: "text or json.")
    var output = CronOutput.text

    /// How far ahead clock changes are looked for, and over which occurrences are counted.
    private static let horizon = Duration.seconds(365 * 86_400)

    func validate() throws {
        guard (0...1000).contains(self.count) else { throw ValidationError("--count must be from 0 to 1000") }
    }

    func run() throws {
        let zones = CronCommand.zones()
        let report = CronReport(expression: self.expression, asJSON: self.output == .json)
        try report.refusing {
            let from = try report.instant(self.from, "--from") ?? SystemClocks().wallNow()
            // Without a seed the draw of a real schedule is unknown: show one that might be.
            var seed = self.seed
            var isExample = false
            let expression: CronExpression
            do {
                expression = try CronExpression.parse(self.expression, seed: seed, zones: zones)
            } catch let error as CronError where error.code == .missingSeed {
                seed = "example"
                isExample = true
                expression = try CronExpression.parse(self.expression, seed: seed, zones: zones)
            }
            let zone = try zones.rules(named: expression.zoneName ?? self.timeZone)
            let definition = ScheduleDefinition(
                trigger: .cron([self.expression]), timeZone: zone.name, seed: seed)
            let schedule: CompiledSchedule
            do {
                schedule = try CompiledSchedule(definition, uid: .zero, createdAt: from, zones: zones)
            } catch let error as ScheduleError {
                throw CronRefusal(text: error.detail)
            }
            let explanation = Explanation(
                words: expression.text(zoneName: zone.name), zone: zone,
                upcoming: schedule.upcoming(after: from, count: self.count).map(\.scheduled),
                perYear: schedule.count(after: from, through: from.advanced(by: Self.horizon)),
                notes: self.notes(schedule, zone: zone, from: from, isExample: isExample))
            print(self.output == .json ? explanation.json(self.expression).prettyText : explanation.text)
        }
    }

    private func notes(
        _ schedule: CompiledSchedule, zone: ZoneRules, from: WallInstant, isExample: Bool
    ) -> [String] {
        var notes: [String] = []
        if isExample { notes.append("H is drawn for the example seed 'example'; a schedule draws its own values.") }
        let start = Int(from.milliseconds / 1000)
        for change in zone.changes(in: start..<start + Int(Self.horizon.components.seconds)) {
            let jump = change.offset - zone.offset(atSecond: change.at - 1)
            // In a gap the occurrence made up stands at the change; an overlap lies on both sides of it.
            var position = WallInstant(milliseconds: Int64(change.at - max(0, -jump)) * 1000 - 1)
            let end = WallInstant(milliseconds: Int64(change.at + max(0, -jump)) * 1000)
            while let next = schedule.next(after: position), next.scheduled <= end {
                position = next.scheduled
                guard let note = Self.note(schedule, zone: zone, at: next.scheduled) else { continue }
                notes.append(note)
                break
            }
        }
        if schedule.upcoming(after: from, count: 1).isEmpty { notes.append("There is no later occurrence.") }
        return notes
    }

    private static func note(_ schedule: CompiledSchedule, zone: ZoneRules, at instant: WallInstant) -> String? {
        switch schedule.clockChange(at: instant) {
        case .shifted(let skipped)?:
            return "\(skipped) does not exist in \(zone.name): fires at \(zone.localText(of: instant)) instead."
        case .repeated?:
            let second = Int(instant.milliseconds / 1000)
            guard case .overlap(let instants) = zone.resolution(ofCivil: zone.civil(atSecond: second)) else {
                return nil
            }
            let fires = instants.filter { pass in
                schedule.next(after: WallInstant(milliseconds: Int64(pass) * 1000 - 1))?.scheduled.milliseconds
                    == Int64(pass) * 1000
            }
            let passes = fires.count > 1 ? "in both passes" : "in the first pass only"
            return "\(zone.localText(of: instant).prefix(19)) happens twice in \(zone.name): fires \(passes)."
        case nil: return nil
        }
    }
}

/// What there is to say about an expression.
private struct Explanation {
    var words: String
    var zone: ZoneRules
    var upcoming: [WallInstant]
    var perYear: Int
    var notes: [String]

    var text: String {
        var lines = [self.words, ""]
        lines += self.upcoming.map { "  \(CronReport.utc($0))  \(self.zone.localText(of: $0))" }
        lines += ["", "\(self.perYear) \(self.perYear == 1 ? "occurrence" : "occurrences") in the next 365 days."]
        return (lines + self.notes).joined(separator: "\n")
    }

    func json(_ expression: String) -> JSONValue {
        [
            "expr": .string(expression), "text": .string(self.words), "timeZone": .string(self.zone.name),
            "next": .array(
                self.upcoming.map {
                    ["utc": .string(CronReport.utc($0)), "local": .string(self.zone.localText(of: $0))]
                }),
            "perYear": .integer(self.perYear), "notes": .array(self.notes.map { .string($0) }),
        ]
    }
}
