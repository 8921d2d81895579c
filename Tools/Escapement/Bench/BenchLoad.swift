import EscapementModel
import HTTPClient

/// Timers for a benchmark, made in batches through the API.
struct BenchLoad: Sendable {
    /// Timers of one request; the API takes no more.
    private static let batchMax = 10_000
    /// Requests at a time.
    private static let requestsMax = 4

    /// Bytes of each payload.
    let payloadBytes: Int

    /// How far ahead the first may be due, so that the last batch is stored before.
    static func lead(for count: Int) -> Duration { .seconds(Int64(10 + count / 5000)) }

    /// Makes `count` timers, due evenly over `seconds` or, with 0, at one instant.
    func create(_ count: Int, from start: WallInstant, over seconds: Int, _ api: APIClient) async throws {
        let payload = String(repeating: "x", count: self.payloadBytes)
        let bodies = stride(from: 0, to: count, by: Self.batchMax)
        func body(_ first: Int) -> [UInt8] {
            var text = #"{"defaults":{"target":{"action":"/guest/bench","payload":{"filler":"\#(payload)"}}}}"# + "\n"
            for index in first..<min(first + Self.batchMax, count) {
                let offset = Int64(index) * Int64(seconds) * 1000 / Int64(count)
                text += #"{"at":"\#(start.advanced(by: .milliseconds(offset)))"}"# + "\n"
            }
            return Array(text.utf8)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for first in bodies {
                if running >= Self.requestsMax {
                    try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask {
                    _ = try await api.send(
                        .post, "\(api.home)/timers/batch", query: [("mode", "atomic")], body: body(first),
                        contentType: "application/x-ndjson", compresses: true)
                }
            }
            try await group.waitForAll()
        }
    }
}
