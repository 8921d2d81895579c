import ArgumentParser
import Foundation
import Glibc
import JSON
import ScheduleDocuments
import Scheduling

/// `escapement cron import`: a crontab as schedules.
struct CronImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Read a crontab and print schedules, one JSON document a line.",
        discussion: """
            The documents are what 'escapement schedule apply -f -' takes. The command of an entry becomes the payload: \
            {"command": "...", "stdin": "..."}. Lines that cannot be kept are told on the standard error, and the exit \
            code is then 8 (some) or 7 (all).
            """)

    @Argument(help: "The file, such as /etc/crontab; - reads the standard input.")
    var file: String

    @Option(name: .customLong("time-zone"), help: "The zone of entries without CRON_TZ.")
    var timeZone = "UTC"

    @Option(help: "The action of every schedule, such as /guest/ops/shell.")
    var action = ""

    @Flag(help: "The entries have a user column, as in /etc/crontab and /etc/cron.d.")
    var system = false

    func run() throws {
        let report = CronReport(expression: "", asJSON: false)
        let zones = CronCommand.zones()
        var crontab: Crontab?
        try report.refusing {
            _ = try zones.rules(named: self.timeZone)
            var options = Crontab.Options()
            options.timeZone = self.timeZone
            options.action = self.action
            options.hasUsers = self.system
            crontab = Crontab(try self.text(), options: options, zones: zones)
        }
        guard let crontab else { return }
        for schedule in crontab.schedules { print(schedule.text) }
        for remark in crontab.remarks {
            CronReport.tell(
                "\(self.file):\(remark.line): \(remark.isLoss ? "not imported: " : "note: ")\(remark.detail)")
        }
        if crontab.remarks.contains(where: \.isLoss) { throw ExitCode(crontab.schedules.isEmpty ? 7 : 8) }
    }

    private func text() throws -> String {
        let handle: FileHandle
        if self.file == "-" {
            handle = .standardInput
        } else {
            guard let opened = FileHandle(forReadingAtPath: self.file) else {
                throw CronRefusal(text: "\(self.file): \(String(cString: strerror(errno)))")
            }
            handle = opened
        }
        let bytes = try handle.read(upToCount: Crontab.bytesMax + 1) ?? Data()
        guard bytes.count <= Crontab.bytesMax else {
            throw CronRefusal(text: "\(self.file): larger than \(Crontab.bytesMax) bytes, which no crontab is")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CronRefusal(text: "\(self.file): not UTF-8 text")
        }
        return text
    }
}
