import CCurl
import EscapementModel
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// One request on its way through libcurl.
///
/// `@unchecked Sendable`: the caller's thread builds it and hands it to the engine's inbox; from then on
/// only the engine thread touches it, but for `isCancelled`, which is atomic.
final class CurlTransfer: @unchecked Sendable {
    /// All header fields of an answer together, bytes.
    static let headerByteCountMax = 64 * 1024

    let request: HTTPRequest
    let isCancelled = Atomic(false)

    private let receive: (@Sendable ([UInt8]) -> Bool)?
    private let continuation: CheckedContinuation<Result<HTTPResponse, HTTPClientError>, Never>
    /// libcurl writes here until the transfer ends, so it needs an address that stays.
    private let errorText: UnsafeMutablePointer<CChar>
    private var list: UnsafeMutablePointer<curl_slist>?
    private var status = 0
    private var headers = HTTPHeaders()
    private var headerByteCount = 0
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var isForbidden = false
    private var isUnwanted = false

    /// - Parameter receive: takes the body of a successful answer instead of the answer itself.
    init(
        _ request: HTTPRequest, receive: (@Sendable ([UInt8]) -> Bool)? = nil,
        continuation: CheckedContinuation<Result<HTTPResponse, HTTPClientError>, Never>
    ) {
        self.request = request
        self.receive = receive
        self.continuation = continuation
        self.errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        self.errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_slist_free_all(self.list)
        self.errorText.deallocate()
    }

    // MARK: The engine's doors

    /// Sets every option of `handle` that this request and `configuration` ask for.
    ///
    /// - Returns: the first refusal, or `CURLE_OK`.
    func prepare(_ handle: UnsafeMutableRawPointer, _ configuration: HTTPClientConfiguration) -> CURLcode {
        var options = CurlOptions(handle: handle)
        options.set(CURLOPT_URL, self.request.url)
        options.set(CURLOPT_PROTOCOLS_STR, "http,https")
        options.set(CURLOPT_NOSIGNAL, 1)
        options.set(CURLOPT_FOLLOWLOCATION, 0)
        options.set(CURLOPT_NETRC, 0)
        // An empty text, unlike none, also overrules http_proxy and its like in the environment.
        options.set(CURLOPT_PROXY, "")
        options.set(CURLOPT_ACCEPT_ENCODING, "")
        options.set(CURLOPT_TIMEOUT_MS, self.request.timeout.wholeMillisecondsAtLeastOne)
        options.set(CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeout.wholeMillisecondsAtLeastOne)
        options.set(CURLOPT_MAXAGE_CONN, Int(configuration.idleConnectionTimeout.components.seconds))
        options.set(CURLOPT_MAXLIFETIME_CONN, Int(configuration.connectionLifetimeMax.components.seconds))
        options.set(CURLOPT_TCP_KEEPALIVE, 1)
        options.set(
            CURLOPT_HTTP_VERSION,
            configuration.offersHTTP2 ? Int(CURL_HTTP_VERSION_2TLS) : Int(CURL_HTTP_VERSION_1_1))
        options.set(CURLOPT_USERAGENT, configuration.userAgent)
        self.prepareTLS(&options, configuration)
        self.prepareMethod(&options)
        self.prepareHeaders(&options, configuration)
        options.set(CURLOPT_ERRORBUFFER, pointer: self.errorText)
        let user = Unmanaged.passUnretained(self).toOpaque()
        if configuration.refusesPrivateAddresses { options.setAddressGuard(user) }
        options.set(CURLOPT_WRITEDATA, pointer: user)
        options.set(CURLOPT_WRITEFUNCTION) { bytes, size, count, user in
            CurlTransfer.from(user).receiveBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        options.set(CURLOPT_HEADERDATA, pointer: user)
        options.set(CURLOPT_HEADERFUNCTION) { bytes, size, count, user in
            CurlTransfer.from(user).receiveHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        return options.result
    }

    /// Resumes the caller with the answer, or with what `result` means.
    func finish(_ result: CURLcode, handle: UnsafeMutableRawPointer) {
        if self.isTooLarge {
            self.fail(.tooLarge, "the answer exceeds \(self.request.responseByteCountMax) bytes")
        } else if self.isForbidden, result != CURLE_OK {
            self.fail(.forbidden, "the host is in a private network")
        } else if self.isUnwanted {
            self.fail(.cancelled, "ended by who received it")
        } else if result == CURLE_OK {
            self.continuation.resume(
                returning: .success(HTTPResponse(status: self.status, headers: self.headers, body: self.body)))
        } else {
            var systemError = 0
            _ = ccurl_get_long(handle, CURLINFO_OS_ERRNO, &systemError)
            let (code, detail) = CurlFault.classify(
                result, text: String(cString: self.errorText), systemError: systemError)
            self.fail(code, detail)
        }
    }

    /// Resumes the caller with an error of ours. Exactly one of `finish` and `fail` is called, once.
    func fail(_ code: HTTPClientError.Code, _ detail: String, isRetriable: Bool? = nil) {
        self.continuation.resume(
            returning: .failure(
                HTTPClientError(
                    code: code, method: self.request.method, url: self.request.url, detail: detail,
                    isRetriable: isRetriable)))
    }

    fileprivate func refuseAddress() { self.isForbidden = true }

    // MARK: Options

    private func prepareTLS(_ options: inout CurlOptions, _ configuration: HTTPClientConfiguration) {
        options.set(CURLOPT_SSL_VERIFYPEER, 1)
        options.set(CURLOPT_SSL_VERIFYHOST, 2)
        options.set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let file = configuration.certificateAuthorityFile {
            options.set(CURLOPT_CAINFO, file)
            // Or the system's directory would be trusted beside the file.
            options.set(CURLOPT_CAPATH, nil)
        }
        if let file = configuration.clientCertificateFile { options.set(CURLOPT_SSLCERT, file) }
        if let file = configuration.privateKeyFile { options.set(CURLOPT_SSLKEY, file) }
        // Otherwise a renewed authority would be noticed a day later.
        options.set(CURLOPT_CA_CACHE_TIMEOUT, Int(configuration.connectionLifetimeMax.components.seconds))
    }

    private func prepareMethod(_ options: inout CurlOptions) {
        switch self.request.method {
        case .get: options.set(CURLOPT_HTTPGET, 1)
        case .head: options.set(CURLOPT_NOBODY, 1)
        case .post: options.set(CURLOPT_POST, 1)
        case .put, .patch, .delete: break
        }
        let sendsBody: Bool
        switch self.request.method {
        case .get, .delete: sendsBody = self.request.body != nil
        case .head: sendsBody = false
        case .post, .put, .patch: sendsBody = true
        }
        if sendsBody { options.setBody(self.request.body ?? []) }
        // After the body, which would turn the request into a POST.
        if self.request.method != .head { options.set(CURLOPT_CUSTOMREQUEST, self.request.method.rawValue) }
    }

    private func prepareHeaders(_ options: inout CurlOptions, _ configuration: HTTPClientConfiguration) {
        // No waiting for 100 Continue, and no content type that we did not choose.
        var lines = ["Expect:"]
        if self.request.headers["Content-Type"] == nil { lines.append("Content-Type:") }
        if self.request.headers["Authorization"] == nil,
            let authorization = self.request.authorization ?? configuration.authorization
        {
            lines.append("Authorization: \(authorization.headerValue)")
        }
        for field in self.request.headers.fields {
            // A field without a value is spelled with a semicolon, or libcurl would leave it out.
            lines.append(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
        }
        for line in lines { self.list = curl_slist_append(self.list, line) }
        options.set(CURLOPT_HTTPHEADER, list: self.list)
    }

    // MARK: Callbacks

    fileprivate static func from(_ user: UnsafeMutableRawPointer?) -> CurlTransfer {
        guard let user else { preconditionFailure("libcurl lost the transfer") }
        return Unmanaged<CurlTransfer>.fromOpaque(user).takeUnretainedValue()
    }

    /// - Returns: the count taken; fewer than given makes libcurl end the transfer.
    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        if let receive = self.receive, (200..<300).contains(self.status) {
            self.isUnwanted = !receive(Array(bytes))
            return self.isUnwanted ? 0 : bytes.count
        }
        if self.body.count + bytes.count > self.request.responseByteCountMax {
            self.isTooLarge = true
            return 0
        }
        self.body.append(contentsOf: bytes)
        return bytes.count
    }

    private func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        self.headerByteCount += bytes.count
        if self.headerByteCount > Self.headerByteCountMax {
            self.isTooLarge = true
            return 0
        }
        let line = String(decoding: bytes, as: UTF8.self).prefix { $0 != "\r\n" && $0 != "\r" && $0 != "\n" }
        if line.hasPrefix("HTTP/") {
            // A final answer follows an interim one.
            self.headers = HTTPHeaders()
            self.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].trimmingBlanks
            self.headers.add(String(line[..<colon]), String(value))
        }
        return bytes.count
    }
}

