package import EscapementModel
import HTTPServer
package import Hummingbird
import JSON
import NIOCore
import TLS

/// The server's HTTP side: who may ask, in which form, and what goes wrong on order.
package struct ElasticsearchRoutes: Sendable {
    /// Bytes of one request, as `http.max_content_length` is by default.
    package static let bodyByteCountMax = 100 * 1024 * 1024

    private let node: Node
    private let faults: Faults
    private let clocks: any Clocks
    private let credentials: Set<String>

    /// - Parameters:
    ///   - username: `nil` asks nobody who they are.
    ///   - password: also the secret of the API key whose id is the user's name.
    package init(node: Node, faults: Faults, clocks: any Clocks, username: String?, password: String) {
        self.node = node
        self.faults = faults
        self.clocks = clocks
        let encoded = username.map { Base64.encode(Array("\($0):\(password)".utf8)) }
        self.credentials = Set(encoded.map { ["Basic \($0)", "ApiKey \($0)"] } ?? [])
    }

    /// A router that hands every request to the node.
    package func router() -> Router<BasicRequestContext> {
        let router = Router()
        for method in [HTTPRequest.Method.get, .head, .post, .put, .delete] {
            router.on("/", method: method) { request, _ in try await self.answer(request) }
            router.on("/**", method: method) { request, _ in try await self.answer(request) }
        }
        return router
    }

    private func answer(_ request: Request) async throws -> Response {
        let plan = self.faults.plan
        if plan.delayMilliseconds > 0 { try await self.clocks.sleep(for: .milliseconds(plan.delayMilliseconds)) }
        if plan.isDown {
            return self.failure(503, "service_unavailable_exception", "made to be down", request)
        }
        if self.faults.draws(\.tooManyPercent) {
            var response = self.failure(429, "es_rejected_execution_exception", "made to be busy", request)
            // Elasticsearch itself does not say so; proxies before it do.
            if plan.retryAfterSeconds > 0 { response.headers[.retryAfter] = "\(plan.retryAfterSeconds)" }
            return response
        }
        guard self.credentials.isEmpty || self.credentials.contains(request.headers[.authorization] ?? "") else {
            var response = self.failure(
                401, "security_exception",
                request.headers[.authorization] == nil
                    ? "missing authentication credentials for REST request [\(request.uri.path)]"
                    : "unable to authenticate user for REST request [\(request.uri.path)]", request)
            response.headers[.wwwAuthenticate] = "Basic realm=\"security\", charset=\"UTF-8\""
            return response
        }
        let setupPaths = ["/_index_template", "/_template", "/_ilm", "/_plugins/_ism"]
        if plan.hidesSetup, setupPaths.contains(where: { request.uri.path.hasPrefix($0) }) {
            return self.failure(
                403, "security_exception",
                "action is unauthorized for this user, this action is granted by other privileges",
                request)
        }
        var bytes = Array(buffer: try await request.body.collect(upTo: Self.bodyByteCountMax))
        if request.headers[.contentEncoding]?.lowercased() == "gzip" {
            switch Gunzip.decompress(bytes, byteCountMax: Self.bodyByteCountMax) {
            case .bytes(let content): bytes = content
            case .tooLarge: return self.failure(413, "content_too_long_exception", "the body is too long", request)
            case .malformed: return self.failure(400, "zip_exception", "Not in GZIP format", request)
            }
        }
        let contentType = request.headers[.contentType] ?? ""
        guard bytes.isEmpty || Self.isKnown(contentType) else {
            return self.failure(
                406, "media_type_header_exception", "Content-Type header [\(contentType)] is not supported", request)
        }
        return self.respond(request, bytes)
    }

    private static func isKnown(_ contentType: String) -> Bool {
        let type = contentType.split(separator: ";").first.map { $0.lowercased() } ?? ""
        return ["application/json", "application/x-ndjson"].contains(type)
            || type.hasPrefix("application/vnd.elasticsearch+")
    }

    private func respond(_ request: Request, _ bytes: [UInt8]) -> Response {
        var headers: [String: String] = [:]
        for field in request.headers { headers[field.name.canonicalName] = field.value }
        let (status, body, contentType, more) = self.node.respond(
            method: request.method.rawValue, uri: request.uri.description, headers: headers, body: bytes,
            refusesItem: { self.faults.refusesDocument() },
            isBusy: { self.faults.draws(\.busyDocumentsPercent) }, lacksShard: self.faults.plan.lacksShard)
        var response = self.response(status, body, contentType, request)
        for (name, value) in more {
            if let name = HTTPFields.Element.Name(name) { response.headers[name] = value }
        }
        if self.faults.draws(\.closePercent) {
            // The request took effect; its answer ends before it is complete, and the connection with it.
            response.body = ResponseBody(contentLength: body.count + 1) { writer in
                try await writer.write(ByteBuffer(bytes: body))
                throw ConnectionCut()
            }
        }
        return response
    }

    private struct ConnectionCut: Error {}

    private func failure(_ status: Int, _ type: String, _ reason: String, _ request: Request) -> Response {
        self.response(status, ElasticsearchError(status, type, reason).body.bytes, "application/json", request)
    }

    private func response(_ status: Int, _ body: [UInt8], _ contentType: String, _ request: Request) -> Response {
        var headers = HTTPFields()
        if self.node.dialect.showsProduct, let name = HTTPFields.Element.Name("X-elastic-product") {
            headers[name] = "Elasticsearch"
        }
        if !contentType.isEmpty {
            // A client that speaks a versioned media type is answered in it.
            let accept = request.headers[.accept] ?? ""
            let isVersioned =
                accept.hasPrefix("application/vnd.elasticsearch+json") && contentType == "application/json"
            headers[.contentType] = isVersioned ? accept : contentType
        }
        return Response(
            status: HTTPResponse.Status(code: status), headers: headers,
            body: request.method == .head ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}
