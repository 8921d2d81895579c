import CoordinatorService
import EscapementModel
import Store
import Testing
import TestSupport
import WireProtocol

@Suite struct ScheduleFeedsTests {
    private let shard = ShardID(3)

    private func timer(_ number: Int, due: Int64 = 60_000, _ harness: Harness) -> NewTimer {
        var random = SeededRandom(seed: UInt64(number))
        let now = harness.clocks.wallNow()
        return NewTimer(
            uid: ShardPlacement.timerUID(shard: self.shard, using: &random), namespace: "guest", name: "t-\(number)",
            due: now.advanced(by: .milliseconds(due)), expireAfterMilliseconds: 0, template: [1, 2, 3], document: [],
            contentDigest: [UInt8(truncatingIfNeeded: number)], createdAt: now, createdBy: "test")
    }

    /// A ticker that owns every shard.
    private func owner(_ harness: Harness) async throws -> (Harness.Running, FakeMember) {
        harness.coordinator(1)
        let leader = try await harness.leader()
        let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
        try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
        return (leader, ticker)
    }

    private func request(_ harness: Harness, epoch: UInt64 = 1, since: Revision = .none) -> SnapshotRequest {
        SnapshotRequest(
            shard: self.shard, epoch: Epoch(epoch), cursor: .start,
            horizon: harness.clocks.wallNow().advanced(by: .seconds(900)), since: since)
    }

    private func names(_ ticker: FakeMember) -> [UID] {
        ticker.received(SnapshotPage.self).flatMap { $0.contents.timers.map(\.uid) }
            + ticker.received(Delta.self).flatMap { $0.contents.timers.map(\.uid) }
    }

    @Test func `a snapshot, then every change in order, each once`() async throws {
        try await Harness.run { harness in
            let (leader, ticker) = try await self.owner(harness)
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            ticker.send(self.request(harness))
            try await harness.until("the snapshot is there") { ticker.received(SnapshotPage.self).last?.last == true }
            #expect(ticker.received(SnapshotPage.self).map(\.revision) == [Revision(1)])
            for number in 2...5 {
                _ = try await harness.store.createTimers([self.timer(number, harness)])
                leader.coordinator.changed(self.shard)
                try await harness.until("the change is there") {
                    ticker.received(Delta.self).last?.through == Revision(UInt64(number))
                }
            }
            let deltas = ticker.received(Delta.self)
            #expect(deltas.first?.from == Revision(1))
            #expect(zip(deltas, deltas.dropFirst()).allSatisfy { $0.through == $1.from }, "without a gap")
            #expect(self.names(ticker).count == 5 && Set(self.names(ticker)).count == 5)
        }
    }

    @Test func `a hint that is lost costs a poll and nothing else`() async throws {
        try await Harness.run { harness in
            let (_, ticker) = try await self.owner(harness)
            ticker.send(self.request(harness))
            try await harness.until("the snapshot is there") { ticker.received(SnapshotPage.self).last?.last == true }
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            await harness.pass(.milliseconds(700))
            try await harness.until("the change is there") { self.names(ticker).count == 1 }
        }
    }

    @Test func `a hint at another coordinator reaches the leader's feed`() async throws {
        try await Harness.run { harness in
            let (_, ticker) = try await self.owner(harness)
            let second = harness.coordinator(2)
            try await harness.until("the second is linked") {
                String(decoding: try await second.coordinator.status(), as: UTF8.self).contains("coordinator-2")
            }
            ticker.send(self.request(harness))
            try await harness.until("the snapshot is there") { ticker.received(SnapshotPage.self).last?.last == true }
            let polls = harness.store.calls(of: "revisions")
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            second.coordinator.changed(self.shard)
            for _ in 0..<100_000 where ticker.count(of: .delta) == 0 { await Task.yield() }
            #expect(self.names(ticker).count == 1, "no time has passed")
            #expect(harness.store.calls(of: "revisions") == polls)
        }
    }

    @Test func `after a reconnect only what was missed is sent`() async throws {
        try await Harness.run { harness in
            let (leader, ticker) = try await self.owner(harness)
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            _ = try await harness.store.createTimers([self.timer(2, harness)])
            ticker.die()
            try await harness.until("the link is gone") { !ticker.isConnected }
            try await ticker.connect(to: leader.address)
            try await harness.until("it is back") { !ticker.received(HelloAck.self).isEmpty }
            ticker.send(self.request(harness, since: Revision(1)))
            try await harness.until("the second is there") { self.names(ticker).count == 1 }
            #expect(ticker.received(SnapshotPage.self).isEmpty)
            #expect(ticker.received(Delta.self).map(\.from) == [Revision(1)])
        }
    }

    @Test func `a snapshot that fails is read again`() async throws {
        try await Harness.run { harness in
            let (_, ticker) = try await self.owner(harness)
            harness.store.failNext(.refused(.unavailable), operation: "snapshot")
            harness.store.failNext(.refused(.unavailable), operation: "changes")
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            ticker.send(self.request(harness))
            try await harness.until("the snapshot is there") { ticker.received(SnapshotPage.self).last?.last == true }
            _ = try await harness.store.createTimers([self.timer(2, harness)])
            try await harness.until("the change is there") { self.names(ticker).count == 2 }
        }
    }

    @Test func `whoever does not own the shard is fed nothing`() async throws {
        try await Harness.run { harness in
            let (leader, _) = try await self.owner(harness)
            _ = try await harness.store.createTimers([self.timer(1, harness)])
            let stranger = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            stranger.send(self.request(harness))
            await harness.pass(.seconds(2))
            #expect(self.names(stranger).isEmpty)
        }
    }

    @Test func `timers further ahead come in pages`() async throws {
        try await Harness.run { harness in
            let (_, ticker) = try await self.owner(harness)
            _ = try await harness.store.createTimers(
                (1...700).map { self.timer($0, due: 1_000_000 + Int64($0), harness) })
            ticker.send(self.request(harness))
            try await harness.until("the snapshot is there") { ticker.received(SnapshotPage.self).last?.last == true }
            #expect(self.names(ticker).isEmpty, "all lie beyond the horizon")
            let through = harness.clocks.wallNow().advanced(by: .seconds(2000))
            var after = Watermark.start
            for _ in 0..<3 where ticker.received(HorizonPage.self).last?.last != true {
                let count = ticker.received(HorizonPage.self).count
                ticker.send(HorizonRequest(shard: self.shard, epoch: Epoch(1), after: after, through: through))
                try await harness.until("a page is there") { ticker.received(HorizonPage.self).count > count }
                if let last = ticker.received(HorizonPage.self).last?.timers.last {
                    after = Watermark(instant: last.due, tie: last.uid)
                }
            }
            let pages = ticker.received(HorizonPage.self)
            #expect(pages.map(\.timers.count) == [500, 200] && pages.map(\.last) == [false, true])
            #expect(Set(pages.flatMap { $0.timers.map(\.uid) }).count == 700)
        }
    }
}
