package import EscapementModel
package import HTTPClient
package import JSON
import Synchronization

/// The few requests that we send to Elasticsearch, as functions. Every answer is treated as hostile: sizes are
/// bounded, shapes are checked.
package struct ElasticsearchClient: Sendable {
    /// One document of a bulk request.
    package struct Document: Equatable, Sendable {
        package var index: String
        package var id: String
        /// JSON without raw line breaks: a line break would begin another action.
        package var body: [UInt8]

        package init(index: String, id: String, body: [UInt8]) {
            self.index = index
            self.id = id
            self.body = body
        }
    }

    /// What became of one document.
    package struct Result: Equatable, Sendable {
        package var status: Int
        /// `version_conflict_engine_exception`; empty when it was stored.
        package var errorType: String
        /// What Elasticsearch says of it. May quote the document: not for logs.
        package var errorReason: String
    }

    /// One hit of a search.
    package struct Hit: Equatable, Sendable {
        package var id: String
        package var source: JSONValue
        package var sort: [JSONValue]
    }

    /// What a search brought.
    package struct Answer: Equatable, Sendable {
        package var hits: [Hit]
        /// How many match, as far as the search asked for it.
        package var total: Total?
        package var aggregations: JSONValue?
    }

    package struct Total: Equatable, Sendable {
        package var value: Int64
        /// There may be more.
        package var isLowerBound: Bool
    }

    /// How long a request may take.
    private static let timeout = Duration.seconds(30)
    /// How long an attempt of a search may take: somebody waits for it.
    private static let searchTimeout = Duration.seconds(4)
    /// How long a search may take with all its attempts; below what a coordinator waits for a dispatcher's answer, so that
    /// a store that hangs is told from a dispatcher that does.
    package static let searchMax = Duration.seconds(6)
    private static let answerBytesMax = 32 * 1024 * 1024
    /// Of a bulk request, what is compressed at a time: fits into a processor's cache.
    private static let pieceBytes = 64 * 1024

    private let pool: HTTPNodePool
    private let writing: HTTPNodePool
    private let assumed: StoreServer.Product?
    private let known = Known()

    /// The answer of `GET /`, asked once.
    private final class Known: Sendable {
        let server = Mutex<StoreServer?>(nil)
    }

    /// - Parameters:
    ///   - writing: for bulk requests; its policy should leave 429 to the caller, who can send less.
    ///   - assumed: what the server is, when its greeting may not say so.
    package init(pool: HTTPNodePool, writing: HTTPNodePool? = nil, assumed: StoreServer.Product? = nil) {
        self.pool = pool
        self.writing = writing ?? pool
        self.assumed = assumed
    }

    /// When a search that begins now has to have ended.
    package func searchDeadline() -> MonotonicInstant { self.pool.deadline(after: Self.searchMax) }

    /// What answers; asked at the first use, then remembered.
    ///
    /// - Parameter deadline: of the search that needs to know.
    package func server(by deadline: MonotonicInstant? = nil) async throws(ElasticsearchError) -> StoreServer {
        if let server = self.known.server.withLock({ $0 }) { return server }
        let timeout = deadline == nil ? Self.timeout : Self.searchTimeout
        let response = try await self.send(HTTPRequest(.get, "/", timeout: timeout), by: deadline)
        guard response.isSuccess else { throw Self.fault(response, "asking for the version") }
        let server = try StoreServer(answer: Self.parse(response), assumed: self.assumed)
        self.known.server.withLock { $0 = server }
        return server
    }

    /// The document at `path`; `nil` when there is none.
    ///
    /// - Throws: also where the address was taken for an index's, as servers before 8 take those that they do not know.
    package func get(_ path: String, doing what: String) async throws(ElasticsearchError) -> JSONValue? {
        let response = try await self.send(
            HTTPRequest(.get, path, timeout: Self.timeout, responseByteCountMax: Self.answerBytesMax))
        if response.status == 404, Self.errorType(response) != "index_not_found_exception" { return nil }
        guard response.isSuccess else { throw Self.fault(response, what) }
        return try Self.parse(response)
    }

    package func put(_ path: String, _ body: JSONValue, doing what: String) async throws(ElasticsearchError) {
        try await self.change(.put, path, body, doing: what)
    }

    package func post(_ path: String, _ body: JSONValue, doing what: String) async throws(ElasticsearchError) {
        try await self.change(.post, path, body, doing: what)
    }

    private func change(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue, doing what: String
    ) async throws(ElasticsearchError) {
        let response = try await self.send(
            HTTPRequest(method, path, headers: Self.jsonHeaders, body: body.bytes, timeout: Self.timeout))
        guard response.isSuccess else { throw Self.fault(response, what) }
    }

    /// Creates documents in one request; those that exist answer with status 409 and stay as they are.
    ///
    /// - Returns: one result for each document, in order.
    package func create(_ documents: [Document]) async throws(ElasticsearchError) -> [Result] {
        if documents.isEmpty { return [] }
        let server = try await self.server()
        let request = HTTPRequest(
            .post, Self.bulkPath, headers: Self.bulkHeaders,
            body: Self.bulkBody(documents, type: server.documentType), timeout: Self.timeout,
            responseByteCountMax: Self.answerBytesMax)
        let response = try await self.send(request, through: self.writing)
        guard response.isSuccess else { throw Self.fault(response, "storing documents") }
        let items = try Self.parse(response)["items"]?.arrayValue ?? []
        guard items.count == documents.count else {
            throw ElasticsearchError(
                status: response.status,
                detail: "Elasticsearch answered for \(items.count) of \(documents.count) documents")
        }
        var results: [Result] = []
        results.reserveCapacity(items.count)
        for item in items {
            guard let status = item["create"]?["status"]?.integerValue else {
                throw ElasticsearchError(status: response.status, detail: "Elasticsearch left out a document's status")
            }
            results.append(
                Result(
                    status: Int(status), errorType: item["create"]?["error"]?["type"]?.stringValue ?? "",
                    errorReason: item["create"]?["error"]?["reason"]?.stringValue ?? ""))
        }
        return results
    }

    /// Searches the indices that match `pattern`; an index that does not exist holds nothing.
    ///
    /// - Parameter deadline: of `searchDeadline`; `nil` counts from now.
    package func search(
        _ pattern: String, _ body: JSONValue, by deadline: MonotonicInstant? = nil
    ) async throws(ElasticsearchError) -> Answer {
        let response = try await self.send(
            HTTPRequest(
                .post, "/\(pattern)/_search?\(Self.searchOptions)", headers: Self.jsonHeaders, body: body.bytes,
                timeout: Self.searchTimeout, responseByteCountMax: Self.answerBytesMax),
            by: deadline ?? self.searchDeadline())
        guard response.isSuccess else { throw Self.fault(response, "searching") }
        let answer = try Self.parse(response)
        // A page of some shards would be a wrong page. Shards without any copy are not among those that failed.
        let shards = answer["_shards"]
        let missing = (shards?["total"]?.integerValue ?? 0) - (shards?["successful"]?.integerValue ?? 0)
        if answer["timed_out"]?.boolValue == true || missing > 0 {
            throw ElasticsearchError(status: 503, detail: "a part of Elasticsearch's shards did not answer the search")
        }
        guard let hits = answer["hits"]?["hits"]?.arrayValue else {
            throw ElasticsearchError(status: response.status, detail: "Elasticsearch's answer has no hits")
        }
        return Answer(
            hits: hits.compactMap { hit in
                hit["_source"].map {
                    Hit(id: hit["_id"]?.stringValue ?? "", source: $0, sort: hit["sort"]?.arrayValue ?? [])
                }
            }, total: Self.total(answer["hits"]?["total"]), aggregations: answer["aggregations"])
    }

    /// How many documents match `query`.
    package func count(_ pattern: String, _ query: JSONValue) async throws(ElasticsearchError) -> Int64 {
        let response = try await self.send(
            HTTPRequest(
                .post, "/\(pattern)/_count?ignore_unavailable=true&allow_no_indices=true", headers: Self.jsonHeaders,
                body: JSONValue.record(["query": query]).bytes, timeout: Self.timeout))
        guard response.isSuccess else { throw Self.fault(response, "counting") }
        guard let count = try Self.parse(response)["count"]?.integerValue else {
            throw ElasticsearchError(status: response.status, detail: "Elasticsearch's answer has no count")
        }
        return count
    }

    /// A number in Elasticsearch 6, an object since.
    private static func total(_ value: JSONValue?) -> Total? {
        if let number = value?.integerValue { return Total(value: number, isLowerBound: false) }
        guard let number = value?["value"]?.integerValue else { return nil }
        return Total(value: number, isLowerBound: value?["relation"] == "gte")
    }

    private static let searchOptions =
        "ignore_unavailable=true&allow_no_indices=true&allow_partial_search_results=false"
    private static let jsonHeaders: HTTPHeaders = ["Content-Type": "application/json"]
    package static let bulkHeaders: HTTPHeaders = [
        "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip",
    ]
    package static let bulkPath =
        "/_bulk?refresh=false&filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"

    private func send(
        _ request: HTTPRequest, through pool: HTTPNodePool? = nil, by deadline: MonotonicInstant? = nil
    ) async throws(ElasticsearchError) -> HTTPResponse {
        do {
            return try await (pool ?? self.pool).send(request, deadline: deadline)
        } catch {
            throw ElasticsearchError(error)
        }
    }

    /// The lines of a bulk request, compressed while they are written: uncompressed there is never more than a piece.
    package static func bulkBody(_ documents: [Document], type: String?) -> [UInt8] {
        let gzip = GzipStream()
        var piece: [UInt8] = []
        piece.reserveCapacity(self.pieceBytes + 4096)
        for document in documents {
            piece.append(contentsOf: #"{"create":{"_index":"#.utf8)
            JSONValue.writeString(document.index, to: &piece)
            if let type {
                piece.append(contentsOf: #","_type":"#.utf8)
                JSONValue.writeString(type, to: &piece)
            }
            piece.append(contentsOf: #","_id":"#.utf8)
            JSONValue.writeString(document.id, to: &piece)
            piece.append(contentsOf: "}}\n".utf8)
            piece.append(contentsOf: document.body)
            piece.append(UInt8(ascii: "\n"))
            if piece.count >= self.pieceBytes {
                gzip.add(piece)
                piece.removeAll(keepingCapacity: true)
            }
        }
        gzip.add(piece)
        return gzip.finish()
    }

    private static func parse(_ response: HTTPResponse) throws(ElasticsearchError) -> JSONValue {
        do {
            return try JSONParser.parse(response.body)
        } catch {
            throw ElasticsearchError(status: response.status, detail: "Elasticsearch's answer is not JSON: \(error)")
        }
    }

    /// Such as `illegal_argument_exception`; empty when the answer has none.
    private static func errorType(_ response: HTTPResponse) -> String {
        let error = (try? JSONParser.parse(response.body))?["error"]
        return error?["type"]?.stringValue ?? error?.stringValue ?? ""
    }

    /// The reason that Elasticsearch gives, in one line.
    private static func fault(_ response: HTTPResponse, _ what: String) -> ElasticsearchError {
        let reason: String
        switch response.status {
        case 401: reason = "the credentials are refused (HTTP 401)"
        case 403: reason = "the credentials lack a right (HTTP 403)"
        case 429: reason = "it is overloaded (HTTP 429)"
        default:
            let type = Self.errorType(response)
            reason = "HTTP \(response.status)" + (type.isEmpty ? "" : " \(type.prefix(200))")
        }
        return ElasticsearchError(
            status: response.status, detail: "\(what) in Elasticsearch failed: \(reason)",
            retryAfter: RetryPolicy.retryAfter(response))
    }
}
