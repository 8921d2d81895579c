import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import Testing

@Suite struct OutcomeDocumentTests {
    @Test func `a dispatched fire is exactly the documented document`() throws {
        let document = try ActivationForm.native(indexPrefix: "escapement-activations").document(
            of: Samples.outcome(), cluster: "prod-eu", dispatcher: NodeID("dispatcher-66c-9q"))
        #expect(document.index == "escapement-activations-2026.11.23", "of the nominal date")
        #expect(document.id == "00000000000000000000000000000001")
        let sha = String(repeating: "9f", count: 32)
        #expect(
            String(decoding: document.body, as: UTF8.self)
                == #"{"@timestamp":"2026-11-23T01:30:00.021Z","schema_version":1,"#
                + #""activation_id":"00000000000000000000000000000001","cluster":"prod-eu","namespace":"guest","#
                + #""schedule":"nightly-report","schedule_uid":"01a0f198-8e62-7c33-9a0b-51f2a8c9d001","#
                + #""generation":3,"kind":"cron","action":"/guest/reports/nightly","labels":{"team":"billing"},"#
                + #""scheduled_at":"2026-11-23T01:30:00.000Z","dispatched_at":"2026-11-23T01:30:00.021Z","#
                + #""lateness_ms":21,"outcome":"dispatched","reason":"DISPATCHED","attempts":1,"#
                + #""kafka":{"topic":"escapement.fires","partition":7,"offset":4411223},"shard":173,"epoch":89,"#
                + #""ticker":"ticker-5d8b-a1","dispatcher":"dispatcher-66c-9q","payload_bytes":44,"#
                + #""payload_sha256":"\#(sha)","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#)
    }

    @Test func `a run of skipped ones says how many and up to when`() {
        var outcome = Samples.outcome()
        outcome.outcome = .skipped
        outcome.reason = .catchupWindow
        outcome.count = 60
        outcome.through = WallInstant(milliseconds: Samples.due.milliseconds + 59_000)
        outcome.position = nil
        outcome.attempts = 0
        let document = outcome.document(cluster: "c", dispatcher: NodeID("d"))
        #expect(document["outcome"] == "skipped")
        #expect(document["reason"] == "CATCHUP_WINDOW")
        #expect(document["count"] == 60)
        #expect(document["through_at"] == "2026-11-23T01:30:59.000Z")
        #expect(document["kafka"] == nil)
        #expect(document["dispatched_at"] == nil)
        #expect(document["lateness_ms"] == nil)
    }

    @Test func `a line break in a text does not become another action of a bulk request`() throws {
        var outcome = Samples.outcome()
        outcome.error = "first\nsecond"
        let document = try ActivationForm.native(indexPrefix: "a").document(
            of: outcome, cluster: "c", dispatcher: NodeID("d"))
        #expect(!document.body.contains(UInt8(ascii: "\n")))
    }
}
