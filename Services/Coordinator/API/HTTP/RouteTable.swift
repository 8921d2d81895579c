import EscapementModel
import Hummingbird
import JSON

/// One operation of the API: how it is reached, what it needs, what the API's description says of it.
struct Route: Sendable {
    typealias Handler = @Sendable (APICall) async throws -> Response

    /// A parameter of the query, for the description.
    struct Parameter: Sendable {
        var name: String
        var schema: JSONValue
        var summary: String

        init(_ name: String, _ schema: JSONValue, _ summary: String) {
            self.name = name
            self.schema = schema
            self.summary = summary
        }
    }

    var method: HTTPRequest.Method
    /// `/v1/namespaces/{namespace}/schedules/{name}`
    var path: String
    var id: String
    var summary: String
    /// `nil`: no token is needed.
    var permission: Permission?
    var query: [Parameter] = []
    /// Name of the schema of the body; `nil` for none.
    var body: String?
    var bodyMediaType = "application/json"
    /// Statuses of success and the names of their schemas; an empty name for no content.
    var answers: [Int: String]
    var handler: Handler

    init(
        _ method: HTTPRequest.Method, _ path: String, id: String, _ summary: String, needs permission: Permission?,
        query: [Parameter] = [], body: String? = nil, bodyMediaType: String = "application/json",
        answers: [Int: String], handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.id = id
        self.summary = summary
        self.permission = permission
        self.query = query
        self.body = body
        self.bodyMediaType = bodyMediaType
        self.answers = answers
        self.handler = handler
    }

    var segments: [Substring] { self.path.split(separator: "/", omittingEmptySubsequences: true) }

    /// Names of the parameters in the path.
    var pathParameters: [String] {
        self.segments.filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }
}

/// All operations; what the router, the description and the answer 405 are made from.
struct RouteTable: Sendable {
    let routes: [Route]

    init(_ routes: [Route]) { self.routes = routes }

    /// The methods that some route has at `path`; empty when there is no such path.
    func methods(at path: String) -> [String] {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        let found = self.routes.filter { route in
            let segments = route.segments
            return segments.count == parts.count
                && zip(segments, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        return Set(found.map(\.method.rawValue)).sorted()
    }
}
