import CCurl

/// A plain loop of libcurl that posts bulk requests over one kept connection: what the machine and the server allow.
final class BareBulkLoop {
    private let handle: UnsafeMutableRawPointer
    private let list: UnsafeMutablePointer<curl_slist>?

    /// - Throws: `DevError` when libcurl refuses an option.
    init(url: String, user: String, password: String, authorityFile: String?) throws {
        guard let handle = curl_easy_init() else { throw DevError("libcurl has no handle") }
        let list = curl_slist_append(curl_slist_append(nil, "Content-Type: application/x-ndjson"), "Expect:")
        self.handle = handle
        self.list = list
        var results = [
            ccurl_set_string(handle, CURLOPT_URL, "\(url)/_bulk"), ccurl_set_list(handle, CURLOPT_HTTPHEADER, list),
            ccurl_set_string(handle, CURLOPT_PROXY, ""),
            ccurl_set_bytes_function(handle, CURLOPT_WRITEFUNCTION) { _, size, count, _ in size * count },
        ]
        if !user.isEmpty {
            results.append(ccurl_set_string(handle, CURLOPT_USERNAME, user))
            results.append(ccurl_set_string(handle, CURLOPT_PASSWORD, password))
        }
        if let authorityFile { results.append(ccurl_set_string(handle, CURLOPT_CAINFO, authorityFile)) }
        guard results.allSatisfy({ $0 == CURLE_OK }) else { throw DevError("libcurl refuses an option") }
    }

    deinit {
        curl_easy_cleanup(self.handle)
        curl_slist_free_all(self.list)
    }

    /// Posts one body and waits for the answer.
    func post(_ body: [UInt8]) throws {
        let result = body.withUnsafeBytes { bytes in
            _ = ccurl_set_long(self.handle, CURLOPT_POSTFIELDSIZE, bytes.count)
            _ = ccurl_set_pointer(self.handle, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            return curl_easy_perform(self.handle)
        }
        var status = 0
        _ = ccurl_get_long(self.handle, CURLINFO_RESPONSE_CODE, &status)
        guard result == CURLE_OK, status == 200 else {
            throw DevError("the bare loop is answered with status \(status), libcurl's code \(result.rawValue)")
        }
    }
}
