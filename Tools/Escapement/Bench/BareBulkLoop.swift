import CCurl

/// A plain loop of libcurl that posts bulk requests side by side, each over a kept connection of its own, and reads the
/// answers: what the machine and the server allow.
final class BareBulkLoop {
    private let multi: UnsafeMutableRawPointer
    private let list: UnsafeMutablePointer<curl_slist>?
    private let transfers: [Transfer]

    /// One connection.
    private final class Transfer {
        let handle: UnsafeMutableRawPointer
        var answer: [UInt8] = []

        init() throws {
            guard let handle = curl_easy_init() else { throw DevError("libcurl has no handle") }
            self.handle = handle
        }

        deinit { curl_easy_cleanup(self.handle) }
    }

    /// - Parameters:
    ///   - url: of the bulk requests, in full.
    ///   - headers: in lines such as `Content-Encoding: gzip`.
    /// - Throws: `DevError` when libcurl refuses an option.
    init(
        url: String, headers: [String], user: String, password: String, authorityFile: String, connections: Int
    ) throws {
        guard let multi = curl_multi_init() else { throw DevError("libcurl has no handle") }
        self.multi = multi
        self.list = (headers + ["Expect:"]).reduce(nil) { curl_slist_append($0, $1) }
        self.transfers = try (0..<connections).map { _ in try Transfer() }
        for transfer in self.transfers {
            let handle = transfer.handle
            var results = [
                ccurl_set_string(handle, CURLOPT_URL, url), ccurl_set_list(handle, CURLOPT_HTTPHEADER, self.list),
                ccurl_set_string(handle, CURLOPT_PROXY, ""), ccurl_set_string(handle, CURLOPT_ACCEPT_ENCODING, ""),
                ccurl_set_pointer(handle, CURLOPT_WRITEDATA, Unmanaged.passUnretained(transfer).toOpaque()),
                ccurl_set_bytes_function(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, user in
                    guard let bytes, let user else { return 0 }
                    let transfer = Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue()
                    transfer.answer.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
                    return size * count
                },
            ]
            if !user.isEmpty {
                results.append(ccurl_set_string(handle, CURLOPT_USERNAME, user))
                results.append(ccurl_set_string(handle, CURLOPT_PASSWORD, password))
            }
            if !authorityFile.isEmpty { results.append(ccurl_set_string(handle, CURLOPT_CAINFO, authorityFile)) }
            guard results.allSatisfy({ $0 == CURLE_OK }) else { throw DevError("libcurl refuses an option") }
        }
    }

    deinit {
        curl_multi_cleanup(self.multi)
        curl_slist_free_all(self.list)
    }

    /// Posts one body a connection, side by side, and waits for all answers.
    ///
    /// - Precondition: no more bodies than connections.
    func post(_ bodies: [[UInt8]]) throws {
        let busy = zip(self.transfers, bodies)
        defer { for (transfer, _) in busy { curl_multi_remove_handle(self.multi, transfer.handle) } }
        for (transfer, body) in busy {
            transfer.answer.removeAll(keepingCapacity: true)
            // Copied: the same as what our own client does.
            let result = body.withUnsafeBytes { bytes in
                _ = ccurl_set_long(transfer.handle, CURLOPT_POSTFIELDSIZE, bytes.count)
                return ccurl_set_pointer(
                    transfer.handle, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            }
            guard result == CURLE_OK, curl_multi_add_handle(self.multi, transfer.handle) == CURLM_OK else {
                throw DevError("libcurl does not begin a request")
            }
        }
        var running: Int32 = 1
        while running > 0 {
            guard curl_multi_perform(self.multi, &running) == CURLM_OK,
                running == 0 || curl_multi_poll(self.multi, nil, 0, 1000, nil) == CURLM_OK
            else { throw DevError("libcurl does not go on with a request") }
        }
        for (transfer, _) in busy {
            var status = 0
            _ = ccurl_get_long(transfer.handle, CURLINFO_RESPONSE_CODE, &status)
            let isWhole = transfer.answer.starts(with: #"{"errors":false"#.utf8)
            guard status == 200, isWhole else {
                throw DevError(
                    "the bare loop is answered with status \(status): \(String(decoding: transfer.answer.prefix(200), as: UTF8.self))"
                )
            }
        }
    }
}
