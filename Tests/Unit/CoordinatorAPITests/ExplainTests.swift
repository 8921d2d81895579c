import CoordinatorService
import EscapementModel
import HTTPClient
import JSON
import Store
import Synchronization
import TestSupport
import Testing

@Suite struct ExplainTests {
    private static let path = "\(Samples.schedules)/hourly/explain?at="

    /// A schedule at every full hour, made at 09:00; paused from 12:10 to 14:10; with an end.
    private func prepare(_ api: TestAPI, _ calls: Calls) async throws {
        let created = try await calls.send(
            .post, Samples.schedules,
            [
                "name": "hourly",
                "when": [
                    "cron": "0 * * * *", "startAt": "2026-11-23T10:00:00Z", "endAt": "2026-11-25T00:00:00Z",
                    "excludes": [["cron": "0 17 * * *"]],
                ],
            ])
        #expect(created.status == 201)
        api.clocks.advance(by: .seconds(3 * 3600 + 600))
        #expect(try await calls.send(.post, "\(Samples.schedules)/hourly/pause", ["reason": "INC-1"]).status == 200)
        api.clocks.advance(by: .seconds(2 * 3600))
        #expect(try await calls.send(.post, "\(Samples.schedules)/hourly/resume", [:]).status == 200)
        api.clocks.advance(by: .seconds(3600))
    }

    private func record(_ at: String, _ outcome: Outcome, _ reason: Reason, through: String? = nil) -> JSONValue {
        .record([
            "activation_id": .string(String(repeating: "ab", count: 16)), "schedule": "hourly", "kind": "cron",
            "scheduled_at": .string(at), "outcome": .string(outcome.name), "reason": .string(reason.code),
            "lateness_ms": outcome == .dispatched ? 21 : nil, "through_at": through.map { .string($0) },
            "count": through == nil ? nil : 2, "dispatcher": "dispatcher-1",
        ])
    }

