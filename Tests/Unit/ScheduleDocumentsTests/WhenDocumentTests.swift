import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Testing

@Suite struct WhenDocumentTests {
    private func read(_ text: String, now: WallInstant? = nil) throws -> (ScheduleDefinition?, [DocumentProblem]) {
        let result = WhenDocument.read(try JSONParser.parse(text), now: now)
        return (result.definition, result.problems)
    }

    private func problems(_ text: String) throws -> [String] {
        try self.read(text).1.map { "\($0.pointer) \($0.code)" }
    }

    @Test func `the full example reads`() throws {
        let (definition, problems) = try self.read(
            """
            {"cron": ["30 2 * * *"], "timeZone": "Europe/Paris", "dst": {"gap": "skip", "overlap": "both"},
             "startAt": "2026-10-01T00:00:00Z", "endAt": null, "excludes": [{"date": "2026-12-25"}],
             "jitter": "20s", "limit": 7}
            """)
        #expect(problems == [])
        let date = try #require(CivilDate(text: "2026-12-25"))
        let expected = ScheduleDefinition(
            trigger: .cron(["30 2 * * *"]), timeZone: "Europe/Paris", gap: .skip, overlap: .both,
            startAt: WallInstant(text: "2026-10-01T00:00:00Z"), limit: 7, exclusions: [.date(date)],
            jitterMilliseconds: 20_000)
        #expect(definition == expected)
    }

    @Test(arguments: [
        #"{"cron":["30 2 * * *"]}"#,
        #"{"cron":["0 0 * * *","H 12 * * *"],"timeZone":"Europe/Paris","dst":{"overlap":"second"},"seed":"a"}"#,
        #"{"every":"15m","anchor":"2026-01-01T00:05:00.000Z","jitter":"20s"}"#,
        #"{"every":"24h"}"#,
        #"{"every":"1d","timeZone":"Europe/Paris"}"#,
        #"{"every":"3mo","startAt":"2026-01-31T09:00:00.000Z","endAt":"2030-01-01T00:00:00.000Z","limit":9}"#,
        #"{"at":["2026-12-24T18:00:00.000Z","2026-12-31T18:00:00.000Z"]}"#,
        ##"{"cron":["@daily"],"excludes":[{"date":"2026-12-25"},{"from":"2026-12-24","through":"2027-01-02"},"##
            + ##"{"weekdays":["SAT","SUN"],"fromTime":"22:00","toTime":"06:00:30"},{"cron":"0 0 1 * *"},"##
            + ##"{"calendar":"holidays"},{"calendar":"de","dates":["2026-12-25","2026-12-26"]}]}"##,
    ])
    func `the canonical form is what it reads as`(text: String) throws {
        let (definition, problems) = try self.read(text)
        #expect(problems == [])
        #expect(WhenDocument.write(try #require(definition)).text == text)
    }

    @Test func `different spellings give equal bytes`() throws {
        let spellings = [
            #"{"timeZone": "UTC", "cron": "0 9 * * *", "jitter": "0s", "dst": {"gap": "shift"}, "excludes": []}"#,
            #"{"cron": ["0 9 * * *"], "dst": {}, "endAt": null}"#,
        ]
        let bytes = try spellings.map { WhenDocument.write(try #require(try self.read($0).0)).text }
        #expect(Set(bytes) == [#"{"cron":["0 9 * * *"]}"#])
    }

    @Test func `all faults are told at once`() throws {
        let found = try self.problems(
            """
            {"cron": [5], "timezone": "UTC", "dst": {"gap": "shft", "x": 1}, "startAt": "yesterday",
             "endAt": 12, "excludes": [{"date": "2026-02-30"}, {}], "jitter": "-5s", "limit": 0}
            """)
        #expect(
            found == [
                "/when/cron/0 INVALID_TYPE", "/when/dst/gap INVALID_VALUE", "/when/dst/x UNKNOWN_FIELD",
                "/when/startAt INVALID_INSTANT", "/when/endAt INVALID_TYPE", "/when/limit OUT_OF_RANGE",
                "/when/excludes/0/date INVALID_VALUE", "/when/excludes/1 MISSING_FIELD",
                "/when/jitter INVALID_DURATION", "/when/timezone UNKNOWN_FIELD",
            ])
    }

    @Test func `a misspelt field is answered with the right one`() throws {
        let (_, problems) = try self.read(#"{"cron": "@daily", "timezone": "UTC"}"#)
        #expect(problems.first?.detail == "'timezone' is not a field here; did you mean 'timeZone'?")
    }

    @Test(arguments: [
        (#"{}"#, "/when MISSING_FIELD"),
        (#"[]"#, "/when INVALID_TYPE"),
        (#"{"cron": "@daily", "every": "5m"}"#, "/when CONFLICTING_FIELDS"),
        (#"{"cron": []}"#, "/when/cron MISSING_FIELD"),
        (#"{"cron": "@daily", "excludes": [{"dates": ["2026-12-25"]}]}"#, "/when/excludes/0 MISSING_FIELD"),
        (#"{"cron": "@daily", "excludes": [{"calendar": "x", "dates": []}]}"#, "/when/excludes/0/dates MISSING_FIELD"),
        (
            #"{"cron": "@daily", "excludes": [{"calendar": "x", "dates": ["x"]}]}"#,
            "/when/excludes/0/dates/0 INVALID_VALUE"
        ),
        (#"{"at": []}"#, "/when/at MISSING_FIELD"),
        (#"{"at": ["2026-01-01T00:00:00Z", "x"]}"#, "/when/at/1 INVALID_INSTANT"),
        (#"{"at": "2201-01-01T00:00:00Z"}"#, "/when/at OUT_OF_RANGE"),
        (#"{"every": "-5m"}"#, "/when/every INVALID_DURATION"),
        (#"{"every": "soon"}"#, "/when/every INVALID_DURATION"),
        (#"{"cron": "@daily", "anchor": "2026-01-01T00:00:00Z"}"#, "/when/anchor CONFLICTING_FIELDS"),
        (#"{"delay": "5m"}"#, "/when MISSING_FIELD"),
        (
            #"{"cron": "@daily", "startAt": "2027-01-01T00:00:00Z", "endAt": "2027-01-01T00:00:00Z"}"#,
            "/when/endAt CONFLICTING_FIELDS"
        ),
    ])
    func `one fault, one problem at its place`(text: String, problem: String) throws {
        #expect(try self.problems(text).first == problem)
    }

    @Test func `a delay counts from now, where now is known`() throws {
        let now = WallInstant(milliseconds: 1_000_000)
        #expect(try self.read(#"{"delay": "90s"}"#, now: now).0?.trigger == .at([now.advanced(by: .seconds(90))]))
        #expect(try self.read(#"{"delay": "-90s"}"#, now: now).1.map(\.pointer) == ["/when/delay"])
    }

    @Test func `errors of the engine are placed in the document`() throws {
        let value = try JSONParser.parse(#"{"cron": "61 * * * *"}"#)
        let errors = [
            ScheduleError(.valueOutOfRange, path: "cron/0", "x"),
            ScheduleError(.badExclusion, path: "exclusions/2", "y"),
            ScheduleError(.exhausted, path: "", "z"),
        ]
        let places = WhenDocument.problems(errors, in: value).map { "\($0.pointer) \($0.code)" }
        #expect(places == ["/when/cron VALUE_OUT_OF_RANGE", "/when/excludes/2 BAD_EXCLUSION", "/when EXHAUSTED"])
    }
}
