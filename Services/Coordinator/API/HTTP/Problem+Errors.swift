import CoordinatorService
import Hummingbird
import Store

extension Problem {
    /// The problem that an error of any layer is to the caller. What only operators should read (a store's
    /// message) stays out of it and in the log.
    init(describing error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as StoreError: self.init(error)
        case let error as ClusterError: self.init(error)
        case let error as any HTTPResponseError: self.init(error)
        default: self.init(500, Code.internalError, "the request failed; the log has more under its request id")
        }
    }

    private init(_ error: StoreError) {
        switch error.code {
        case .unavailable, .contended:
            self.init(
                503, Code.databaseUnavailable, "the change may or may not have been made; ask again",
                retryAfterSeconds: 1)
        case .schemaMismatch:
            self.init(
                503, Code.databaseUnavailable, "the database's schema does not fit this version", retryAfterSeconds: 30)
        case .corrupt, .refused:
            self.init(500, Code.internalError, "the request failed; the log has more under its request id")
        }
    }

    private init(_ error: ClusterError) {
        switch error.code {
        case "INVALID_QUERY":
            self.init(
                422, Code.validationFailed, "1 problem",
                faults: [Fault(.parameter("query"), error.code, error.detail)])
        case Code.notFound: self.init(404, Code.notFound, error.detail)
        case ClusterError.notPossible: self.init(409, error.code, error.detail)
        case ClusterError.unsupported: self.init(501, error.code, error.detail)
        case Code.badPageToken: self.init(400, Code.badPageToken, error.detail)
        default: self.init(503, error.code, error.detail, retryAfterSeconds: 1)
        }
    }

    private init(_ error: any HTTPResponseError) {
        switch error.status.code {
        case 404: self = .notFound("such resource")
        case 413: self.init(413, Code.payloadTooLarge, "the body is too large; send less at once")
        case 400..<500:
            self.init(error.status.code, Code.validationFailed, "the request is not valid HTTP for this API")
        default: self.init(500, Code.internalError, "the request failed; the log has more under its request id")
        }
    }
}
