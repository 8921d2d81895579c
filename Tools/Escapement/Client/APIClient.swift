import EscapementModel
import HTTPClient
import JSON

/// Requests to the API, their failures as `ClientFailure`.
struct APIClient {
    let client: HTTPClient
    /// Without a slash at the end.
    let server: String
    /// `_` for the token's own.
    let namespace: String
    let timeout: Duration

    /// The path of this client's namespace.
    var home: String { "/v1/namespaces/\(Self.escaped(self.namespace))" }

    /// Sends a request; an answer that is no success is thrown.
    func send(
        _ method: HTTPMethod, _ path: String, query: [(String, String?)] = [], body: [UInt8]? = nil,
        contentType: String = "application/json", headers: HTTPHeaders = [:], compresses: Bool = false
    ) async throws -> HTTPResponse {
        let pairs = query.compactMap { name, value in value.map { "\(name)=\(Self.escaped($0))" } }
        let url = self.server + path + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&"))
        var headers = headers
        if body != nil { headers["Content-Type"] = contentType }
        let response: HTTPResponse
        do {
            response = try await self.client.send(
                HTTPRequest(
                    method, url, headers: headers, body: body, compressesBody: compresses, timeout: self.timeout,
                    responseByteCountMax: 64 * 1024 * 1024))
        } catch {
            throw ClientFailure(error)
        }
        guard response.isSuccess else { throw ClientFailure(response) }
        return response
    }

    /// Sends a request and reads the answer's document.
    func document(
        _ method: HTTPMethod, _ path: String, query: [(String, String?)] = [], body: JSONValue? = nil,
        contentType: String = "application/json", headers: HTTPHeaders = [:]
    ) async throws -> JSONValue {
        let response = try await self.send(
            method, path, query: query, body: body?.bytes, contentType: contentType, headers: headers)
        do {
            return try JSONParser.parse(response.body)
        } catch {
            throw ClientFailure(
                ExitStatus.unexpected, "escapement: the answer of \(path) is not JSON: \(error)",
                "Is \(self.server) an Escapement server?")
        }
    }

    /// All items of a list, page after page, at most `limit` of them; `each` gets them as they come.
    func items(
        _ path: String, query: [(String, String?)], limit: Int, each: (JSONValue) throws -> Void
    ) async throws {
        var token: String?
        var rest = limit
        var isFromMemory = false
        repeat {
            let size = min(rest, Self.pageSize)
            let page = try await self.document(
                .get, path, query: query + [("pageSize", "\(size)"), ("pageToken", token)])
            if page["storeAvailable"] == false, !isFromMemory {
                isFromMemory = true
                Console.tell("the activation store is away: this is what one dispatcher remembers")
            }
            for item in page["items"]?.arrayValue ?? [] where rest > 0 {
                try each(item)
                rest -= 1
            }
            token = page["nextPageToken"]?.stringValue
        } while token != nil && rest > 0
    }

    func shutdown() async { await self.client.shutdown() }

    private static let pageSize = 500

    /// Everything but unreserved characters as `%XX`.
    static func escaped(_ text: String) -> String {
        var escaped: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                escaped.append(byte)
            default:
                escaped.append(contentsOf: "%\(Hexadecimal.text([byte]).uppercased())".utf8)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}
