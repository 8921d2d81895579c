import JSON
import ScheduleDocuments
import Scheduling
import Testing

@Suite struct CrontabTests {
    private func read(_ text: String, hasUsers: Bool = false) -> Crontab {
        var options = Crontab.Options()
        options.timeZone = "Europe/Paris"
        options.hasUsers = hasUsers
        return Crontab(text, options: options, zones: ZoneDatabase())
    }

    /// `name: expression in zone -> command`.
    private func story(_ crontab: Crontab) -> [String] {
        crontab.schedules.map { schedule in
            let name = schedule["name"]?.stringValue ?? "?"
            let when = schedule["when"]
            let expression = when?["cron"]?[0]?.stringValue ?? "?"
            let zone = when?["timeZone"]?.stringValue ?? "UTC"
            return "\(name): \(expression) in \(zone) -> \(schedule["target"]?["payload"]?.text ?? "?")"
        }
    }

    @Test func `entries become schedules, in order and with names`() {
        let crontab = self.read(
            """
            # m h dom mon dow command
            \t*/5 9-17 * * MON-FRI   /usr/local/bin/backup.sh --full

            @daily /opt/backup.sh
            CRON_TZ = "America/New_York"
            0 2 1 * * 'odd name' x
            """)
        #expect(
            self.story(crontab) == [
                #"backup.sh: */5 9-17 * * MON-FRI in Europe/Paris -> {"command":"/usr/local/bin/backup.sh --full"}"#,
                #"backup.sh-4: @daily in Europe/Paris -> {"command":"/opt/backup.sh"}"#,
                #"odd: 0 2 1 * * in America/New_York -> {"command":"'odd name' x"}"#,
            ])
        #expect(crontab.remarks.isEmpty)
    }

    @Test func `percent signs give standard input, escaped ones are themselves`() {
        let crontab = self.read(#"0 0 * * * mail -s 100\% me%Dear\n me,%bye"#)
        let payload = crontab.schedules.first?["target"]?["payload"]
        #expect(payload?["command"]?.stringValue == "mail -s 100% me")
        #expect(payload?["stdin"]?.stringValue == "Dear\\n me,\nbye")
    }

    @Test func `a system crontab names users`() {
        let crontab = self.read("17 * * * * root run-parts /etc/cron.hourly\r\n@weekly www find\r\n", hasUsers: true)
        #expect(
            self.story(crontab) == [
                #"run-parts: 17 * * * * in Europe/Paris -> {"command":"run-parts /etc/cron.hourly","user":"root"}"#,
                #"find: @weekly in Europe/Paris -> {"command":"find","user":"www"}"#,
            ])
    }

    @Test func `random times become a stable draw`() {
        let crontab = self.read("-0~29 3~5/2,7 ~ ~6 * job")
        #expect(self.story(crontab) == [#"job: H(0-29) H(3-5)/2,7 H H(1-6) * in Europe/Paris -> {"command":"job"}"#])
        #expect(crontab.remarks.map(\.isLoss) == [false])
    }

    @Test(arguments: [
        ("@reboot x", "no meaning in a service"), ("*/90 * * * * x", "at most 60"),
        ("1 2 3", "five fields and a command"),
        ("* * * * *", "five fields and a command"), ("CRON_TZ=Europe/Pari", "did you mean 'Europe/Paris'?"),
        ("0 0 30 2 * x", "No date"),
    ])
    func `what cannot be kept is told with its line`(line: String, part: String) throws {
        let crontab = self.read("0 0 * * * fine\n\(line)\n")
        #expect(crontab.schedules.count == 1)
        let remark = try #require(crontab.remarks.first)
        #expect(remark.line == 2 && remark.isLoss && remark.detail.contains(part), "\(remark)")
    }

    @Test func `settings of the commands are notes`() {
        let crontab = self.read("MAILTO=root\nPATH = /usr/bin:/bin\n")
        #expect(crontab.schedules.isEmpty)
        #expect(crontab.remarks.map(\.isLoss) == [false, false])
    }

    @Test func `every schedule of a crontab is a document that reads`() throws {
        for schedule in self.read("H 3 * * 1-5 a\n0~5 * * * * b%c\n").schedules {
            #expect(WhenDocument.read(try #require(schedule["when"])).problems.isEmpty)
            #expect(TargetDocument.read(schedule["target"], cluster: "c").problems.isEmpty)
        }
    }
}
