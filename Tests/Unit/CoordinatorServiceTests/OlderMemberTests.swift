import EscapementModel
import NIOCore
import Synchronization
import TestSupport
import Testing
import WireProtocol

/// One end of a link, which says what it is told to and keeps what it hears.
private final class FakeReader: Sendable {
    private let link: any MessageLink
    private let frames = Mutex<[Frame]>([])

    init(_ link: any MessageLink) {
        self.link = link
        // Ends with the link.
        Task { for await frame in link.frames { self.frames.withLock { $0.append(frame) } } }
    }

    func send(_ hexadecimal: String) throws { self.link.send(try RecordedFrame.read(hexadecimal)) }
    func close() { self.link.close() }
    /// Sends a frame of a later transcript, for another shard and epoch.
    func send(_ message: some WireMessage) { self.link.send(message) }

    private func all(_ kind: MessageKind) -> [Frame] {
        self.frames.withLock { $0 }.filter { $0.kind == kind.rawValue }
    }

    func count(_ kind: MessageKind) -> Int { self.all(kind).count }
    func payloads(_ kind: MessageKind) -> [[UInt8]] { self.all(kind).map { Array($0.payload.readableBytesView) } }

    func first<Message: WireMessage>(_ type: Message.Type) throws -> Message {
        try #require(self.all(Message.kind).first).decode(type)
    }
}

/// A leader of this build and a ticker of an older protocol version, whose part is replayed byte by byte.
@Suite struct OlderMemberTests {
    private typealias Old = TranscriptOfVersion1.Ticker

    /// Replays one side of a link and keeps what the other says.
    private func link(
        _ harness: Harness, _ address: PeerAddress, as role: Role = .ticker
    ) async throws -> any MessageLink {
        let identity = PeerIdentity(cluster: Harness.cluster, role: role, node: NodeID("old"))
        return try await harness.network.connector(as: identity).connect(to: address, expecting: .coordinator)
    }

    @Test func `a ticker of version 1 is given shards, loads them and keeps them`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let old = FakeReader(try await self.link(harness, leader.address))
            try old.send(Old.hello)
            try await harness.until("it is accepted") { old.count(.helloAck) == 1 }
            #expect(try old.first(HelloAck.self).version == 1)
            try old.send(Old.heartbeat)
            try await harness.until("it is given all shards") { old.count(.shardAssign) >= 8 }
            #expect(old.payloads(.shardAssign).contains([0x08, 1, 0x18, 1]), "shard 0 under epoch 1, by leader 1")
            try old.send(Old.holdings)
            try await harness.until("its heartbeat is answered") { old.count(.heartbeatAck) >= 2 }
            try old.send(Old.snapshotRequest)
            try await harness.until("its shard is loaded") { old.count(.snapshotPage) == 1 }
            #expect(try old.first(SnapshotPage.self).last)
            old.close()
        }
    }

    @Test func `a dispatcher of version 1 is given lanes, in the words that it knows`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            // The role is in the certificate, not in the greeting.
            let old = FakeReader(try await self.link(harness, leader.address, as: .dispatcher))
            try old.send(Old.hello)
            try await harness.until("it is accepted") { old.count(.helloAck) == 1 }
            try old.send(Old.heartbeat)
            try await harness.until("it is given all lanes") { old.count(.laneAssign) >= 2 }
            #expect(
                old.payloads(.laneAssign).contains([0x08, 1, 0x10, 1, 0x18, 1]), "lane 1 under epoch 1, by leader 1")
            old.close()
        }
    }

    @Test func `a shard that moves to a ticker of version 1 is not prepared there`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let new = try await harness.join(.ticker, "ticker-1", incarnation: 3, leader)
            try await harness.until("the new one has all") { new.held.count == Harness.shardCount }
            let old = FakeReader(try await self.link(harness, leader.address))
            try old.send(Old.hello)
            try await harness.until("it is accepted") { old.count(.helloAck) == 1 }
            var beats = 0
            try await harness.until("it is given its half") {
                // It says nothing but that it is alive, as a ticker that is slow to open does.
                if beats % 5 == 0 { try? old.send(Old.heartbeat) }
                beats += 1
                return old.count(.shardAssign) >= 3
            }
            #expect(old.count(.shardPrepare) == 0, "it would not know what that is")
            old.close()
        }
    }

    @Test func `a ticker of version 2 is prepared, and says so as it always did`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let new = try await harness.join(.ticker, "ticker-1", incarnation: 3, leader)
            try await harness.until("the new one has all") { new.held.count == Harness.shardCount }
            let old = FakeReader(try await self.link(harness, leader.address))
            try old.send(TranscriptOfVersion2.Ticker.hello)
            try await harness.until("it is accepted") { old.count(.helloAck) == 1 }
            #expect(try old.first(HelloAck.self).version == 2)
            var beats = 0
            try await harness.until("it is to prepare a shard") {
                if beats % 5 == 0 { try? old.send(Old.heartbeat) }
                beats += 1
                return old.count(.shardPrepare) > 0
            }
            let prepare = try old.first(ShardPrepare.self)
            // The recorded answer is for shard 3; the bytes around it are the same.
            let recorded = try RecordedFrame.read(TranscriptOfVersion2.Ticker.shardPrepared)
            let answer = ShardPrepared(leaderEpoch: Epoch(1), shard: prepare.shard, epoch: prepare.epoch)
            #expect(Frame(answer).kind == recorded.kind)
            #expect(try recorded.decode(ShardPrepared.self).shard == ShardID(3))
            old.send(answer)
            try await harness.until("the shard is its own") { old.count(.shardAssign) > 0 }
            #expect(try old.first(ShardAssign.self).shard == prepare.shard)
            old.close()
        }
    }
}
