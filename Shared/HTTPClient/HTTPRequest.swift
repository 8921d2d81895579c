/// The methods we send.
package enum HTTPMethod: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
}

/// One outgoing request. A plain value: nothing is checked or sent before `HTTPClient.send`.
package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// Absolute, `http` or `https`; for `HTTPNodePool` a path with its query, beginning with `/`.
    package var url: String
    /// Sent as they are, after those the client sets. `Content-Type` is never invented.
    package var headers: HTTPHeaders
    package var body: [UInt8]?
    /// Sends the body as gzip when it is large enough to gain by it.
    package var compressesBody: Bool
    /// From `send` to the last byte of the answer, waiting for a free connection included.
    package var timeout: Duration
    /// The largest body accepted, in bytes, after decompression.
    package var responseByteCountMax: Int
    /// Takes the beginning of a larger one instead of refusing the answer: for callers who want its status.
    package var cutsResponse: Bool
    /// Replaces the client's; `nil` uses the client's.
    package var authorization: Authorization?

    package init(
        _ method: HTTPMethod, _ url: String, headers: HTTPHeaders = [:], body: [UInt8]? = nil,
        compressesBody: Bool = false, timeout: Duration = .seconds(30),
        responseByteCountMax: Int = 16 * 1024 * 1024, cutsResponse: Bool = false, authorization: Authorization? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.compressesBody = compressesBody
        self.timeout = timeout
        self.responseByteCountMax = responseByteCountMax
        self.cutsResponse = cutsResponse
        self.authorization = authorization
    }
}

/// A complete answer. Any status is an answer; only a request without one throws.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    /// Decompressed.
    package var body: [UInt8]

    package init(status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Whether the status is 200 to 299.
    package var isSuccess: Bool { (200..<300).contains(self.status) }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    package var text: String { String(decoding: self.body, as: UTF8.self) }
}
