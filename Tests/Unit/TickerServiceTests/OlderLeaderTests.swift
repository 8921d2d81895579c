import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

/// A ticker of this build and a leader of an older protocol version, whose part is replayed byte by byte.
@Suite struct OlderLeaderTests {
    private typealias Old = TranscriptOfVersion1.Leader

    @Test func `a ticker works for a leader of version 1`() async throws {
        try await Stage.run { stage in
            stage.leader.greet(with: try RecordedFrame.read(Old.helloAck))
            stage.leader.serve(false)
            try await stage.until("the ticker greets the leader") { stage.leader.isConnected }
            stage.leader.send(stage.dispatcher.view(version: 1))
            stage.leader.send(raw: try RecordedFrame.read(Old.shardAssign))
            try await stage.until("it asks for the contents") {
                !stage.leader.received(SnapshotRequest.self).isEmpty
            }
            stage.leader.send(raw: try RecordedFrame.read(Old.snapshotPage))
            try await stage.until("the timer fires") { stage.dispatcher.fired == [UID(high: 9, low: 1)] }
            #expect(stage.dispatcher.occurrences.first?.template.getString(at: 0, length: 8) == "one shot")
            stage.leader.send(raw: try RecordedFrame.read(Old.shardRevoke))
            try await stage.until("it gives the shard back") {
                stage.leader.received(ShardReleased.self).contains { $0.shard == ShardID(3) && $0.epoch == Epoch(1) }
            }
            #expect(stage.leader.received(ShardPrepared.self).isEmpty, "nobody asked")
        }
    }

    @Test func `a ticker prepares for a leader of version 2, byte by byte as it always did`() async throws {
        try await Stage.run { stage in
            stage.leader.greet(with: try RecordedFrame.read(TranscriptOfVersion2.Leader.helloAck))
            stage.leader.hold(ShardContents(timers: [stage.timer(1, dueIn: 5000)]), revision: 1)
            try await stage.until("the ticker greets the leader") { stage.leader.isConnected }
            stage.leader.send(stage.dispatcher.view(version: 1))
            stage.leader.send(raw: try RecordedFrame.read(TranscriptOfVersion2.Leader.shardPrepare))
            try await stage.until("it is loaded") { !stage.leader.received(ShardPrepared.self).isEmpty }
            let recorded = try RecordedFrame.read(TranscriptOfVersion2.Ticker.shardPrepared)
            #expect(stage.leader.frames(of: .shardPrepared).first?.payload == recorded.payload)
            stage.dispatcher.fallSilent()
            try await stage.until("the lanes are lost") { stage.metric("escapement_lanes_unreachable") == 2 }
            #expect(stage.leader.received(LanesUnreachable.self).isEmpty, "it would not know what that is")
        }
    }

    @Test func `a shard is loaded before it is given, and then opened at once`() async throws {
        try await Stage.run { stage in
            stage.leader.hold(
                ShardContents(timers: [stage.timer(1, dueIn: 500), stage.timer(2, dueIn: 3000)]), revision: 1)
            try await stage.until("the ticker greets the leader") { stage.leader.isConnected }
            stage.leader.send(stage.dispatcher.view(version: 1))
            stage.leader.send(ShardPrepare(leaderEpoch: Epoch(1), shard: Stage.shard, epoch: Epoch(6)))
            try await stage.until("it is loaded") { !stage.leader.received(ShardPrepared.self).isEmpty }
            #expect(stage.leader.received(ShardPrepared.self).first?.epoch == Epoch(6))
            try await stage.until("the first timer is due and not ours") {
                stage.now >= WallInstant(milliseconds: 1_800_000_001_000)
            }
            #expect(stage.dispatcher.fired.isEmpty)
            stage.dispatcher.set(
                cursor: Cursor(
                    cron: Watermark(through: stage.now), delay: Watermark(through: stage.now), revision: Revision(1)))
            stage.leader.send(ShardAssign(leaderEpoch: Epoch(1), shard: Stage.shard, epoch: Epoch(7)))
            try await stage.until("the second one fires") { stage.dispatcher.fired == [UID(high: 9, low: 2)] }
            #expect(
                stage.leader.received(SnapshotRequest.self).map(\.since) == [.none, Revision(1)],
                "only what has changed is asked for")
        }
    }
}
