import EscapementModel
import HTTPClient
import JSON
import NIOCore
import Store
import Synchronization
import TestSupport
import Testing
import WireProtocol

@Suite struct ScheduleChangeTests {
    private static let path = "\(Samples.schedules)/nightly"

    /// An API with the schedule `nightly`, a minute old.
    private func api() async throws -> TestAPI { try await TestAPI() }

    private func create(_ api: TestAPI, _ calls: Calls) async throws {
        let reply = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
        #expect(reply.status == 201)
        api.clocks.advance(by: .seconds(60))
    }

    @Test func `PUT creates, replaces, and respects both conditions`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            let none = try await calls.send(
                .put, Self.path, Samples.schedule("nightly"), headers: ["If-Match": "\"1\""])
            #expect(none.status == 412)
            let created = try await calls.send(
                .put, Self.path, Samples.schedule("nightly"), headers: ["If-None-Match": "*"])
            #expect(created.status == 201)
            #expect(created.headers["Location"] == Self.path)
            let taken = try await calls.send(
                .put, Self.path, Samples.schedule("nightly"), headers: ["If-None-Match": "*"])
            #expect(taken.status == 412)
            api.clocks.advance(by: .seconds(1))
            let replaced = try await calls.send(.put, Self.path, Samples.schedule("nightly", cron: "0 3 * * *"))
            #expect(replaced.status == 200)
            #expect(replaced.headers["ETag"] == "\"2\"")
            #expect(replaced.document["uid"] == created.document["uid"])
            let stale = try await calls.send(
                .put, Self.path, Samples.schedule("nightly"), headers: ["If-Match": "\"1\""])
            #expect(stale.status == 412)
            #expect(stale.code == "STALE_ETAG")
            // What was read can be sent back as it is.
            let same = try await calls.send(
                .put, Self.path, try await calls.send(.get, Self.path).document, headers: ["If-Match": "\"2\""])
            #expect(same.status == 200)
            #expect(same.headers["ETag"] == "\"2\"", "nothing changed, so there is no new generation")
            let other = try await calls.send(.put, Self.path, Samples.schedule("another"))
            #expect(other.faults == ["/name CONFLICTING_FIELDS"])
        }
    }

    @Test func `PATCH changes what it names and leaves the rest`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            try await self.create(api, calls)
            let patched = try await calls.send(
                .patch, Self.path, ["when": ["timeZone": "Asia/Tokyo"], "labels": ["tier": "gold"]],
                headers: ["Content-Type": "application/merge-patch+json"])
            #expect(patched.status == 200)
            #expect(patched.document["when"]?.text == "{\"cron\":[\"30 2 * * *\"],\"timeZone\":\"Asia/Tokyo\"}")
            #expect(patched.document["labels"]?.text == "{\"team\":\"billing\",\"tier\":\"gold\"}")
            #expect(patched.document["target"]?["action"]?.stringValue == "/guest/reports/nightly")
            let swapped = try await calls.send(.patch, Self.path, ["when": ["cron": .null, "every": "1h"]])
            #expect(swapped.document["when"]?["every"]?.stringValue == "1h")
            let both = try await calls.send(.patch, Self.path, ["when": ["cron": "* * * * *"]])
            #expect(both.status == 422)
            let dry = try await calls.send(.patch, "\(Self.path)?dryRun=true", ["labels": .null])
            #expect(dry.document["labels"] == nil)
            #expect(try await calls.send(.get, Self.path).headers["ETag"] == "\"3\"")
            // Larger than any generation that can be kept.
            let huge = try await calls.send(
                .patch, Self.path, ["labels": .null], headers: ["If-Match": "\"18446744073709551615\""])
            #expect(huge.status == 412)
            let stale = try await calls.send(.patch, Self.path, ["labels": .null], headers: ["If-Match": "\"1\""])
            #expect(stale.status == 412)
            let missing = try await calls.send(.patch, "\(Samples.schedules)/other", ["labels": .null])
            #expect(missing.status == 404)
        }
    }

    @Test func `pause and resume are versions, with reasons`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            try await self.create(api, calls)
            let paused = try await calls.send(.post, "\(Self.path)/pause", ["reason": "migration, see INC-4121"])
            #expect(paused.status == 200)
            #expect(paused.document["paused"] == .bool(true))
            #expect(paused.document["pause"]?["reason"]?.stringValue == "migration, see INC-4121")
            #expect(paused.document["status"]?["state"]?.stringValue == "paused")
            #expect(paused.document["status"]?["nextFireAt"] == .null)
            api.clocks.advance(by: .seconds(60))
            let resumed = try await calls.send(.post, "\(Self.path)/resume", ["reason": "done", "catchUp": "none"])
            #expect(resumed.document["paused"] == .bool(false))
            #expect(resumed.document["status"]?["nextFireAt"]?.stringValue == "2026-11-24T01:30:00.000Z")
            let refused = try await calls.send(.post, "\(Self.path)/resume", ["catchUp": "all"])
            #expect(refused.faults == ["/catchUp INVALID_VALUE"])
            let timed = try await calls.send(.post, "\(Self.path)/pause", ["until": "2026-11-25T06:00:00Z"])
            #expect(timed.document["status"]?["nextFireAt"]?.stringValue == "2026-11-26T01:30:00.000Z")
            let past = try await calls.send(.post, "\(Self.path)/pause", ["until": "2026-11-01T00:00:00Z"])
            #expect(past.faults == ["/until OUT_OF_RANGE"])
            let list = try await calls.send(.get, "\(Samples.schedules)?state=paused")
            #expect(list.document["items"]?.arrayValue?.count == 1)
            let revisions = try await calls.send(.get, "\(Self.path)/revisions")
            let items = revisions.document["items"]?.arrayValue ?? []
            #expect(items.map { $0["generation"] } == [4, 3, 2, 1])
            #expect(items[1]["reason"]?.stringValue == "done")
            #expect(items[2]["changes"]?[0]?["pointer"]?.stringValue == "/pause")
            let audit = try await calls.send(.get, "/v1/namespaces/guest/audit?object=schedule&name=nightly")
            let actions = (audit.document["items"]?.arrayValue ?? []).map { $0["action"]?.stringValue }
            #expect(actions == ["pause", "resume", "pause", "create"])
        }
    }

    @Test func `a schedule that is made paused waits for its resume`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            guard case .object(let members) = Samples.schedule("nightly") else { return }
            let created = try await calls.send(
                .post, Samples.schedules, .object(members + [JSONMember("paused", true)]))
            #expect(created.document["status"]?["state"]?.stringValue == "paused")
            let resumed = try await calls.send(.patch, Self.path, ["paused": false])
            #expect(resumed.document["status"]?["state"]?.stringValue == "active")
        }
    }

    @Test func `a trigger is a one-shot with the schedule's template, due now`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            try await self.create(api, calls)
            let reply = try await calls.send(
                .post, "\(Self.path)/trigger", ["payload": ["report": "adhoc"], "reason": "customer request"],
                headers: ["Idempotency-Key": "\"k1\""])
            #expect(reply.status == 202)
            let name = try #require(reply.document["timer"]?.stringValue)
            let timer = try #require(try await api.store.timer(namespace: "guest", name: name))
            #expect(timer.due == api.clocks.wallNow())
            let template = try FireTemplate(decoding: ByteBuffer(bytes: timer.template))
            #expect(template.origin == .schedule)
            #expect(template.name == "nightly")
            #expect(String(buffer: template.payload) == "{\"report\":\"adhoc\"}")
            api.clocks.advance(by: .seconds(5))
            let again = try await calls.send(
                .post, "\(Self.path)/trigger", ["payload": ["report": "adhoc"], "reason": "customer request"],
                headers: ["Idempotency-Key": "\"k1\""])
            #expect(again.document == reply.document, "the same request fires once")
            let audit = try await calls.send(.get, "/v1/namespaces/guest/audit?name=nightly")
            #expect(audit.document["items"]?[0]?["reason"]?.stringValue == "customer request")
        }
    }

    @Test func `label selectors find as Kubernetes does`() async throws {
        let api = try await self.api()
        try await api.serve { calls in
            for (name, labels) in [
                ("a", ["team": "billing", "tier": "gold"]), ("b", ["team": "billing"]), ("c", ["team": "ops"]),
            ] as [(String, [String: String])] {
                let members = labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }
                let reply = try await calls.send(
                    .post, Samples.schedules,
                    ["name": .string(name), "labels": .object(members), "when": ["every": "1h"]])
                #expect(reply.status == 201)
            }
            func names(_ selector: String) async throws -> [String] {
                let escaped = selector.replacing(" ", with: "%20").replacing("=", with: "%3D")
                let reply = try await calls.send(.get, "\(Samples.schedules)?labelSelector=\(escaped)")
                return (reply.document["items"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
            }
            #expect(try await names("team=billing") == ["a", "b"])
            #expect(try await names("team=billing,!tier") == ["b"])
            #expect(try await names("team in (ops, sales),team!=billing") == ["c"])
            #expect(try await names("tier") == ["a"])
            #expect(try await names("tier notin (gold)") == ["b", "c"])
            let bad = try await calls.send(.get, "\(Samples.schedules)?labelSelector=%3Dx")
            #expect(bad.faults == ["labelSelector INVALID_VALUE"])
        }
    }
}
