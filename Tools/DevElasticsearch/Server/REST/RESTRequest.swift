import JSON

/// A request's body: the bytes, and the value once somebody asks for it.
struct RequestBody: Sendable {
    /// Nesting that the real server stops at is 1000; ours is lower because the parser recurses.
    static let depthMax = 64

    let bytes: [UInt8]

    var isEmpty: Bool { self.bytes.isEmpty }

    /// The body as one JSON value.
    ///
    /// - Throws: a 400 with `type` `x_content_parse_exception`.
    func json() throws(ElasticsearchError) -> JSONValue {
        do {
            return try JSONParser.parse(self.bytes, depthMax: Self.depthMax)
        } catch {
            let (line, column) = self.place(offset: error.offset)
            throw ElasticsearchError(400, "x_content_parse_exception", "[\(line):\(column)] \(error.message)")
        }
    }

    /// Line and column, from 1, of the first member called `key`; the beginning when there is none.
    ///
    /// The parser of the real server knows the place exactly; the first occurrence is nearly always it.
    func place(of key: String) -> (line: Int, column: Int) {
        guard let range = self.bytes.firstRange(of: Array("\"\(key)\"".utf8)) else { return (1, 1) }
        return self.place(offset: range.upperBound)
    }

    private func place(offset: Int) -> (line: Int, column: Int) {
        let before = self.bytes.prefix(max(0, min(offset, self.bytes.count)))
        let line = before.count { $0 == 0x0a } + 1
        let column = before.count - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1
        return (line, column)
    }
}

/// A request as the handlers see it.
struct RESTRequest: Sendable {
    var method: String
    /// Without the query, as sent.
    var path: String
    /// With the query, as sent: for error texts.
    var uri: String
    /// Decoded.
    var segments: [String]
    var parameters: [String: String]
    /// Names in lower case.
    var headers: [String: String]
    var body: RequestBody

    /// What the route's placeholders matched.
    var captures: [String: String] = [:]

    func capture(_ name: String) -> String { self.captures[name] ?? "" }

    /// A Boolean parameter; present without a value means true.
    func flag(_ name: String, default standard: Bool = false) throws(ElasticsearchError) -> Bool {
        switch self.parameters[name] {
        case nil: return standard
        case "true", "": return true
        case "false": return false
        case let value?:
            throw .illegalArgument(
                "Failed to parse value [\(value)] as only [true] or [false] are allowed.")
        }
    }

    func integer(_ name: String) throws(ElasticsearchError) -> Int? {
        guard let text = self.parameters[name] else { return nil }
        guard let value = Int(text) else {
            throw .illegalArgument(
                "Failed to parse int parameter [\(name)] with value [\(text)]",
                causedBy: ElasticsearchError.simpleCause(
                    "number_format_exception", "For input string: \"\(text)\""))
        }
        return value
    }

    /// A list with commas between; empty when absent.
    func list(_ name: String) -> [String] {
        self.parameters[name]?.split(separator: ",").map(String.init) ?? []
    }

    /// The body as an object.
    func object() throws(ElasticsearchError) -> [JSONMember] {
        if self.body.isEmpty {
            throw ElasticsearchError(400, "parse_exception", "request body is required")
        }
        guard case .object(let members) = try self.body.json() else {
            throw ElasticsearchError(400, "parsing_exception", "Expected [START_OBJECT] but found another token")
        }
        return members
    }
}

/// An answer, before `filter_path` and `pretty`.
struct RESTResponse: Sendable {
    enum Body: Sendable {
        case json(JSONValue)
        case text(String)
        case none
    }

    var status: Int
    var body: Body
    var headers: [(name: String, value: String)] = []

    init(_ status: Int = 200, _ json: JSONValue) {
        self.status = status
        self.body = .json(json)
    }

    init(status: Int, body: Body, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.body = body
        self.headers = headers
    }

    init(_ error: ElasticsearchError) {
        self.init(status: error.status, body: .json(error.body), headers: error.headers)
    }

    /// `{"error": "text", "status": n}`: how the router itself refuses.
    static func simpleError(
        _ status: Int, _ text: String, headers: [(name: String, value: String)] = []
    ) -> RESTResponse {
        RESTResponse(
            status: status, body: .json(["error": .string(text), "status": .integer(status)]), headers: headers)
    }

    static let acknowledged = RESTResponse(200, ["acknowledged": .bool(true)])
}
