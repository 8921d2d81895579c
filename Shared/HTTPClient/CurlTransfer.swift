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
    /// A smaller body is copied by libcurl and leaves in one packet with the header; a larger one is read in place.
    private static let copiedBodyByteCountMax = 32 * 1024
    /// libcurl asks for so many bytes of a larger body at a time.
    private static let uploadBufferByteCount = 256 * 1024

    let request: HTTPRequest
    let isCancelled = Atomic(false)

    /// Where the body comes from, when it is made while it is sent.
    private let upload: BodyPipe?
    /// Where the body of a successful answer goes, instead of the answer itself.
    private let download: BodyPipe?
    private let continuation: CheckedContinuation<Result<HTTPResponse, HTTPClientError>, Never>
    /// libcurl writes here until the transfer ends, so it needs an address that stays.
    private let errorText: UnsafeMutablePointer<CChar>
    private var list: UnsafeMutablePointer<curl_slist>?
    private var status = 0
    private var headers = HTTPHeaders()
    private var headerByteCount = 0
    private var body: [UInt8] = []
    /// Of the request's body, what libcurl has taken.
    private var sentByteCount = 0
    /// Of the answer's body, what was handed on.
    private var receivedByteCount = 0
    private var isTooLarge = false
    /// The body is complete as far as it is wanted.
    private var isCut = false
    private var isForbidden = false
    private var isUnwanted = false

    init(
        _ request: HTTPRequest, upload: BodyPipe? = nil, download: BodyPipe? = nil,
        continuation: CheckedContinuation<Result<HTTPResponse, HTTPClientError>, Never>
    ) {
        self.request = request
        self.upload = upload
        self.download = download
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
        // A peer that is gone without a word is noticed after two minutes, also by an answer that goes on for hours.
        options.set(CURLOPT_TCP_KEEPALIVE, 1)
        options.set(CURLOPT_TCP_KEEPIDLE, 30)
        options.set(CURLOPT_TCP_KEEPINTVL, 10)
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
            self.fail(.cancelled, "ended by who brings or takes the body")
        } else if result == CURLE_OK || self.isCut {
            self.settle(.success(HTTPResponse(status: self.status, headers: self.headers, body: self.body)))
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
        self.settle(
            .failure(
                HTTPClientError(
                    code: code, method: self.request.method, url: self.request.url, detail: detail,
                    isRetriable: isRetriable)))
    }

    /// The pipes first: whoever waits at one must not wait for ever.
    private func settle(_ result: Result<HTTPResponse, HTTPClientError>) {
        var fault: HTTPClientError?
        if case .failure(let error) = result { fault = error }
        self.upload?.finish(fault)
        self.download?.finish(fault)
        self.continuation.resume(returning: result)
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
        if sendsBody { self.prepareBody(&options) }
        // After the body, which would turn the request into a POST.
        if self.request.method != .head { options.set(CURLOPT_CUSTOMREQUEST, self.request.method.rawValue) }
    }

    private func prepareBody(_ options: inout CurlOptions) {
        let body = self.request.body ?? []
        if self.upload == nil, body.count <= Self.copiedBodyByteCountMax {
            options.setBody(body)
            return
        }
        // Without a size libcurl sends chunks.
        options.set(CURLOPT_POSTFIELDSIZE_LARGE, offset: curl_off_t(self.upload == nil ? body.count : -1))
        options.set(CURLOPT_UPLOAD_BUFFERSIZE, Self.uploadBufferByteCount)
        let user = Unmanaged.passUnretained(self).toOpaque()
        options.set(CURLOPT_READDATA, pointer: user)
        options.set(CURLOPT_READFUNCTION) { bytes, size, count, user in
            CurlTransfer.from(user).sendBody(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        options.set(CURLOPT_SEEKDATA, pointer: user)
        options.setSeek { user, offset, origin in
            guard let user, origin == SEEK_SET, CurlTransfer.from(user).rewind(to: Int(offset)) else {
                return CURL_SEEKFUNC_FAIL
            }
            return CURL_SEEKFUNC_OK
        }
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

    /// - Returns: the count put into `buffer`, 0 at the end of the body.
    private func sendBody(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let upload = self.upload else {
            let body = self.request.body ?? []
            let count = min(buffer.count, body.count - self.sentByteCount)
            body.withUnsafeBytes { bytes in
                buffer.copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[self.sentByteCount..<self.sentByteCount + count]))
            }
            self.sentByteCount += count
            return count
        }
        switch upload.take(into: buffer) {
        case .bytes(let count):
            self.sentByteCount += count
            return count
        case .later: return Int(CURL_READFUNC_PAUSE)
        case .end: return 0
        case .closed:
            self.isUnwanted = true
            return Int(CURL_READFUNC_ABORT)
        }
    }

    /// libcurl sends the body again, when a kept connection turned out to be dead.
    private func rewind(to offset: Int) -> Bool {
        // What a task has written is gone.
        if self.upload != nil { return offset == self.sentByteCount }
        self.sentByteCount = offset
        return true
    }

    /// - Returns: the count taken; another one than given makes libcurl pause or end the transfer.
    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let download = self.download, (200..<300).contains(self.status) else {
            let room = self.request.responseByteCountMax - self.body.count
            if bytes.count > room {
                guard self.request.cutsResponse else { return self.refuseBody() }
                self.body.append(contentsOf: bytes.prefix(room))
                self.isCut = true
                return 0
            }
            self.body.append(contentsOf: bytes)
            return bytes.count
        }
        if bytes.count > self.request.responseByteCountMax - self.receivedByteCount { return self.refuseBody() }
        switch download.put(bytes) {
        case .taken:
            self.receivedByteCount += bytes.count
            return bytes.count
        case .later: return Int(CURL_WRITEFUNC_PAUSE)
        case .closed:
            self.isUnwanted = true
            return 0
        }
    }

    private func refuseBody() -> Int {
        self.isTooLarge = true
        return 0
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

    mutating func set(_ option: CURLoption, offset: curl_off_t) {
        self.note(ccurl_set_offset(self.handle, option, offset))
    }

    mutating func setSeek(_ function: @convention(c) (UnsafeMutableRawPointer?, curl_off_t, Int32) -> Int32) {
        self.note(ccurl_set_seek_function(self.handle, function))
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
        self.set(CURLOPT_POSTFIELDSIZE_LARGE, offset: curl_off_t(bytes.count))
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
