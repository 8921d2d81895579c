import EscapementModel
import Hummingbird
import Logging

/// Tells who calls.
struct Authenticator: Sendable {
    private let clocks: any Clocks
    /// `nil` when everyone may do everything.
    private let tokens: TokenFile?
    private let failures = FailureLimiter()

    init(_ mode: APISettings.Authentication, clocks: any Clocks, logger: Logger) {
        self.clocks = clocks
        switch mode {
        case .open: self.tokens = nil
        case .tokens(let file): self.tokens = TokenFile(path: file, clocks: clocks, logger: logger)
        }
    }

    /// The longest token that is looked at.
    private static let tokenLengthMax = 4096

    /// - Throws: `UNAUTHENTICATED`, or `RATE_LIMITED` after many wrong tokens from one address.
    func caller(of request: Request, from address: String) throws(Problem) -> Caller {
        guard let tokens else { return Caller(identity: "anonymous", role: .admin, namespaces: .all) }
        guard let field = request.headers[.authorization] else { throw .notAuthenticated }
        let parts = field.split(separator: " ", maxSplits: 1)
        if parts.count == 2, parts[0].lowercased() == "bearer", parts[1].utf8.count <= Self.tokenLengthMax,
            let caller = tokens.current().caller(token: String(parts[1]), now: self.clocks.wallNow())
        {
            return caller
        }
        if self.failures.fail(address, now: self.clocks.monotonicNow()) {
            throw Problem(
                429, Problem.Code.rateLimited, "too many wrong tokens from this address",
                retryAfterSeconds: Int(FailureLimiter.refillEvery.components.seconds))
        }
        throw .notAuthenticated
    }
}