    @Test func `what the rules decide is derived, without any record`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            for (at, verdict, reason) in [
                ("2026-11-23T08:00:00Z", "not-due", "NOT_YET_CREATED"),
                ("2026-11-23T11:30:00Z", "not-due", "NOT_DUE"),
                ("2026-11-23T13:00:00Z", "skipped", "PAUSED"),
                ("2026-11-23T14:00:00Z", "skipped", "PAUSED"),
                ("2026-11-24T17:00:00Z", "skipped", "EXCLUDED"),
                ("2026-11-25T03:00:00Z", "skipped", "AFTER_END"),
            ] {
                let reply = try await calls.send(.get, Self.path + at)
                #expect(reply.status == 200)
                #expect(reply.document["verdict"]?.stringValue == verdict, "\(at): \(reply.document.text)")
                #expect(reply.document["reason"]?.stringValue == reason, "\(at): \(reply.document.text)")
            }
            let ahead = try await calls.send(.get, Self.path + "2026-11-24T09:00:00Z")
            #expect(ahead.document["verdict"]?.stringValue == "will-fire")
            #expect(ahead.document["reason"] == nil)
            #expect(api.gateway.state.withLock { $0.questions }.isEmpty, "nobody had to be asked")
        }
    }

    @Test func `what happened is told from its record`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            api.gateway.state.withLock {
                $0.activations = .success(["items": [self.record("2026-11-23T11:00:00.000Z", .dispatched, .dispatched)]]
                )
            }
            let fired = try await calls.send(.get, Self.path + "2026-11-23T11:00:00Z")
            #expect(fired.document["verdict"]?.stringValue == "fired")
            #expect(fired.document["reason"]?.stringValue == "DISPATCHED")
            #expect(fired.document["summary"]?.stringValue?.contains("21 ms late") == true)
            let checks = (fired.document["checks"]?.arrayValue ?? []).map { $0["check"]?.stringValue }
            #expect(checks == ["existed", "matches", "not-paused", "recorded", "on-time"])
            api.gateway.state.withLock {
                $0.activations = .success([
                    "items": [
                        self.record(
                            "2026-11-23T10:00:00.000Z", .skipped, .catchupWindow, through: "2026-11-23T11:00:00.000Z")
                    ]
                ])
            }
            let skipped = try await calls.send(.get, Self.path + "2026-11-23T11:00:00Z")
            #expect(skipped.document["verdict"]?.stringValue == "skipped")
            #expect(skipped.document["reason"]?.stringValue == "CATCHUP_WINDOW", "the run of skipped ones covers it")
        }
    }

    @Test func `what has no record yet waits for an owner, for Kafka, or for its record`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            let unowned = try await calls.send(.get, Self.path + "2026-11-23T15:00:00Z")
            #expect(unowned.document["verdict"]?.stringValue == "pending")
            #expect(unowned.document["reason"]?.stringValue == "SHARD_UNOWNED")
            let shard = ShardPlacement.shard(namespace: "guest", name: "hourly", shardCount: TestAPI.shardCount)
            let leader = try await api.store.observeLeader()
            var generator = SeededRandom(seed: 1)
            let holder = Incarnation(UID.random(using: &generator))
            let epoch = try #require(
                try await api.store.takeLeadership(from: leader, holder: holder, node: NodeID("c"), address: "c:1"))
            _ = try await api.store.claim(
                .shard,
                [
                    OwnershipClaim(
                        number: shard.rawValue, expected: .none, owner: NodeID("t1"), incarnation: holder,
                        reason: "join")
                ], leaderEpoch: epoch)
            let inFlight = try await calls.send(.get, Self.path + "2026-11-23T15:00:00Z")
            #expect(inFlight.document["reason"]?.stringValue == "IN_FLIGHT", "\(inFlight.document.text)")
            api.gateway.state.withLock { $0.status = .success(["warnings": ["dispatcher-1: Kafka is down"]]) }
            let waiting = try await calls.send(.get, Self.path + "2026-11-23T15:00:00Z")
            #expect(waiting.document["reason"]?.stringValue == "KAFKA_UNAVAILABLE")
        }
    }

    @Test func `what the store does not have is told from the journal, also while the store is away`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            let path = Self.path + "2026-11-23T11:00:00Z"
            func answer(_ journal: JSONValue) {
                api.gateway.state.withLock { $0.journal = .success(journal) }
            }
            let record = self.record("2026-11-23T11:00:00.000Z", .dispatched, .dispatched)
            answer(["items": [record], "journal": ["settled": true, "complete": true]])
            let fired = try await calls.send(.get, path)
            #expect(fired.document["verdict"]?.stringValue == "fired", "\(fired.document.text)")
            let stored = fired.document["checks"]?.arrayValue?.first { $0["check"]?.stringValue == "stored" }
            #expect(stored?["ok"] == false)
            api.gateway.state.withLock {
                $0.activations = .failure(ClusterError(ClusterError.activationStoreUnavailable, "HTTP 503"))
            }
            let away = try await calls.send(.get, path)
            #expect(away.document["verdict"]?.stringValue == "fired", "\(away.document.text)")
            #expect(away.document["checks"]?.text.contains("HTTP 503") == true)
            answer(["items": [], "journal": ["settled": true, "complete": true]])
            let lost = try await calls.send(.get, path)
            #expect(lost.document["verdict"]?.stringValue == "record-lost", "\(lost.document.text)")
            #expect(lost.document["reason"]?.stringValue == "RECORD_LOST")
            answer(["items": [], "journal": ["settled": false, "complete": true]])
            let unsettled = try await calls.send(.get, path)
            #expect(unsettled.document["reason"]?.stringValue == "SHARD_UNOWNED", "\(unsettled.document.text)")
            answer(["items": [], "journal": ["settled": true, "complete": false]])
            try await self.refuses(calls, path, "HTTP 503", "does not reach back")
            let unreadable = ClusterError(ClusterError.journalUnavailable, "Kafka: timed out")
            api.gateway.state.withLock { $0.journal = .failure(unreadable) }
            try await self.refuses(calls, path, "HTTP 503", "timed out")
            let question = api.gateway.state.withLock { $0.questions.last?["journal"] }
            #expect(question?["scheduledAt"]?.stringValue == "2026-11-23T11:00:00.000Z")
        }
    }

    /// Neither fired nor pending is claimed while what would know cannot be asked.
    private func refuses(_ calls: Calls, _ path: String, _ why: String...) async throws {
        let answer = try await calls.send(.get, path)
        #expect(answer.status == 503)
        #expect(answer.code == "ACTIVATION_STORE_UNAVAILABLE", "\(answer.document.text)")
        for part in why { #expect(answer.document["detail"]?.stringValue?.contains(part) == true) }
    }

    @Test func `an instant that no dispatcher can be asked about is not called pending`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            let silent = ClusterError(ClusterError.activationStoreUnavailable, "no dispatcher answered in time")
            api.gateway.state.withLock { $0.journal = .failure(silent) }
            try await self.refuses(calls, Self.path + "2026-11-23T11:00:00Z", "no dispatcher answered in time")
        }
    }

    @Test func `a name given again keeps its past`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            #expect(try await calls.send(.delete, "\(Samples.schedules)/hourly").status == 200)
            api.clocks.advance(by: .seconds(7200))
            let again = try await calls.send(
                .post, Samples.schedules, ["name": "hourly", "when": ["cron": "30 * * * *"]])
            #expect(again.status == 201)
            api.clocks.advance(by: .seconds(3600))
            for (at, reason) in [
                ("2026-11-23T13:00:00Z", "PAUSED"), ("2026-11-23T16:00:00Z", "DELETED"),
                ("2026-11-23T18:00:00Z", "NOT_DUE"), ("2026-11-23T08:00:00Z", "NOT_YET_CREATED"),
            ] {
                let reply = try await calls.send(.get, Self.path + at)
                #expect(reply.document["reason"]?.stringValue == reason, "\(at): \(reply.document.text)")
            }
            let path = "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z&to=2026-11-24T00:00:00Z"
            let both = try await calls.send(.get, path)
            // 10, 11, 12 and 15 o'clock of the first, 17:30 of the second.
            #expect(both.document["items"]?[0]?["expected"] == 5, "\(both.document.text)")
        }
    }

    @Test func `reconciliation covers timers and refuses to judge from memory`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for name in ["kept", "lost", "twice", "cancelled"] {
                let body: JSONValue = ["id": .string(name), "delay": "60s", "target": ["action": "/guest/a"]]
                #expect(try await calls.send(.post, "/v1/namespaces/guest/timers", body).status == 201)
            }
            #expect(try await calls.send(.delete, "/v1/namespaces/guest/timers/cancelled").status == 200)
            api.clocks.advance(by: .seconds(600))
            var records: [JSONValue] = []
            for name in ["kept", "twice", "twice"] {
                let timer = try #require(try await api.store.timer(namespace: "guest", name: name))
                records.append([
                    "kind": "delay", "schedule": .string(name), "schedule_uid": .string(timer.uid.uuid),
                    "scheduled_at": .string(timer.due.description),
                ])
            }
            let items = JSONValue.array(records)
            api.gateway.state.withLock { $0.activations = .success(["items": items]) }
            let path = "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z&to=2026-11-24T00:00:00Z"
            let first = try await calls.send(.get, path)
            let token = try #require(first.document["nextPageToken"]?.stringValue, "timers come after schedules")
            let timers = try await calls.send(.get, "\(path)&pageToken=\(token)")
            let item = timers.document["items"]?[0]
            #expect(item?["timers"] == 3 && item?["expected"] == 3, "\(timers.document.text)")
            let found = (item?["items"]?.arrayValue ?? []).map {
                "\($0["kind"]?.stringValue ?? "") \($0["timer"]?.stringValue ?? "")"
            }
            #expect(found.sorted() == ["doubled twice", "missing lost"])
            api.gateway.state.withLock { $0.activations = .success(["items": [], "storeAvailable": false]) }
            let away = try await calls.send(.get, "\(path)&pageToken=\(token)")
            #expect(away.status == 503, "\(away.document.text)")
        }
    }

    @Test func `a deleted schedule can still be asked about`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            #expect(try await calls.send(.delete, "\(Samples.schedules)/hourly").status == 200)
            let later = try await calls.send(.get, Self.path + "2026-11-24T09:00:00Z")
            #expect(later.document["reason"]?.stringValue == "DELETED")
            let before = try await calls.send(.get, Self.path + "2026-11-23T13:00:00Z")
            #expect(before.document["reason"]?.stringValue == "PAUSED")
            #expect(
                try await calls.send(.get, "\(Samples.schedules)/never/explain?at=2026-11-24T09:00:00Z").status == 404)
            #expect(try await calls.send(.get, "\(Samples.schedules)/hourly/explain").faults == ["at MISSING_FIELD"])
        }
    }

    @Test func `a fire of a ticker that had not heard of a change yet is told as it was, and is no difference`()
        async throws
    {
        let api = try await TestAPI()
        try await api.serve { calls in
            let document: JSONValue = ["name": "hourly", "when": ["cron": "0 * * * *"]]
            #expect(try await calls.send(.post, Samples.schedules, document).status == 201)
            api.clocks.advance(by: .seconds(2 * 3600 - 5))
            #expect(try await calls.send(.post, "\(Samples.schedules)/hourly/pause", ["reason": "x"]).status == 200)
            api.clocks.advance(by: .seconds(3 * 3600))
            func ask(
                _ times: [String]
            ) async throws -> (differences: JSONValue?, belated: JSONValue?, verdict: String?) {
                api.gateway.state.withLock {
                    $0.activations = .success([
                        "items": .array(times.map { self.record("2026-11-23T\($0):00.000Z", .dispatched, .dispatched) })
                    ])
                }
                let path = "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z&to=2026-11-24T00:00:00Z"
                let audit = try await calls.send(.get, path)
                let told = try await calls.send(.get, Self.path + "2026-11-23T11:00:00Z")
                let item = audit.document["items"]?[0]
                return (item?["differences"], item?["belated"], told.document["verdict"]?.stringValue)
            }
            // Paused five seconds before 11 o'clock.
            let fired = try await ask(["11:00", "10:00"])
            #expect(fired.differences == 0 && fired.belated == 1 && fired.verdict == "fired")
            let doubled = try await ask(["11:00", "11:00", "10:00"])
            #expect(doubled.differences == 1)
            let later = try await ask(["12:00", "10:00"])
            #expect(later.differences == 1 && later.belated == 0, "by noon everyone had heard")
            api.gateway.state.withLock { $0.activations = .success(["items": []]) }
            let told = try await calls.send(.get, Self.path + "2026-11-23T11:00:00Z")
            #expect(told.document["reason"] == "PAUSED", "\(told.document.text)")
        }
    }

    @Test func `a schedule with more occurrences than an answer takes is compared in parts`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for (name, every) in [("busy", "1s"), ("calm", "1h")] {
                let document: JSONValue = [
                    "name": .string(name), "when": ["every": .string(every), "anchor": "2026-01-01T00:00:00Z"],
                ]
                #expect(try await calls.send(.post, Samples.schedules, document).status == 201)
            }
            api.clocks.advance(by: .seconds(6 * 3600))
            let path = "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z&to=2026-11-23T15:00:00Z"
            for filter in ["", "&schedule=busy"] {
                var expected: [String: Int64] = [:]
                var missing: Int64 = 0
                var answers = 0
                var token: String?
                repeat {
                    let page = try await calls.send(.get, path + filter + (token.map { "&pageToken=\($0)" } ?? ""))
                    #expect(page.status == 200, "\(page.document.text)")
                    for item in page.document["items"]?.arrayValue ?? [] {
                        guard let name = item["schedule"]?.stringValue else { continue }
                        expected[name, default: 0] += item["expected"]?.integerValue ?? 0
                        missing += item["differences"]?.integerValue ?? 0
                    }
                    token = page.document["nextPageToken"]?.stringValue
                    answers += 1
                } while token != nil && answers < 10
                // The first second and the end of the stretch are not in it; what is younger than 30 seconds may come yet.
                let all: [String: Int64] = filter.isEmpty ? ["busy": 21_599, "calm": 5] : ["busy": 21_599]
                #expect(expected == all)
                #expect(missing == (filter.isEmpty ? 21_599 + 5 - 30 : 21_599 - 30))
                #expect(answers == (filter.isEmpty ? 3 : 2))
            }
            #expect(try await calls.send(.get, path + "&pageToken=70").code == "BAD_PAGE_TOKEN")
        }
    }

    @Test func `reconciliation lists exactly what is missing, doubled or unexpected`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.prepare(api, calls)
            let path = "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z&to=2026-11-24T00:00:00Z"
            // Made at 09:00 and paused from 12:10 to 14:10, asked at 15:10: 10, 11, 12 and 15 o'clock.
            func answer(_ times: [String]) {
                api.gateway.state.withLock {
                    $0.activations = .success([
                        "items": .array(times.map { self.record("2026-11-23T\($0):00.000Z", .dispatched, .dispatched) })
                    ])
                }
            }
            answer(["10:00", "11:00", "12:00", "15:00"])
            let clean = try await calls.send(.get, path)
            #expect(clean.document["items"]?[0]?["expected"] == 4, "\(clean.document.text)")
            #expect(clean.document["items"]?[0]?["differences"] == 0)
            answer(["10:00", "12:00", "12:00", "13:30"])
            let faulty = try await calls.send(.get, path)
            let differences = faulty.document["items"]?[0]?["items"]?.arrayValue ?? []
            let found = differences.map {
                "\($0["kind"]?.stringValue ?? "") \($0["at"]?.stringValue?.dropFirst(11).prefix(5) ?? "")"
            }
            #expect(found == ["missing 11:00", "doubled 12:00", "missing 15:00", "unexpected 13:30"])
            #expect(
                try await calls.send(.get, "/v1/namespaces/guest/reconciliation?from=2026-11-23T09:00:00Z").faults == [
                    "to MISSING_FIELD"
                ])
        }
    }
}
