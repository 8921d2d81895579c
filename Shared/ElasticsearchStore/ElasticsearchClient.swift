package import HTTPClient
package import JSON

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
    }

    /// One hit of a search.
    package struct Hit: Equatable, Sendable {
        package var source: JSONValue
        package var sort: [JSONValue]
    }

    /// How long a request may take.
    private static let timeout = Duration.seconds(30)
    private static let answerBytesMax = 32 * 1024 * 1024

    private let pool: HTTPNodePool

    package init(pool: HTTPNodePool) { self.pool = pool }

    /// Puts an index template unless one of that name is there; `true` when it was put.
    package func ensureIndexTemplate(_ name: String, _ template: JSONValue) async throws(ElasticsearchError) -> Bool {
        let path = "/_index_template/\(name)"
        let found = try await self.send(HTTPRequest(.get, path, timeout: Self.timeout))
        if found.isSuccess { return false }
        guard found.status == 404 else { throw Self.fault(found, "reading the index template") }
        let put = try await self.send(
            HTTPRequest(
                .put, path, headers: ["Content-Type": "application/json"], body: template.bytes,
                timeout: Self.timeout))
        guard put.isSuccess else { throw Self.fault(put, "putting the index template") }
        return true
    }

    /// Creates documents in one request; those that exist answer with status 409 and stay as they are.
    ///
    /// - Returns: one result for each document, in order.
    package func create(_ documents: [Document]) async throws(ElasticsearchError) -> [Result] {
        if documents.isEmpty { return [] }
        let response = try await self.send(
            HTTPRequest(
                .post, "/_bulk?refresh=false&filter_path=errors,items.*.status,items.*.error.type",
                headers: ["Content-Type": "application/x-ndjson"], body: Self.lines(documents),
                compressesBody: true, timeout: Self.timeout, responseByteCountMax: Self.answerBytesMax))
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
                Result(status: Int(status), errorType: item["create"]?["error"]?["type"]?.stringValue ?? ""))
        }
        return results
    }

    /// Searches the indices that match `pattern`; an index that does not exist holds nothing.
    package func search(_ pattern: String, _ body: JSONValue) async throws(ElasticsearchError) -> [Hit] {
        let response = try await self.send(
            HTTPRequest(
                .post, "/\(pattern)/_search?ignore_unavailable=true&allow_no_indices=true",
                headers: ["Content-Type": "application/json"], body: body.bytes, timeout: Self.timeout,
                responseByteCountMax: Self.answerBytesMax))
        guard response.isSuccess else { throw Self.fault(response, "searching") }
        guard let hits = try Self.parse(response)["hits"]?["hits"]?.arrayValue else {
            throw ElasticsearchError(status: response.status, detail: "Elasticsearch's answer has no hits")
        }
        return hits.compactMap { hit in
            hit["_source"].map { Hit(source: $0, sort: hit["sort"]?.arrayValue ?? []) }
        }
    }

    private func send(_ request: HTTPRequest) async throws(ElasticsearchError) -> HTTPResponse {
        do {
            return try await self.pool.send(request)
        } catch {
            throw ElasticsearchError(error)
        }
    }

    private static func lines(_ documents: [Document]) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(documents.reduce(0) { $0 + $1.body.count + 160 })
        for document in documents {
            JSONValue.object([
                JSONMember("create", ["_index": .string(document.index), "_id": .string(document.id)])
            ]).write(to: &body)
            body.append(UInt8(ascii: "\n"))
            body.append(contentsOf: document.body)
            body.append(UInt8(ascii: "\n"))
        }
        return body
    }

    private static func parse(_ response: HTTPResponse) throws(ElasticsearchError) -> JSONValue {
        do {
            return try JSONParser.parse(response.body)
        } catch {
            throw ElasticsearchError(status: response.status, detail: "Elasticsearch's answer is not JSON: \(error)")
        }
    }

    /// The reason that Elasticsearch gives, in one line.
    private static func fault(_ response: HTTPResponse, _ what: String) -> ElasticsearchError {
        let reason: String
        switch response.status {
        case 401: reason = "the credentials are refused (HTTP 401)"
        case 403: reason = "the credentials lack a right (HTTP 403)"
        case 429: reason = "it is overloaded (HTTP 429)"
        default:
            let error = (try? JSONParser.parse(response.body))?["error"]
            let type = error?["type"]?.stringValue ?? error?.stringValue ?? ""
            reason = "HTTP \(response.status)" + (type.isEmpty ? "" : " \(type.prefix(200))")
        }
        return ElasticsearchError(status: response.status, detail: "\(what) in Elasticsearch failed: \(reason)")
    }
}
