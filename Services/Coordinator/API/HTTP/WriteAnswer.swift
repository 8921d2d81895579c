import Hummingbird
import JSON

/// The answer to a request that changed something, in a form that can be kept for its repetitions.
struct WriteAnswer: Hashable, Sendable {
    var status: Int
    var document: JSONValue
    var etag: String?
    var location: String?

    init(_ status: Int, _ document: JSONValue, etag: String? = nil, location: String? = nil) {
        self.status = status
        self.document = document
        self.etag = etag
        self.location = location
    }

    func response(isReplay: Bool = false) -> Response {
        var headers: HTTPFields = [:]
        if let etag { headers[.eTag] = etag }
        if let location { headers[.location] = location }
        if isReplay { headers[own: .idempotencyReplayed] = "true" }
        return Answer.json(self.document, status: HTTPResponse.Status(code: self.status), headers: headers)
    }

    /// As it is kept.
    var bytes: [UInt8] {
        JSONValue.record([
            "status": .integer(self.status), "etag": self.etag.map { .string($0) },
            "location": self.location.map { .string($0) }, "document": self.document,
        ]).bytes
    }

    /// `nil` when the bytes are none of ours, such as a later version's.
    init?(bytes: [UInt8]) {
        guard let kept = try? JSONParser.parse(bytes, depthMax: 64), let status = kept["status"]?.integerValue,
            let document = kept["document"]
        else { return nil }
        self.init(
            Int(status), document, etag: kept["etag"]?.stringValue, location: kept["location"]?.stringValue)
    }
}
