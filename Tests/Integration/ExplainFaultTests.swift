import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// A run under faults, of which every instant of every schedule can be explained afterwards and is recorded once.
///
/// Short here; `ESCAPEMENT_FAULT_RUN_SECONDS=600` makes it last ten minutes.
@Suite(.serialized) struct ExplainFaultTests {
    private static let schedules = 200
    /// Between two occurrences of a schedule.
    private static let interval = 5
    /// Records deleted by hand.
    private static let deleted = 10
    /// Requests at a time.
    private static let width = 8
    /// For an audit of all records, of which there are as many as the run is long.
    private static var patience: Duration { Stack.patience + .seconds(Self.seconds) }
    private static let seconds = getenv("ESCAPEMENT_FAULT_RUN_SECONDS").flatMap { Int(String(cString: $0)) } ?? 40

    private func make(_ stack: Stack) async throws {
        try await self.each(0..<Self.schedules) { number in
            try await stack.insist(
                .post, "/v1/namespaces/guest/schedules",
                #"{"name":"tick-\#(number)","when":{"every":"\#(Self.interval)s","anchor":"2026-01-01T00:00:00Z"},"#
                    + #""target":{"action":"/guest/a"}}"#)
        }
    }

    /// Runs `body` for all, some side by side.
    private func each<Item: Sendable>(
        _ items: some Sequence<Item>, _ body: @escaping @Sendable (Item) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for item in items {
                if running == Self.width {
                    try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { try await body(item) }
            }
            try await group.waitForAll()
        }
    }

    private func order(_ stack: Stack, _ faults: String) async throws {
        let admin = try #require(try stack.report["elasticsearch"]?["adminUrl"]?.stringValue)
        let answer = try await stack.http.send(
            HTTPRequest(.put, "\(admin)/admin/faults", body: Array(faults.utf8), timeout: .seconds(5)))
        #expect(answer.status == 200, "\(answer.text)")
    }

    /// One fault after another until the time is over, each with explanations asked for in the middle of it.
    private func harm(_ stack: Stack, until end: WallInstant) async throws {
        var round = 0
        while SystemClocks().wallNow() < end {
            switch round % 5 {
            case 0: kill(try #require(try stack.processes(.ticker).first).pid, SIGKILL)
            case 1: try await self.order(stack, #"{"down":true}"#)
            case 2:
                try await self.order(stack, #"{"tooManyPercent":50,"closePercent":10}"#)
                kill(try #require(try stack.processes(.dispatcher).first).pid, SIGKILL)
            case 3:
                let victim = try #require(try stack.processes(.ticker).last)
                kill(victim.pid, SIGSTOP)
                try await Eventually.holds("the others own all shards") {
                    var owned = 0.0
                    for other in try stack.processes(.ticker) where other.pid != victim.pid {
                        owned += try await stack.metric("escapement_shards_owned", of: other) ?? 0
                    }
                    return owned == 16
                }
                kill(victim.pid, SIGCONT)
            default: kill(try await stack.leader().pid, SIGKILL)
            }
            for number in [1, 50, 199] {
                let at = WallInstant(milliseconds: SystemClocks().wallNow().milliseconds / 5000 * 5000 - 5000)
                _ = try? await self.explain(stack, number, at)
            }
            // Lets the fault last for some occurrences; nothing is concluded from it.
            try await Task.sleep(for: .seconds(Self.interval))
            round += 1
        }
        try await self.order(stack, "{}")
    }

    private func explain(_ stack: Stack, _ number: Int, _ at: WallInstant) async throws -> JSONValue {
        let (status, body) = try await stack.call(
            .get, "/v1/namespaces/guest/schedules/tick-\(number)/explain?at=\(at)")
        guard status == 200 else { throw StackError("explain: \(status) \(body.text)") }
        return body
    }

    /// Asks again, as a client would, while what would know is away for a moment.
    private func surelyExplain(_ stack: Stack, _ number: Int, _ at: WallInstant) async throws -> JSONValue {
        var last = ""
        return try await Eventually.value("tick-\(number) at \(at) is explained", seen: { last }) {
            do { return try await self.explain(stack, number, at) } catch let error as StackError {
                last = "\(error)"
                return nil
            }
        }
    }

    private func audit(_ stack: Stack, from: WallInstant, to: WallInstant) async throws -> Command.Result {
        try await Command(
            "escapement",
            ["audit", "-n", "guest", "--from", from.description, "--to", to.description, "--output", "json"],
            environment: try stack.clientEnvironment()
        ).run()
    }

    /// What an audit found, for a failure: only what differs.
    private static func differences(_ result: Command.Result) -> String {
        let items = (try? JSONParser.parse(result.output))?["items"]?.arrayValue ?? []
        let differing = items.filter { $0["differences"] != 0 || $0["pending"] != 0 }
        return "exit \(result.code), \(JSONValue.array(differing).text.prefix(4000)) \(result.errors.suffix(2000))"
    }

    /// Deletes records as nobody should.
    private func deleteRecords(_ stack: Stack, from: WallInstant, to: WallInstant) async throws -> [(
        name: String, at: String
    )] {
        let report = try #require(try stack.report["elasticsearch"])
        let url = try #require(report["url"]?.stringValue)
        let user = try #require(report["username"]?.stringValue)
        let password = try TextFile.read(try #require(report["passwordFile"]?.stringValue)).trimmed
        let (_, page) = try await stack.call(
            .get, "/v1/namespaces/guest/activations?from=\(from)&to=\(to)&outcome=dispatched&pageSize=200")
        var deleted: [(name: String, at: String)] = []
        for record in (page["items"]?.arrayValue ?? []).prefix(200).enumerated() where record.offset % 20 == 0 {
            let at = try #require(record.element["scheduled_at"]?.stringValue)
            let id = try #require(record.element["activation_id"]?.stringValue)
            let index = "\(stack.surroundings.name)-\(at.prefix(10).replacing("-", with: "."))"
            let answer = try await stack.http.send(
                HTTPRequest(
                    .delete, "\(url)/\(index)/_doc/\(id)?refresh=true", timeout: .seconds(10),
                    authorization: .basic(user: user, password: password)))
            #expect(answer.status == 200, "\(answer.text)")
            deleted.append((try #require(record.element["schedule"]?.stringValue), at))
        }
        return deleted
    }

    /// The command line tells the same, and how many records there are.
    private func checkCommands(_ stack: Stack, at: WallInstant) async throws {
        func run(_ arguments: [String]) async throws -> Command.Result {
            let command = Command("escapement", arguments, environment: try stack.clientEnvironment())
            return try await command.run()
        }
        let told = try await run(["schedule", "explain", "tick-1", "-n", "guest", "--at", at.description])
        #expect(told.output.hasPrefix("fired (DISPATCHED): Sent to "), "\(told.output) \(told.errors)")
        #expect(told.output.contains("by the ticker ticker") && told.output.contains("[+] on-time:"), "\(told.output)")
        let list = try await run(["activation", "list", "-n", "guest", "--schedule", "tick-1", "--count"])
        #expect(list.errors.contains(" records"), "\(list.errors)")
    }

    @Test(.enabled(if: !Surroundings.hasRealElasticsearch, "faults are ordered from the stand-in"))
    func `every instant of a run under faults is explained and recorded, and deleted records are found`() async throws {
        try await Stack.with { stack in
            try await self.make(stack)
            let start = SystemClocks().wallNow()
            try await self.harm(stack, until: start.advanced(by: .seconds(Int64(Self.seconds))))
            for number in (Self.schedules - 20)..<Self.schedules {
                let path = "/v1/namespaces/guest/schedules/tick-\(number)"
                if number.isMultiple(of: 2) {
                    try await stack.insist(.post, "\(path)/pause", "{}")
                } else {
                    try await stack.insist(.delete, path)
                }
            }
            let end = SystemClocks().wallNow()
            try await stack.untilReady()
            // What was due by the end is recorded at last.
            var last = ""
            try await Eventually.holds("the audit of the run is clean", patience: Self.patience, seen: { last }) {
                let result = try await self.audit(stack, from: start, to: end)
                last = Self.differences(result)
                guard result.code == 0, let items = try JSONParser.parse(result.output)["items"]?.arrayValue else {
                    return false
                }
                return items.reduce(0) { $0 + ($1["pending"]?.integerValue ?? 0) } == 0
                    && items.reduce(0) { $0 + ($1["expected"]?.integerValue ?? 0) } >= Int64(Self.schedules)
            }
            let step = Int64(Self.interval) * 1000
            let first = (start.milliseconds / step + 1) * step
            let instants = stride(from: first, to: end.milliseconds, by: Int.Stride(step)).map {
                WallInstant(milliseconds: $0)
            }
            #expect(!instants.isEmpty)
            try await self.each(0..<Self.schedules) { number in
                for at in instants {
                    let told = try await self.surelyExplain(stack, number, at)
                    let verdict = told["verdict"]?.stringValue ?? "none"
                    #expect(
                        verdict == "fired" || verdict == "skipped" || told["reason"]?.stringValue == "DELETED",
                        "tick-\(number) at \(at): \(told.text)")
                    if verdict == "fired" {
                        let fire = told["fire"]
                        #expect(
                            fire?["kafka"]?["offset"]?.integerValue != nil && fire?["at"]?.stringValue != nil
                                && fire?["latenessMs"]?.integerValue != nil
                                && fire?["ticker"]?.stringValue?.hasPrefix("ticker") == true
                                && fire?["dispatcher"]?.stringValue?.hasPrefix("dispatcher") == true,
                            "where, when, how late and by whom: \(told.text)")
                    }
                }
            }
            try await self.checkCommands(stack, at: try #require(instants.last))
            let deleted = try await self.deleteRecords(stack, from: start, to: end)
            #expect(deleted.count == Self.deleted)
            try await Eventually.holds("the audit finds what was deleted", patience: Self.patience, seen: { last }) {
                let result = try await self.audit(stack, from: start, to: end)
                last = Self.differences(result)
                guard result.code != 0 else { return false }
                let items = try JSONParser.parse(result.output)["items"]?.arrayValue ?? []
                let found = items.flatMap { item in
                    (item["items"]?.arrayValue ?? []).map {
                        "\(item["schedule"]?.stringValue ?? "") \($0["at"]?.stringValue ?? "") \($0["kind"]?.stringValue ?? "")"
                    }
                }
                return found.sorted() == deleted.map { "\($0.name) \($0.at) missing" }.sorted()
            }
            for record in deleted {
                let number = try #require(Int(record.name.dropFirst(5)))
                let told = try await self.explain(stack, number, try #require(WallInstant(text: record.at)))
                #expect(told["verdict"]?.stringValue == "fired", "the journal still says so: \(told.text)")
            }
        }
    }
}
