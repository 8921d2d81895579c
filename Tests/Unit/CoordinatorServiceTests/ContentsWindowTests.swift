import CoordinatorService
import EscapementModel
import NIOCore
import Store
import Testing
import TestSupport
import WireProtocol

/// A shard of many megabytes, and tickers that take it slowly or not at all.
@Suite struct ContentsWindowTests {
    /// What may be on its way: the window, and the page that fills it.
    private static let bytesMax = 4 << 20 + 600 << 10
    private static let timerCount = 100
    private static let shard = ShardID(3)

    /// 20 MB of timers in the shard.
    private func fill(_ harness: Harness) async throws {
        var random = SeededRandom(seed: 1)
        let now = harness.clocks.wallNow()
        let template = [UInt8](repeating: 7, count: 200_000)
        let timers = (0..<Self.timerCount).map { number in
            NewTimer(
                uid: ShardPlacement.timerUID(shard: Self.shard, using: &random), namespace: "guest",
                name: "t-\(number)", due: now.advanced(by: .seconds(60)), expireAfterMilliseconds: 0,
                template: template, document: [], contentDigest: [UInt8(number)], createdAt: now, createdBy: "test")
        }
        _ = try await harness.store.createTimers(timers)
    }

    private func request(_ shard: ShardID, _ ticker: FakeMember, _ harness: Harness) throws -> SnapshotRequest {
        SnapshotRequest(
            shard: shard, epoch: try #require(ticker.held[shard.rawValue]), cursor: .start,
            horizon: harness.clocks.wallNow().advanced(by: .seconds(900)), since: .none)
    }

    /// A ticker that owns all shards, one of them large.
    private func owner(
        _ harness: Harness, versions: ProtocolRange = .current, readsMax: Int = 8
    ) async throws -> FakeMember {
        harness.coordinator(1) { $0.readsMax = readsMax }
        let leader = try await harness.leader()
        let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
        try await ticker.connect(to: leader.address) { $0.versions = versions }
        try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
        try await self.fill(harness)
        return ticker
    }

    private func bytes(_ ticker: FakeMember) -> Int {
        ticker.frames.filter { MessageKind(rawValue: $0.kind)?.carriesContents == true }
            .reduce(0) { $0 + $1.payload.readableBytes }
    }

    @Test func `a ticker that does not read is sent a window and no more`() async throws {
        try await Harness.run { harness in
            let ticker = try await self.owner(harness)
            ticker.send(try self.request(Self.shard, ticker, harness))
            try await harness.until("the window is full") { self.bytes(ticker) >= 4 << 20 }
            await harness.pass(.seconds(5))
            #expect(self.bytes(ticker) <= Self.bytesMax)
        }
    }

    @Test func `each acknowledgement lets as much follow, until all is there once`() async throws {
        try await Harness.run { harness in
            let ticker = try await self.owner(harness)
            ticker.send(try self.request(Self.shard, ticker, harness))
            var acknowledged = 0
            while ticker.received(SnapshotPage.self).last?.last != true {
                try await harness.until("more is there") { self.bytes(ticker) > acknowledged }
                #expect(self.bytes(ticker) - acknowledged <= Self.bytesMax)
                acknowledged = self.bytes(ticker)
                ticker.send(ContentsAck(bytes: UInt64(acknowledged)))
            }
            let uids = ticker.received(SnapshotPage.self).flatMap { $0.contents.timers.map(\.uid) }
            #expect(uids.count == Self.timerCount && Set(uids).count == Self.timerCount)
        }
    }

    @Test func `an acknowledgement of what was not sent opens nothing`() async throws {
        try await Harness.run { harness in
            let ticker = try await self.owner(harness)
            ticker.send(try self.request(Self.shard, ticker, harness))
            try await harness.until("the window is full") { self.bytes(ticker) >= 4 << 20 }
            ticker.send(ContentsAck(bytes: 1 << 40))
            await harness.pass(.seconds(2))
            #expect(self.bytes(ticker) <= Self.bytesMax)
        }
    }

    @Test func `others are served while one does not read`() async throws {
        try await Harness.run { harness in
            let stuck = try await self.owner(harness, readsMax: 1)
            stuck.send(try self.request(Self.shard, stuck, harness))
            try await harness.until("the window is full") { self.bytes(stuck) >= 4 << 20 }
            let other = try await harness.join(.ticker, "ticker-2", incarnation: 2, try await harness.leader())
            try await harness.until("the other one has a shard") { !other.held.isEmpty }
            let shard = ShardID(try #require(other.held.keys.min()))
            other.send(try self.request(shard, other, harness))
            try await harness.until("it is loaded") { other.received(SnapshotPage.self).last?.last == true }
            #expect(self.bytes(stuck) <= Self.bytesMax)
        }
    }

    @Test func `a ticker that takes nothing for long has to begin anew`() async throws {
        try await Harness.run { harness in
            let ticker = try await self.owner(harness)
            ticker.send(try self.request(Self.shard, ticker, harness))
            try await harness.until("the window is full") { self.bytes(ticker) >= 4 << 20 }
            await harness.pass(.seconds(15))
            #expect(ticker.isConnected)
            try await harness.until("it is sent away") { !ticker.isConnected }
            #expect(ticker.received(Goodbye.self).first?.detail.contains("acknowledged") == true)
        }
    }

    @Test func `an older ticker, which acknowledges nothing, is sent everything`() async throws {
        try await Harness.run { harness in
            let ticker = try await self.owner(harness, versions: ProtocolRange(lowest: 1, highest: 2))
            ticker.send(try self.request(Self.shard, ticker, harness))
            try await harness.until("all is there") { ticker.received(SnapshotPage.self).last?.last == true }
            #expect(self.bytes(ticker) > Self.timerCount * 200_000)
        }
    }
}
