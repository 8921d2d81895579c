import EscapementModel
import HTTPClient
import JSON
import Testing

/// The order of a herd, with eyes on Kafka.
@Suite(.serialized) struct PriorityTests {
    private static let timers = 6000
    /// Enough for storing and loading them.
    private static let ahead = Duration.seconds(20)

    private struct Cell: Hashable {
        var partition: Int32
        var shard: Int
    }

    /// The shard of every timer that waits.
    private func shards(_ stack: Stack) async throws -> [String: Int] {
        var shards: [String: Int] = [:]
        var token: String?
        repeat {
            let next = token.map { "&pageToken=\($0)" } ?? ""
            let page = try await stack.call(.get, "/v1/namespaces/guest/timers?pageSize=1000\(next)")
            for timer in page.body["items"]?.arrayValue ?? [] {
                guard let id = timer["id"]?.stringValue, let shard = timer["shard"]?.integerValue else { continue }
                shards[id] = Int(shard)
            }
            token = page.body["nextPageToken"]?.stringValue
        } while token != nil
        return shards
    }

    @Test func `in each shard a herd reaches Kafka high first and low last`() async throws {
        try await Stack.with(["--shards", "4"]) { stack in
            let reader = try await stack.consumer()
            let due = Load.now.advanced(by: Self.ahead)
            var lines = [#"{"defaults":{"at":"\#(due)","target":{"action":"/guest/a"}}}"#]
            for number in 0..<Self.timers {
                // The least urgent come first, and would stay there.
                let priority = Priority.allCases.reversed()[number * 3 / Self.timers]
                lines.append(#"{"id":"\#(priority.word)-\#(number)","priority":"\#(priority.word)"}"#)
            }
            let made = try await stack.call(
                .post, "/v1/namespaces/guest/timers/batch", lines.joined(separator: "\n"),
                contentType: "application/x-ndjson")
            #expect(made.body["accepted"]?.integerValue == Int64(Self.timers))
            let shards = try await self.shards(stack)
            try #require(shards.count == Self.timers)
            try await reader.until("the herd is in Kafka") { $0.count { $0.key.hasPrefix("guest/") } >= Self.timers }
            var cells: [Cell: [Priority]] = [:]
            for fire in reader.all {
                let name = String(fire.key.dropFirst("guest/".count))
                guard let shard = shards[name], let priority = Priority(word: String(name.prefix { $0 != "-" }))
                else { continue }
                cells[Cell(partition: fire.partition, shard: shard), default: []].append(priority)
            }
            #expect(cells.values.reduce(0) { $0 + $1.count } == Self.timers, "each once")
            #expect(cells.values.contains { Set($0).count == 3 })
            for (cell, order) in cells { #expect(order == order.sorted(), "\(cell)") }
            await reader.close()
        }
    }
}
