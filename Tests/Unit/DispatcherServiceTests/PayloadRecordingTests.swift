import DispatcherDomain
import EscapementModel
import JSON
import NIOCore
import Testing

@testable import DispatcherService

@Suite struct PayloadRecordingTests {
    private func noted(_ recording: PayloadRecording, _ bytes: [UInt8]) -> OutcomeRecord {
        var outcome = Samples.outcome()
        outcome.payload = nil
        recording.note(ByteBuffer(bytes: bytes), in: &outcome, .plain)
        return outcome
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

    @Test func `the text goes through the journal and not into memory`() throws {
        let outcome = self.noted(.full, Array("hello".utf8))
        let records = JournalCodec.encode(
            entry: [], outcomes: [outcome], lane: LaneID(1), laneEpoch: Epoch(1), sequence: 1, dispatcher: NodeID("d"))
        let record = try JournalCodec.decode(records[0])
        guard case .entry(_, let outcomes) = record.body else {
            Issue.record("no entry: \(record)")
            return
        }
        #expect(outcomes == [outcome])
        let recent = RecentOutcomes()
        recent.add([outcome])
        #expect(recent.newestFirst.first?.payload?.text == nil)
        #expect(recent.newestFirst.first?.payload?.byteCount == 5)
    }
}
