import DispatcherService
import EscapementModel
import HTTPClient

/// Sends to HTTP targets with two clients: one for what the operator names, and one for what tenants name, which
/// connects to public addresses only. Neither follows redirects.
struct CurlWebSender: WebSender {
    /// Of one request, its answer included.
    static let timeout = Duration.seconds(30)
    /// Of an answer: only its status counts.
    static let answerBytesMax = 64 * 1024

    private let trusted: HTTPClient
    private let open: HTTPClient
    private let clocks: any Clocks

    /// - Parameter requestsPerHostMax: under way at a time.
    init(authorityFile: String?, allowsPrivate: Bool, requestsPerHostMax: Int, clocks: any Clocks) {
        func client(_ refusesPrivate: Bool) -> HTTPClient {
            HTTPClient(
                configuration: HTTPClientConfiguration(
                    certificateAuthorityFile: authorityFile, connectionsPerHostMax: requestsPerHostMax,
                    refusesPrivateAddresses: refusesPrivate))
        }
        self.trusted = client(false)
        self.open = client(!allowsPrivate)
        self.clocks = clocks
    }

    func send(_ request: WebRequest) async -> WebAnswer {
        var headers = HTTPHeaders()
        for (name, value) in request.headers { headers.add(name, value) }
        do throws(HTTPClientError) {
            let response = try await (request.isTrusted ? self.trusted : self.open).send(
                HTTPRequest(
                    .post, request.url, headers: headers, body: request.body, timeout: Self.timeout,
                    responseByteCountMax: Self.answerBytesMax, cutsResponse: true,
                    authorization: request.basic.map { .basic(user: $0.uuid, password: $0.key) }))
            return .status(
                response.status, retryAfter: RetryPolicy.retryAfter(response, receivedAt: self.clocks.wallNow()))
        } catch {
            switch error.code {
            case .forbidden: return .forbidden(error.description)
            // No answer, or none that can be read.
            case .unreachable, .brokenConnection, .timeout, .tls, .tooLarge, .cancelled, .other:
                return .unavailable(error.description)
            }
        }
    }
}
