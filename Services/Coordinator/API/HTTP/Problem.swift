package import ScheduleDocuments

/// Why a request is not answered with what was asked: a `application/problem+json` document (RFC 9457).
package struct Problem: Error, Hashable, Sendable {
    /// One of the things that are wrong, and where.
    package struct Fault: Hashable, Sendable {
        package enum Place: Hashable, Sendable {
            /// A JSON pointer into the body; empty for the whole of it.
            case pointer(String)
            /// A parameter of the query.
            case parameter(String)
            /// A header field of the request.
            case header(String)
        }

        package var place: Place
        package var code: String
        package var detail: String

        package init(_ place: Place, _ code: String, _ detail: String) {
            self.place = place
            self.code = code
            self.detail = detail
        }

        package init(_ problem: DocumentProblem) {
            self.init(.pointer(problem.pointer), problem.code, problem.detail)
        }
    }

    package var status: Int
    package var code: String
    package var detail: String
    package var faults: [Fault]
    /// Seconds after which the same request may succeed.
    package var retryAfterSeconds: Int?
    /// The methods that the resource knows, for status 405.
    package var allow: String?

    package init(_ status: Int, _ code: String, _ detail: String, faults: [Fault] = [], retryAfterSeconds: Int? = nil) {
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = faults
        self.retryAfterSeconds = retryAfterSeconds
        self.allow = nil
    }

    /// The title of a code: the same for every problem of its kind.
    package var title: String {
        switch self.code {
        case Code.malformedJSON: "The body is not JSON"
        case Code.badPageToken: "The page token is not one of ours"
        case Code.unauthenticated: "Credentials are missing or not valid"
        case Code.forbidden: "Not allowed"
        case Code.topicNotAllowed: "The topic is not allowed"
        case Code.notFound: "Not found"
        case Code.methodNotAllowed: "The resource does not know this method"
        case Code.alreadyExists: "The name is taken"
        case Code.alreadyFired: "It has fired already"
        case Code.idempotencyInProgress: "The first request with this key is still being served"
        case Code.idempotencyKeyReused: "The idempotency key belongs to another request"
        case Code.staleETag: "The object has changed since it was read"
        case Code.etagRequired: "If-Match is required"
        case Code.payloadTooLarge: "Too large"
        case Code.unsupportedMediaType: "The media type is not supported"
        case Code.validationFailed: "The request is not valid"
        case Code.neverFires: "The schedule never fires"
        case Code.quotaExceeded: "The namespace's quota is used up"
        case Code.rateLimited: "Too many requests"
        case Code.noLeader: "No coordinator leads"
        case Code.databaseUnavailable: "The database does not answer"
        case Code.activationStoreUnavailable: "The activation store does not answer"
        default: "Internal error"
        }
    }

    /// The words by which programs tell problems apart.
    package enum Code {
        package static let malformedJSON = "MALFORMED_JSON"
        package static let badPageToken = "BAD_PAGE_TOKEN"
        package static let unauthenticated = "UNAUTHENTICATED"
        package static let forbidden = "FORBIDDEN"
        package static let topicNotAllowed = TopicRules.notAllowed
        package static let notFound = "NOT_FOUND"
        package static let methodNotAllowed = "METHOD_NOT_ALLOWED"
        package static let alreadyExists = "ALREADY_EXISTS"
        package static let alreadyFired = "ALREADY_FIRED"
        package static let idempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS"
        package static let idempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED"
        package static let staleETag = "STALE_ETAG"
        package static let etagRequired = "ETAG_REQUIRED"
        package static let payloadTooLarge = TargetDocument.payloadTooLarge
        package static let unsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
        package static let validationFailed = "VALIDATION_FAILED"
        package static let neverFires = "NEVER_FIRES"
        package static let quotaExceeded = "QUOTA_EXCEEDED"
        package static let rateLimited = "RATE_LIMITED"
        package static let noLeader = "NO_LEADER"
        package static let databaseUnavailable = "DATABASE_UNAVAILABLE"
        package static let activationStoreUnavailable = "ACTIVATION_STORE_UNAVAILABLE"
        package static let internalError = "INTERNAL"
    }

    /// `errors` lists at most this many; the detail says how many there are.
    package static let faultsMax = 100
}

extension Problem {
    /// What is wrong with a document. Kinds that have a status of their own get it when all is of that kind.
    package static func invalid(_ problems: [DocumentProblem]) -> Problem {
        self.invalid(problems.map { Fault($0) })
    }

    package static func invalid(_ faults: [Fault]) -> Problem {
        let count = faults.count == 1 ? "1 problem" : "\(faults.count) problems"
        func all(_ codes: String...) -> Bool { !faults.isEmpty && faults.allSatisfy { codes.contains($0.code) } }
        if all(Code.payloadTooLarge) { return Problem(413, Code.payloadTooLarge, count, faults: faults) }
        if all(Code.topicNotAllowed) { return Problem(403, Code.topicNotAllowed, count, faults: faults) }
        if all(Code.neverFires, "EXHAUSTED") { return Problem(422, Code.neverFires, count, faults: faults) }
        return Problem(422, Code.validationFailed, count, faults: faults)
    }

    package static func notFound(_ what: String) -> Problem { Problem(404, Code.notFound, "there is no \(what)") }

    package static func tooLarge(_ what: String, limit: Int, remedy: String) -> Problem {
        let detail = "\(what) has more than \(limit) bytes; \(remedy)"
        return Problem(
            413, Code.payloadTooLarge, detail, faults: [Fault(.pointer(""), Code.payloadTooLarge, detail)])
    }

    package static let notAuthenticated = Problem(
        401, Code.unauthenticated, "send 'Authorization: Bearer TOKEN' with a token of this cluster")

    package static let badPageToken = Problem(
        400, Code.badPageToken, "use the nextPageToken of an earlier answer of the same list",
        faults: [Fault(.parameter("pageToken"), Code.badPageToken, "pageToken is not one of ours")])

    package static func staleETag(_ given: String, current: UInt64) -> Problem {
        Problem(
            412, Code.staleETag, "If-Match says \(given), the object's ETag is \"\(current)\"; read it again",
            faults: [Fault(.header("If-Match"), Code.staleETag, "the current ETag is \"\(current)\"")])
    }
}
