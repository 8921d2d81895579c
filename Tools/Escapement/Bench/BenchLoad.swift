import EscapementModel
import HTTPClient

/// Timers for a benchmark, made in batches through the API.
struct BenchLoad: Sendable {
    /// Timers of one request; the API takes no more.
    private static let batchMax = 10_000
    /// Bytes of the payloads of one request, which are stored twice; the API takes up to 40 MiB.
    private static let batchBytesMax = 8 << 20
    /// Requests with batches at a time.
    private static let requestsMax = 4
    /// Requests with one schedule at a time.
    private static let schedulesAtOnce = 64

    /// Bytes of each payload.
    let payloadBytes: Int

    /// How far ahead the first may be due, so that the last batch is stored before.
    static func lead(for count: Int) -> Duration { .seconds(Int64(10 + count / 5000)) }

    /// Makes `count` timers, due evenly over `seconds` or, with 0, at one instant.
    func create(_ count: Int, from start: WallInstant, over seconds: Int, _ api: APIClient) async throws {
        let payload = String(repeating: "x", count: self.payloadBytes)
        let batch = min(Self.batchMax, max(1, Self.batchBytesMax / max(1, self.payloadBytes)))
        let bodies = stride(from: 0, to: count, by: batch)
        @Sendable func body(_ first: Int) -> [UInt8] {
            var text = #"{"defaults":{"target":{"action":"/guest/bench","payload":{"filler":"\#(payload)"}}}}"# + "\n"
            for index in first..<min(first + batch, count) {
                let offset = Int64(index) * Int64(seconds) * 1000 / Int64(count)
                text += #"{"at":"\#(start.advanced(by: .milliseconds(offset)))"}"# + "\n"
            }
            return Array(text.utf8)
        }
        try await Self.each(bodies, atOnce: Self.requestsMax) { first in
            _ = try await api.send(
                .post, "\(api.home)/timers/batch", query: [("mode", "atomic")], body: body(first),
                contentType: "application/x-ndjson", compresses: true)
        }
    }

    /// Makes `count` schedules that fire every second, evenly over it.
    func createSchedules(_ count: Int, _ api: APIClient) async throws {
        let payload = String(repeating: "x", count: self.payloadBytes)
        try await Self.each(0..<count, atOnce: Self.schedulesAtOnce) { number in
            let anchor = WallInstant(milliseconds: Int64(number) * 1000 / Int64(count))
            _ = try await api.send(
                .put, "\(api.home)/schedules/\(Self.name(number))",
                body: Array(
                    (#"{"when":{"every":"1s","anchor":"\#(anchor)"},"#
                        + #""target":{"action":"/guest/bench","payload":{"filler":"\#(payload)"}}}"#).utf8))
        }
    }

    func deleteSchedules(_ count: Int, _ api: APIClient) async throws {
        try await Self.each(0..<count, atOnce: Self.schedulesAtOnce) { number in
            _ = try await api.send(.delete, "\(api.home)/schedules/\(Self.name(number))")
        }
    }

    private static func name(_ number: Int) -> String { "bench-\(number)" }

    /// Runs `body` for all, at most `limit` at a time.
    private static func each(
        _ numbers: some Sequence<Int>, atOnce limit: Int, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for number in numbers {
                if running >= limit {
                    try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { try await body(number) }
            }
            try await group.waitForAll()
        }
    }
}
