import DispatcherDomain
import EscapementModel
import JSON
import NIOCore
import Testing
import WireProtocol

@testable import DispatcherService

@Suite struct PayloadRecordingTests {
    private func settlement(_ recording: PayloadRecording, _ bytes: [UInt8]) -> Settlement {
        var template = Samples.template
        template.payload = ByteBuffer(bytes: bytes)
        var rules = Samples.rules
        rules.payloads = recording
        let plan = RoundPlan(
            Samples.round([Samples.occurrence(template)]), lane: LaneID(13), laneEpoch: Epoch(1), rules: rules,
            now: Samples.due)
        return plan.settlement([.delivered(partition: 0, offset: 1, attempts: 1)], now: Samples.produced)
    }

    private func noted(_ recording: PayloadRecording, _ bytes: [UInt8]) -> OutcomeRecord {
        self.settlement(recording, bytes).outcomes[0]
    }

    @Test(arguments: [(PayloadRecording.none, false, false), (.digest, true, false), (.full, true, true)])
    func `a record keeps of the payload what the operator wants`(
        recording: PayloadRecording, hasDigest: Bool, hasText: Bool
    ) {
        let document = self.noted(recording, Array(#"{"n":1}"#.utf8)).document(cluster: "c", dispatcher: NodeID("d"))
        #expect((document["payload_sha256"] != nil) == hasDigest)
        #expect((document["payload_bytes"] == 7) == hasDigest)
        #expect((document["payload"]?.stringValue == #"{"n":1}"#) == hasText)
    }

    @Test func `what is no text, or too much, is kept as a digest`() {
        #expect(self.noted(.full, [0xff, 0xfe]).payload?.text == nil)
        let large = [UInt8](repeating: 0x61, count: PayloadRecording.bytesMax + 1)
        #expect(self.noted(.full, large).payload?.text == nil)
        #expect(self.noted(.full, large).payload?.byteCount == large.count)
        #expect(self.noted(.full, Array(large.dropLast())).payload?.text != nil)
    }

    @Test func `the text goes through the journal, and memory does not show it`() {
        let settlement = self.settlement(.full, Array("hello".utf8))
        #expect(settlement.outcomes.first?.payload?.text == "hello")
        let recent = RecentOutcomes()
        recent.add(settlement)
        #expect(recent.newestFirst.first?.payload?.text == nil)
        #expect(recent.newestFirst.first?.payload?.byteCount == 5)
    }

    @Test func `memory is bounded by outcomes and by bytes`() {
        let recent = RecentOutcomes()
        for round in 0..<9 as Range<UInt64> {
            recent.add(Samples.settlement((0..<700).map { Samples.outcome(round * 700 + $0) }))
        }
        #expect(recent.newestFirst.map(\.id.uid.low).min() == 4200, "the oldest go once the others are enough")
        #expect(recent.newestFirst.count == 2100)
        let large = (0..<300 as Range<UInt64>).map { number in
            var outcome = Samples.outcome(10_000 + number)
            outcome.payload?.text = String(repeating: "x", count: PayloadRecording.bytesMax)
            return outcome
        }
        recent.add(Samples.settlement(large))
        #expect(recent.newestFirst.count == 300, "all others went for it")
        #expect(recent.newestFirst.allSatisfy { $0.id.uid.low >= 10_000 && $0.payload?.text == nil })
        recent.add(Settlement(settledAt: Samples.due))
        #expect(!recent.newestFirst.isEmpty, "a round without fires changes nothing")
    }
}
