import ElasticsearchSupport
import EscapementModel
import HTTPClient
import JSON
import TestSupport

/// Requests to a dev Elasticsearch, as a test writes them.
struct Calls: Sendable {
    let server: DevElasticsearchServer
    let client: HTTPClient

    /// A new server over an empty folder.
    static func run(_ body: @escaping @Sendable (Calls) async throws -> Void) async throws {
        try await Self.run(folder: TemporaryFolder(), body)
    }

    /// A server over `folder`, which may hold what another has written.
    static func run(
        folder: TemporaryFolder, asksWho: Bool = false, _ body: @escaping @Sendable (Calls) async throws -> Void
    ) async throws {
        let client = HTTPClient()
        try await DevElasticsearchServer.with(folder: folder, asksWho: asksWho) { server in
            try await body(Calls(server: server, client: client))
        }
        await client.shutdown()
    }

    struct Answer: Sendable {
        var status: Int
        var json: JSONValue

        /// The type of the error, or of its first cause.
        var errorType: String? { self.json["error"]?["type"]?.stringValue }
    }

    @discardableResult
    func callAsFunction(
        _ method: HTTPMethod, _ path: String, _ body: String? = nil, contentType: String = "application/json",
        authorization: Authorization? = nil
    ) async throws -> Answer {
        var request = HTTPRequest(method, self.server.url + path, authorization: authorization)
        if let body {
            request.headers["Content-Type"] = contentType
            request.body = Array(body.utf8)
        }
        let response = try await self.client.send(request)
        return Answer(
            status: response.status,
            json: response.body.isEmpty ? .null : (try? JSONParser.parse(response.body)) ?? .string(response.text))
    }

    /// A bulk request of these lines.
    @discardableResult
    func bulk(_ lines: [String], query: String = "") async throws -> Answer {
        try await self(
            .post, "/_bulk\(query)", lines.joined(separator: "\n") + "\n", contentType: "application/x-ndjson")
    }

    /// The ids that a search finds, in its order.
    func ids(_ index: String, _ body: String) async throws -> [String] {
        let answer = try await self(.post, "/\(index)/_search", body)
        return (answer.json["hits"]?["hits"]?.arrayValue ?? []).compactMap { $0["_id"]?.stringValue }
    }
}
