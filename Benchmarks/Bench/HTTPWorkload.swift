import EscapementModel
import Glibc
import HTTPClient
import JSON

/// W9: POST requests with a body over kept connections, by our client, against a server that does next to nothing.
struct HTTPWorkload {
    /// Bytes of a body.
    let size: Int
    /// Requests at a time, each on a connection of its own.
    let connections: Int
    let seconds: Double

    init(_ arguments: [String]) throws(BenchError) {
        // MODE is how a peer drives libcurl; ours has one way.
        guard arguments.count >= 4, let size = Int(arguments[1]), let connections = Int(arguments[2]),
            let seconds = Double(arguments[3]), size > 0, (1...1000).contains(connections), seconds > 0
        else { throw BenchError("http needs MODE BYTES CONNS SECONDS") }
        self.size = size
        self.connections = connections
        self.seconds = seconds
    }

    func run() async throws {
        let server = try SinkServer()
        defer { server.stop() }
        var configuration = HTTPClientConfiguration()
        configuration.connectionsPerHostMax = self.connections
        let client = HTTPClient(configuration: configuration)
        let url = "http://127.0.0.1:\(server.port)/_bulk"
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: self.size)
        let cpu = Int64(clamping: Measuring.clock(CLOCK_PROCESS_CPUTIME_ID))
        let began = ContinuousClock().now
        let end = began.advanced(by: .seconds(self.seconds))
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<self.connections {
                group.addTask {
                    var sent = 0
                    while ContinuousClock().now < end {
                        let response = try await client.send(
                            HTTPRequest(
                                .post, url, headers: ["Content-Type": "application/x-ndjson"], body: body,
                                timeout: .seconds(30)))
                        guard response.status == 200 else { throw BenchError("the sink answered \(response.status)") }
                        sent += 1
                    }
                    return sent
                }
            }
            return try await group.reduce(0, +)
        }
        let took = began.duration(to: ContinuousClock().now) / .seconds(1)
        let spent = Int64(clamping: Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)) - cpu
        let megabytes = Double(count * self.size) / took / 1_000_000
        let line: [JSONMember] = [
            JSONMember("w", "W9"), JSONMember("peer", "escapement"), JSONMember("size", .integer(self.size)),
            JSONMember("conns", .integer(self.connections)), JSONMember("req_s", .integer(Int(Double(count) / took))),
            JSONMember("MB_s", .decimal((megabytes * 10).rounded() / 10)),
            JSONMember("cpu_ns", .integer(spent / Int64(max(1, count)))),
        ]
        emit(.object(line))
        await client.shutdown()
    }
}
