import EscapementModel
import Glibc
import HTTPClient
import Testing

/// More and fewer processes of `./dev up` under load.
@Suite(.serialized) struct ScaleTests {
    /// `ESCAPEMENT_TEST_TICKERS` makes it more.
    private static let most = getenv("ESCAPEMENT_TEST_TICKERS").flatMap { Int(String(cString: $0)) } ?? 6

    /// Scales, and waits until all shards are owned by so many tickers, as their metrics say.
    private func scale(_ stack: Stack, to count: Int, shards: Int) async throws {
        try await stack.dev("scale", "ticker", "\(count)")
        try await stack.untilReady()
        try await stack.insist(.post, "/v1/cluster/rebalance")
        try await Eventually.holds("\(count) tickers own all shards") {
            var owned: [Double] = []
            for ticker in try stack.processes(.ticker) {
                owned.append(try await stack.metric("escapement_shards_owned", of: ticker) ?? 0)
            }
            return owned.count == count && owned.allSatisfy { $0 >= 1 } && owned.reduce(0, +) == Double(shards)
        }
    }

    @Test func `tickers come and go under load, and nothing is missed or doubled`() async throws {
        let shards = max(16, Self.most * 2)
        try await Stack.with(["--tickers", Self.most > 6 ? "1" : "2", "--shards", "\(shards)"]) { stack in
            let fewest = try stack.processes(.ticker).count
            let load = try await Load.begin(stack)
            let before = try await stack.total("escapement_shard_handovers_total", of: .coordinator)
            try await self.scale(stack, to: Self.most, shards: shards)
            let between = try await stack.total("escapement_shard_handovers_total", of: .coordinator)
            #expect(between > before, "the metrics show that shards were handed over")
            try await self.scale(stack, to: fewest, shards: shards)
            #expect(try await stack.total("escapement_shard_handovers_total", of: .coordinator) > between)
            try await Eventually.holds("no shard is without an owner") {
                let leader = try await stack.leader()
                return try await stack.metric("escapement_shards_unowned", of: leader) == 0
            }
            try await load.end()
            let seen = Double(load.reader.all.count)
            try await Eventually.holds("the metrics count every fire") {
                try await stack.total("escapement_fires_total", of: .dispatcher) >= seen
            }
        }
    }
}
