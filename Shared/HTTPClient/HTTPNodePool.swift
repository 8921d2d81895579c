package import EscapementModel
import Synchronization

/// Several servers with the same content behind one door: failover, and retries with full jitter.
///
/// A request may reach servers more than once, so hand in only what may be repeated.
package final class HTTPNodePool: Sendable {
    private struct State {
        var roster: NodeRoster
        var random: any RandomNumberGenerator & Sendable
    }

    package let policy: RetryPolicy
    private let client: HTTPClient
    private let baseURLs: [String]
    private let clocks: any Clocks
    private let state: Mutex<State>

    /// - Parameters:
    ///   - baseURLs: such as `https://es-0:9200` or `https://proxy/elastic`; a slash at the end is dropped.
    ///   - random: for the jitter and for nothing else.
    /// - Precondition: there is at least one base URL.
    package init(
        client: HTTPClient, baseURLs: [String], policy: RetryPolicy = RetryPolicy(), clocks: any Clocks,
        random: any RandomNumberGenerator & Sendable
    ) {
        self.client = client
        self.baseURLs = baseURLs.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        self.policy = policy
        self.clocks = clocks
        self.state = Mutex(State(roster: NodeRoster(count: baseURLs.count), random: random))
    }

    /// The instant after `duration`, for `send`.
    package func deadline(after duration: Duration) -> MonotonicInstant {
        self.clocks.monotonicNow().advanced(by: duration)
    }

    /// How many servers are not resting after a failure.
    package var wellNodeCount: Int {
        let now = self.clocks.monotonicNow()
        return self.state.withLock { $0.roster.wellCount(now: now) }
    }

    /// Sends `request`, whose `url` is a path with its query, until an answer is worth handing on.
    ///
    /// Tries again after 429, 502, 503, 504 and after errors that are retriable, within the policy. The last answer
    /// is returned whatever its status.
    ///
    /// - Parameter deadline: no attempt begins later, and none goes on for longer; `nil` leaves it to the policy. Each
    ///   attempt has the request's own time-out, cut at the deadline.
    /// - Throws: `HTTPClientError` of the last attempt; `cancelled` also when cancelled between attempts.
    package func send(
        _ request: HTTPRequest, deadline: MonotonicInstant? = nil
    ) async throws(HTTPClientError) -> HTTPResponse {
        precondition(request.url.hasPrefix("/"), "the pool needs a path, not \(request.url.prefix(16))")
        var tried: Set<Int> = []
        var attempt = 1
        while true {
            let beginning = self.clocks.monotonicNow()
            let node = self.state.withLock { $0.roster.take(avoiding: tried, now: beginning) }
            tried.insert(node)
            var absolute = request
            absolute.url = self.baseURLs[node] + request.url
            if let deadline {
                // A deadline that has passed still gets an answer from libcurl: that the time is up.
                let left = max(deadline.duration(since: beginning), .milliseconds(1))
                absolute.timeout = min(request.timeout, left)
            }
            let result = await self.attempt(absolute)
            let outcome = try Self.outcome(of: result)
            let now = self.clocks.monotonicNow()
            let delay = self.note(outcome, node: node, tried: tried, attempt: attempt, now: now)
            guard let delay, deadline.map({ now.advanced(by: delay) < $0 }) ?? true else { return try result.get() }
            try await self.wait(delay, request: absolute)
            attempt += 1
        }
    }

    private func attempt(_ request: HTTPRequest) async -> Result<HTTPResponse, HTTPClientError> {
        do {
            return .success(try await self.client.send(request))
        } catch {
            return .failure(error)
        }
    }

    private static func outcome(
        of result: Result<HTTPResponse, HTTPClientError>
    ) throws(HTTPClientError) -> RetryPolicy.Outcome {
        switch result {
        case .success(let response): return RetryPolicy.outcome(of: response)
        case .failure(let error) where error.isRetriable: return .broken
        case .failure(let error): throw error
        }
    }

    private func note(
        _ outcome: RetryPolicy.Outcome, node: Int, tried: Set<Int>, attempt: Int, now: MonotonicInstant
    ) -> Duration? {
        self.state.withLock { state in
            switch outcome {
            case .final, .overloaded: state.roster.succeeded(node)
            case .unavailable, .broken: state.roster.failed(node, now: now)
            }
            let hasFreshNode = state.roster.hasFresh(besides: tried, now: now)
            return self.policy.delay(
                after: outcome, attempt: attempt, hasFreshNode: hasFreshNode, random: &state.random)
        }
    }

    private func wait(_ delay: Duration, request: HTTPRequest) async throws(HTTPClientError) {
        do {
            if delay > .zero { try await self.clocks.sleep(for: delay) }
        } catch {
            throw HTTPClientError(
                code: .cancelled, method: request.method, url: request.url, detail: "cancelled between attempts")
        }
    }
}
