import CoordinatorService
import EscapementModel
import HTTPClient
import JSON
import Store
import Synchronization
import TestSupport
import Testing

/// What `explain` tells from a record: where, when, how late and by whom it fired, or why it was too late.
@Suite struct ExplainRecordTests {
    private static let path = "\(Samples.schedules)/hourly/explain?at=2026-11-23T11:00:00Z"
    private static let shard = ShardPlacement.shard(
        namespace: "guest", name: "hourly", shardCount: TestAPI.shardCount)

    private func make(_ calls: Calls, target: JSONValue = [:], policy: JSONValue = [:]) async throws {
        let document: JSONValue = [
            "name": "hourly", "when": ["cron": "0 * * * *"], "target": target, "policy": policy,
        ]
        let made = try await calls.send(.post, Samples.schedules, document)
        #expect(made.status == 201, "\(made.document.text)")
    }

    private func answer(_ api: TestAPI, _ members: [JSONMember]) {
        let record = JSONValue.object([
            JSONMember("activation_id", .string(String(repeating: "ab", count: 16))), JSONMember("schedule", "hourly"),
            JSONMember("kind", "cron"), JSONMember("scheduled_at", "2026-11-23T11:00:00.000Z"),
            JSONMember("shard", .integer(Self.shard.rawValue)), JSONMember("ticker", "t2"),
            JSONMember("dispatcher", "d1"),
        ])
        let items = JSONValue.array([.object((record.objectValue ?? []) + members)])
        api.gateway.state.withLock { $0.activations = .success(["items": items]) }
    }

    private func fired(_ more: [JSONMember], lateness: Int64 = 21, epoch: Int64 = 1) -> [JSONMember] {
        [
            JSONMember("outcome", "dispatched"), JSONMember("reason", "DISPATCHED"),
            JSONMember("@timestamp", "2026-11-23T11:00:00.021Z"),
            JSONMember("dispatched_at", "2026-11-23T11:00:00.021Z"), JSONMember("lateness_ms", .integer(lateness)),
            JSONMember("attempts", 1), JSONMember("epoch", .integer(epoch)),
        ] + more
    }

    private func skipped(_ reason: String, at: String, epoch: Int64, count: Int64 = 1) -> [JSONMember] {
        var members = [
            JSONMember("outcome", "skipped"), JSONMember("reason", .string(reason)),
            JSONMember("@timestamp", .string(at)), JSONMember("epoch", .integer(epoch)),
        ]
        if count > 1 {
            members += [JSONMember("count", .integer(count)), JSONMember("through_at", "2026-11-23T12:00:00.000Z")]
        }
        return members
    }

