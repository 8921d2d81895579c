import HTTPClient
import JSON

/// Requests as a user sends them.
struct Calls: Sendable {
    let client: HTTPClient
    let base: String
    var token: String?

    func send(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil, headers: HTTPHeaders = [:]
    ) async throws -> Reply {
        try await self.send(method, path, bytes: body?.bytes, headers: headers)
    }

    func send(
        _ method: HTTPMethod, _ path: String, bytes: [UInt8]?, contentType: String = "application/json",
        headers: HTTPHeaders = [:], compresses: Bool = false
    ) async throws -> Reply {
        var headers = headers
        if bytes != nil, headers["Content-Type"] == nil { headers["Content-Type"] = contentType }
        var request = HTTPRequest(method, self.base + path, headers: headers, body: bytes, compressesBody: compresses)
        request.authorization = self.token.map { .bearer(token: $0) }
        return Reply(try await self.client.send(request))
    }
}

/// An answer with its document.
struct Reply: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let document: JSONValue

    init(_ response: HTTPResponse) {
        self.status = response.status
        self.headers = response.headers
        self.document = (try? JSONParser.parse(response.body)) ?? .string(response.text)
    }

    var code: String { self.document["code"]?.stringValue ?? "" }

    /// `pointer code` of each fault.
    var faults: [String] {
        (self.document["errors"]?.arrayValue ?? []).map { fault in
            let place = fault["pointer"] ?? fault["parameter"] ?? fault["header"]
            return "\(place?.stringValue ?? "?") \(fault["code"]?.stringValue ?? "?")"
        }
    }
}