/// Sets options and keeps the first refusal.
private struct CurlOptions {
    let handle: UnsafeMutableRawPointer
    private(set) var result = CURLE_OK

    init(handle: UnsafeMutableRawPointer) { self.handle = handle }

    mutating func set(_ option: CURLoption, _ value: Int) { self.note(ccurl_set_long(self.handle, option, value)) }

    mutating func set(_ option: CURLoption, _ value: String?) {
        self.note(ccurl_set_string(self.handle, option, value))
    }

    /// Looks at each address before a socket for it is opened: a name may resolve to anything, at any time.
    mutating func setAddressGuard(_ transfer: UnsafeMutableRawPointer) {
        self.note(ccurl_set_pointer(self.handle, CURLOPT_OPENSOCKETDATA, transfer))
        self.note(
            ccurl_set_open_socket_function(self.handle) { transfer, _, address in
                guard let transfer, let address else { return CURL_SOCKET_BAD }
                guard let target = ccurl_address(address), AddressGuard.isPublic(target) else {
                    CurlTransfer.from(transfer).refuseAddress()
                    return CURL_SOCKET_BAD
                }
                return socket(address.pointee.family, address.pointee.socktype, address.pointee.protocol)
            })
    }

    mutating func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer) {
        self.note(ccurl_set_pointer(self.handle, option, pointer))
    }

    mutating func set(_ option: CURLoption, list: UnsafeMutablePointer<curl_slist>?) {
        self.note(ccurl_set_list(self.handle, option, list))
    }

    mutating func set(
        _ option: CURLoption,
        _ function: @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int
    ) {
        self.note(ccurl_set_bytes_function(self.handle, option, function))
    }

    /// The size first: libcurl copies that many bytes.
    mutating func setBody(_ bytes: [UInt8]) {
        self.note(ccurl_set_offset(self.handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count)))
        bytes.withUnsafeBytes { buffer in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1) { none in
                let start = buffer.baseAddress ?? UnsafeRawPointer(none.baseAddress)
                guard let start else { return }
                self.note(
                    ccurl_set_pointer(self.handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: start)))
            }
        }
    }

    private mutating func note(_ code: CURLcode) {
        if self.result == CURLE_OK { self.result = code }
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}

extension Duration {
    /// For libcurl, to which 0 means "no limit".
    fileprivate var wholeMillisecondsAtLeastOne: Int { Int(clamping: max(1, self.wholeMilliseconds)) }
}