    /// Gives the shard to `owner`, or to nobody, at the clock's time.
    private func give(_ api: TestAPI, to owner: String?, expected: UInt64, reason: String) async throws {
        let leader = try await api.store.observeLeader()
        var generator = SeededRandom(seed: expected)
        let holder = Incarnation(UID.random(using: &generator))
        let epoch = try #require(
            try await api.store.takeLeadership(from: leader, holder: holder, node: NodeID("c"), address: "c:1"))
        let claim = OwnershipClaim(
            number: Self.shard.rawValue, expected: Epoch(expected), owner: owner.map { NodeID($0) },
            incarnation: owner == nil ? nil : holder, reason: reason)
        #expect(try await api.store.claim(.shard, [claim], leaderEpoch: epoch) != .deposed)
    }

    private func checks(_ document: JSONValue) -> [String: (isOK: Bool, detail: String)] {
        Dictionary(
            (document["checks"]?.arrayValue ?? []).map {
                (
                    $0["check"]?.stringValue ?? "",
                    (isOK: $0["ok"]?.boolValue == true, detail: $0["detail"]?.stringValue ?? "")
                )
            }
        ) { first, _ in first }
    }

    private func names(_ document: JSONValue) -> [String?] {
        (document["checks"]?.arrayValue ?? []).map { $0["check"]?.stringValue }
    }

    @Test func `a fire into Kafka is told with place, time, lateness, ticker and dispatcher`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls)
            api.clocks.advance(by: .seconds(3 * 3600))
            self.answer(
                api, self.fired([JSONMember("kafka", ["topic": "fires", "partition": 7, "offset": 4_411_223])]))
            let told = try await calls.send(.get, Self.path).document
            #expect(
                told["summary"]
                    == "Sent to fires/7@4411223 at 2026-11-23T11:00:00.021Z, 21 ms late, by the ticker t2 and the dispatcher d1."
            )
            let fire = told["fire"]
            #expect(fire?["destination"] == "fires/7@4411223" && fire?["kafka"]?["offset"] == 4_411_223)
            #expect(fire?["at"] == "2026-11-23T11:00:00.021Z" && fire?["latenessMs"] == 21)
            #expect(fire?["ticker"] == "t2" && fire?["dispatcher"] == "d1")
            #expect(self.checks(told)["on-time"]?.isOK == true)
            #expect(self.checks(told)["shard-owned"] == nil, "nobody asks who owned it while it was on time")
        }
    }

    @Test(arguments: [
        (
            #"{"http":{"url":"https://hooks.example.com/in?token=s3cret"}}"#, "HTTP 202",
            "https://hooks.example.com/in (HTTP 202)"
        ),
        (#"{"openwhisk":{"trigger":"/guest/t"}}"#, "HTTP 202", "OpenWhisk's trigger /guest/t (HTTP 202)"),
    ])
    func `a fire by HTTP is told with its target and the answer`(
        target: String, answer: String, destination: String
    ) async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls, target: try JSONParser.parse(Array(target.utf8)))
            api.clocks.advance(by: .seconds(3 * 3600))
            self.answer(api, self.fired([JSONMember("error", .string(answer))]))
            let told = try await calls.send(.get, Self.path).document
            #expect(told["fire"]?["destination"]?.stringValue == destination)
            #expect(
                told["summary"]?.stringValue?.hasPrefix("Sent to \(destination) at 2026-11-23T11:00:00.021Z") == true)
            #expect(!told.text.contains("s3cret"))
        }
    }

    @Test func `what was skipped for its age is told with the shard's gap, the lateness and the window`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls)
            try await self.give(api, to: "t1", expected: 0, reason: "join")
            api.clocks.advance(by: .seconds(2 * 3600 - 19))
            try await self.give(api, to: nil, expected: 1, reason: "left")
            api.clocks.advance(by: .seconds(5529))
            try await self.give(api, to: "t2", expected: 2, reason: "join")
            self.answer(api, self.skipped("CATCHUP_WINDOW", at: "2026-11-23T12:32:10.400Z", epoch: 3, count: 2))
            let told = try await calls.send(.get, Self.path).document
            #expect(told["verdict"] == "skipped" && told["reason"] == "CATCHUP_WINDOW")
            #expect(
                self.names(told)
                    == ["existed", "matches", "not-paused", "recorded", "shard-owned", "within-catchup-window"])
            let checks = self.checks(told)
            let owned = try #require(checks["shard-owned"])
            #expect(!owned.isOK)
            #expect(
                owned.detail
                    == "nobody owned shard \(Self.shard) from 2026-11-23T10:59:41.000Z to 2026-11-23T12:31:50.000Z: 1h32m9s (epoch 2 to 3)"
            )
            let window = try #require(checks["within-catchup-window"])
            #expect(!window.isOK && window.detail.hasPrefix("1h32m10s late, window 1h; one of 2"), "\(window.detail)")
            let summary = told["summary"]?.stringValue ?? ""
            #expect(summary.contains("Due 2026-11-23T11:00:00.000Z."), "\(summary)")
            #expect(summary.contains("had no owner from 2026-11-23T10:59:41.000Z to 2026-11-23T12:31:50.000Z"))
            #expect(told["evidence"]?.text.contains("/v1/cluster/shards/\(Self.shard)/history") == true)
            #expect(
                told["suggest"]?[0]
                    == "escapement schedule backfill hourly --from 2026-11-23T11:00:00.000Z --to 2026-11-23T11:00:01.000Z"
            )
        }
    }

    @Test func `an owner that died is told with its successor, and one that was there as owner`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls)
            try await self.give(api, to: "t1", expected: 0, reason: "join")
            api.clocks.advance(by: .seconds(2 * 3600 + 90))
            try await self.give(api, to: "t2", expected: 1, reason: "dead")
            api.clocks.advance(by: .seconds(3600))
            self.answer(api, self.skipped("COALESCED", at: "2026-11-23T11:01:31.000Z", epoch: 2, count: 3))
            let died = try await calls.send(.get, Self.path).document
            let checks = self.checks(died)
            #expect(
                checks["shard-owned"]?.detail
                    == "t1 owned shard \(Self.shard) when it was due and did not settle it; t2 took it at "
                    + "2026-11-23T11:01:30.000Z, 1m30s later (dead, epoch 1 to 2)")
            #expect(checks["within-catchup-window"]?.isOK == true && checks["newest-missed"]?.isOK == false)
            self.answer(api, self.skipped("COALESCED", at: "2026-11-23T11:01:31.000Z", epoch: 1, count: 3))
            let there = self.checks(try await calls.send(.get, Self.path).document)
            #expect(there["shard-owned"]?.isOK == true)
            #expect(there["shard-owned"]?.detail.hasPrefix("t1 owned shard \(Self.shard) since ") == true)
        }
    }

    @Test func `under the policy skip the tolerance decides, for a fire that came late it is told`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls, policy: ["misfire": "skip", "tolerance": "30s"])
            try await self.give(api, to: "t1", expected: 0, reason: "join")
            api.clocks.advance(by: .seconds(4 * 3600))
            self.answer(api, self.skipped("CATCHUP_WINDOW", at: "2026-11-23T11:05:00.000Z", epoch: 1))
            let told = self.checks(try await calls.send(.get, Self.path).document)
            #expect(told["within-catchup-window"]?.isOK == true)
            #expect(told["within-tolerance"]?.detail.hasPrefix("5m late, tolerance 30s, policy 'skip'") == true)
            self.answer(api, self.fired([], lateness: 45_000))
            let late = self.checks(try await calls.send(.get, Self.path).document)
            #expect(late["on-time"]?.isOK == false && late["shard-owned"]?.isOK == true)
            #expect(late["on-time"]?.detail == "45s late, more than the tolerance of 30s")
        }
    }

    @Test func `what expired is told with its lateness and the bound`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            try await self.make(calls, policy: ["expireAfter": "2m"])
            try await self.give(api, to: "t1", expected: 0, reason: "join")
            api.clocks.advance(by: .seconds(4 * 3600))
            self.answer(api, self.skipped("EXPIRED", at: "2026-11-23T11:03:00.000Z", epoch: 1))
            let told = self.checks(try await calls.send(.get, Self.path).document)
            #expect(told["within-expire-after"]?.detail.hasPrefix("3m late, expireAfter 2m") == true, "\(told)")
        }
    }
}
