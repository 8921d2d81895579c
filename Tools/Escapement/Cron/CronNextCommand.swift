import ArgumentParser
import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling

/// `escapement cron next`: the occurrences of one expression, or of one in each line of the standard input.
struct CronNextCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "List occurrences after, or before, an instant.",
        discussion: """
            With --ndjson every line of the standard input is a question, and every line of the output the answer \
            to it, in order: {"expr": "30 2 * * *", "tz": "Europe/Berlin", "from": "2026-03-28T00:00:00Z", "count": 3} \
            gives {"next": ["2026-03-28T01:30:00Z", ...]} or {"error": {"code", "position", "field", "detail"}}. \
            "seed" and "anchor" are understood as well; only "expr" is needed.
            """)

    @Argument(help: "The expression. Not with --ndjson.")
    var expression: String?

    @Option(name: .customLong("time-zone"), help: "The zone of an expression without a prefix of its own.")
    var timeZone = "UTC"

    @Option(help: "Where to start, such as 2026-01-01T00:00:00Z; the default is now.")
    var from: String?

    @Option(name: .shortAndLong, help: "How many occurrences, up to 100000.")
    var count = CronQuery.countDefault

    @Flag(help: "Go backwards: occurrences before --from, the newest first.")
    var previous = false

    @Option(help: "What H is drawn from; a schedule uses its own identifier.")
    var seed: String?

    @Option(help: "Where the grid of an interval starts; the default is --from.")
    var anchor: String?

    @Option(name: .shortAndLong, help: "text (one occurrence a line, in UTC and on the zone's clocks) or json.")
    var output = CronOutput.text

    @Flag(help: "Answer one question a line from the standard input.")
    var ndjson = false

    func validate() throws {
        if self.ndjson, self.expression != nil {
            throw ValidationError("--ndjson reads its expressions from the standard input")
        }
        if !self.ndjson, self.expression == nil { throw ValidationError("an expression is missing") }
        guard (0...CronQuery.countMax).contains(self.count) else {
            throw ValidationError("--count must be from 0 to \(CronQuery.countMax)")
        }
    }

    func run() throws {
        let now = SystemClocks().wallNow()
        let zones = CronCommand.zones()
        guard let expression else {
            try CronBulk(answers: CronAnswers(zones: zones), now: now).run()
            return
        }
        let report = CronReport(expression: expression, asJSON: self.output == .json)
        try report.refusing {
            let query = CronQuery(
                expression: expression, timeZone: self.timeZone, from: try report.instant(self.from, "--from") ?? now,
                count: self.count, seed: self.seed, anchor: try report.instant(self.anchor, "--anchor"),
                isBackwards: self.previous)
            let found = try query.occurrences(zones: zones, cache: ProgramCache())
            if self.output == .json {
                let list = JSONValue.array(found.map { .string(CronReport.utc($0)) })
                print(JSONValue.object([JSONMember(self.previous ? "previous" : "next", list)]).text)
                return
            }
            let parsed = try CronExpression.parse(expression, seed: self.seed, zones: zones)
            let zone = try zones.rules(named: parsed.zoneName ?? self.timeZone)
            for instant in found { print("\(CronReport.utc(instant))  \(zone.localText(of: instant))") }
            if found.count < self.count {
                report.complain("no \(self.previous ? "earlier" : "later") occurrence in the years 1970 to 2200")
            }
        }
    }
}
