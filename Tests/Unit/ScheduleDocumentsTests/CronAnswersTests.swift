import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Testing

@Suite struct CronAnswersTests {
    static let answers = CronAnswers(zones: ZoneDatabase())

    private func answer(_ line: String) throws -> String {
        var output: [UInt8] = []
        let now = try #require(WallInstant(text: "2026-03-28T00:00:00Z"))
        Self.answers.answer(Array(line.utf8), now: now, into: &output)
        #expect(output.last == 0x0a && output.count { $0 == 0x0a } == 1, "one line for one line")
        return String(decoding: output.dropLast(), as: UTF8.self)
    }

    @Test(arguments: [
        (
            #"{"expr": "30 2 * * *", "tz": "Europe/Berlin", "from": "2026-03-28T00:00:00Z", "count": 3}"#,
            #"{"next":["2026-03-28T01:30:00Z","2026-03-29T01:00:00Z","2026-03-30T00:30:00Z"]}"#
        ),
        (
            #"{"expr":"CRON_TZ=UTC 0 0 1 1 *","tz":"No/Where","count":1,"class":"a note","agree":["x"]}"#,
            #"{"next":["2027-01-01T00:00:00Z"]}"#
        ),
        (
            #"{"expr":"0 0 0 1 1 ? 2030-2031","from":"2026-01-01T00:00:00.999Z","count":9}"#,
            #"{"next":["2030-01-01T00:00:00Z","2031-01-01T00:00:00Z"]}"#
        ),
        (
            #"{"expr":"@every 90s","anchor":"2026-03-28T00:00:10Z","count":2,"seed":null,"tz":null}"#,
            #"{"next":["2026-03-28T00:00:10Z","2026-03-28T00:01:40Z"]}"#
        ),
        (#"{"expr":"H 4 * * *","seed":"report-b-9219","count":1}"#, #"{"next":["2026-03-28T04:16:00Z"]}"#),
        (#"{"expr":"at(2020-01-01T00:00:00)"}"#, #"{"next":[]}"#),
        (#"{"expr":"* * * * *","count":0}"#, #"{"next":[]}"#),
    ])
    func `a question is answered with the occurrences`(line: String, expected: String) throws {
        #expect(try self.answer(line) == expected)
    }

    @Test(arguments: [
        (#"{"expr":"61 * * * *"}"#, "value-out-of-range 0 minute"),
        (#"{"expr":"* * * *"}"#, "field-count 7 null"),
        (#"{"expr":"H * * * *"}"#, "missing-seed 0 minute"),
        (#"{"expr":"* * * * *","tz":"Europe/Pari"}"#, "unknown-timezone null null"),
        (#"{"expr":"* * * *","tz":"Europe/Pari"}"#, "field-count 7 null"),
        (#"{"expr":"TZ=Asia/\u212aolkata * * * * *"}"#, "unknown-timezone 3 null"),
        (#"{"expr":""}"#, "empty 0 null"),
        (#"{"expr":"é * * * *"}"#, "unexpected-character 0 minute"),
        (#"{"tz":"UTC"}"#, "invalid-query null null"),
        (#"{"expr":5}"#, "invalid-query null null"),
        (#"{"expr":"* * * * *","count":-1}"#, "invalid-query null null"),
        (#"{"expr":"* * * * *","count":1.5}"#, "invalid-query null null"),
        (#"{"expr":"* * * * *","from":"yesterday"}"#, "invalid-query null null"),
        (#"["* * * * *"]"#, "invalid-query null null"),
        ("", "invalid-query null null"),
        ("{", "invalid-query null null"),
    ])
    func `a refusal has code, position, field and a sentence`(line: String, expected: String) throws {
        // The zone a look-alike letter imitates is in use, so that equal-looking text could find it.
        _ = try self.answer(#"{"expr":"* * * * *","tz":"Asia/Kolkata"}"#)
        let error = try #require(try JSONParser.parse(try self.answer(line))["error"])
        let position = try #require(error["position"]).text
        let field = error["field"]?.stringValue ?? "null"
        #expect("\(try #require(error["code"]?.stringValue)) \(position) \(field)" == expected)
        #expect(error["detail"]?.stringValue?.isEmpty == false)
        #expect(error.objectValue?.map(\.name) == ["code", "position", "field", "detail"])
    }
}
