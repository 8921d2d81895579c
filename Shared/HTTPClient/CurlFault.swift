import CCurl
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What libcurl's result codes mean to a caller: mapped once, here.
enum CurlFault {
    /// The code for `result`, and the text that goes with it.
    ///
    /// - Parameters:
    ///   - text: libcurl's own words; empty when it had none.
    ///   - systemError: `errno` of the last failed connection attempt, 0 for none.
    static func classify(_ result: CURLcode, text: String, systemError: Int) -> (HTTPClientError.Code, String) {
        let detail = text.isEmpty ? String(cString: curl_easy_strerror(result)) : text
        switch result {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT:
            return (.unreachable, detail)
        case CURLE_OPERATION_TIMEDOUT:
            return (.timeout, detail)
        case CURLE_SSL_CONNECT_ERROR:
            // The peer hung up during the handshake, as a restarting server does: not a matter of certificates.
            let wasReset =
                systemError == Int(ECONNRESET) || systemError == Int(EPIPE) || text.contains("SSL_ERROR_SYSCALL")
            return (wasReset ? .brokenConnection : .tls, detail)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED,
            CURLE_SSL_CRL_BADFILE, CURLE_SSL_ENGINE_INITFAILED:
            return (.tls, detail)
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2,
            CURLE_HTTP2_STREAM, CURLE_SEND_FAIL_REWIND:
            // With TLS 1.3 a refused client certificate shows only when the answer is read.
            return (text.contains("alert") ? .tls : .brokenConnection, detail)
        case CURLE_FILESIZE_EXCEEDED:
            return (.tooLarge, detail)
        case CURLE_URL_MALFORMAT:
            // libcurl may quote the URL, which may hold a password.
            return (.other, "the URL is malformed")
        default:
            return (.other, detail)
        }
    }
}
