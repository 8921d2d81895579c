package import DispatcherDomain
package import EscapementModel
package import NIOCore
package import WireProtocol

extension LaneMark {
    /// As a leader has kept it. A state that this build cannot read counts as empty: the numbers still tell whether the
    /// journal went back.
    package init(_ checkpoint: LaneAssign.Checkpoint) {
        self.init(laneEpoch: checkpoint.epoch, sequence: checkpoint.sequence)
        do throws(WireError) {
            let record = try JournalCodec.decode(checkpoint.state)
            guard case .entry(let shards, _) = record.body else { return }
            self.shards = shards
            self.deliveries = record.deliveries
            self.waiting = record.waiting
        } catch {}
    }

    /// For a leader to keep: the journal entry without its outcomes, or nothing when that is too large.
    package func encoded(lane: LaneID, dispatcher: NodeID) -> ByteBuffer {
        let bytes = JournalCodec.encode(
            JournalRecord(
                lane: lane, laneEpoch: self.laneEpoch, sequence: self.sequence, dispatcher: dispatcher,
                body: .entry(self.shards, []), deliveries: self.deliveries, waiting: self.waiting))
        return bytes.readableBytes <= WireLimits.laneStateMax ? bytes : ByteBuffer()
    }
}
