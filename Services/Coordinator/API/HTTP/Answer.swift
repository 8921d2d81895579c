import Hummingbird
import JSON

/// Answers in the forms that the API has.
enum Answer {
    /// A JSON document.
    static func json(
        _ document: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        self.bytes(document.bytes, status: status, headers: headers)
    }

    /// The bytes of a JSON document.
    static func bytes(
        _ document: [UInt8], status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: document)))
    }

    static let noContent = Response(status: .noContent)

    /// A problem's document. `instance` is the request's path.
    static func problem(_ problem: Problem, instance: String, requestID: String) -> Response {
        let faults = problem.faults.prefix(Problem.faultsMax).map { fault -> JSONValue in
            let place: (name: String, value: String) =
                switch fault.place {
                case .pointer(let pointer): ("pointer", pointer)
                case .parameter(let name): ("parameter", name)
                case .header(let name): ("header", name)
                }
            return .object([
                JSONMember(place.name, .string(place.value)), JSONMember("code", .string(fault.code)),
                JSONMember("detail", .string(fault.detail)),
            ])
        }
        let type = problem.code.lowercased().map { $0 == "_" ? "-" : String($0) }.joined()
        let document = JSONValue.record([
            "type": .string("/problems/\(type)"), "title": .string(problem.title),
            "status": .integer(problem.status), "code": .string(problem.code), "detail": .string(problem.detail),
            "instance": .string(instance), "requestId": .string(requestID),
            "errors": faults.isEmpty ? nil : .array(faults),
        ])
        var headers: HTTPFields = [.contentType: "application/problem+json"]
        if let seconds = problem.retryAfterSeconds { headers[.retryAfter] = "\(seconds)" }
        if let allow = problem.allow { headers[.allow] = allow }
        if problem.status == 401 { headers[.wwwAuthenticate] = "Bearer realm=\"escapement\"" }
        return Response(
            status: HTTPResponse.Status(code: problem.status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: document.bytes)))
    }
}
