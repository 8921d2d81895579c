package import EscapementModel

/// How often and how long to try again: full jitter, bounded attempts, the server's own wish honoured.
///
/// After M. Brooker, "Exponential Backoff And Jitter": the wait is drawn from zero to a doubling ceiling, so
/// that clients that failed together do not return together.
package struct RetryPolicy: Equatable, Sendable {
    /// The first attempt included.
    package var attemptCountMax: Int
    /// The ceiling of the first wait; doubles with every further one.
    package var firstDelayMax: Duration
    package var delayMax: Duration
    /// A `Retry-After` beyond this is not waited for: its answer goes to the caller instead.
    package var retryAfterMax: Duration
    /// Whether 429 is tried again here. A caller that can send less had rather know at once.
    package var retriesOverload: Bool

    package init(
        attemptCountMax: Int = 4, firstDelayMax: Duration = .milliseconds(200), delayMax: Duration = .seconds(5),
        retryAfterMax: Duration = .seconds(30), retriesOverload: Bool = true
    ) {
        precondition(attemptCountMax >= 1, "\(attemptCountMax) attempts")
        precondition(firstDelayMax <= delayMax, "first delay \(firstDelayMax) is above the most, \(delayMax)")
        self.attemptCountMax = attemptCountMax
        self.firstDelayMax = firstDelayMax
        self.delayMax = delayMax
        self.retryAfterMax = retryAfterMax
        self.retriesOverload = retriesOverload
    }

    /// What an attempt brought, as far as it matters for another one.
    package enum Outcome: Equatable, Sendable {
        /// An answer that another attempt would not change.
        case final
        /// 429: this server has too much to do.
        case overloaded(retryAfter: Duration?)
        /// 502, 503, 504: this server cannot answer now.
        case unavailable(retryAfter: Duration?)
        /// No answer, but another attempt may bring one.
        case broken
    }

    /// What `response` means for another attempt.
    package static func outcome(of response: HTTPResponse) -> Outcome {
        switch response.status {
        case 429: .overloaded(retryAfter: self.retryAfter(response))
        case 502, 503, 504: .unavailable(retryAfter: self.retryAfter(response))
        default: .final
        }
    }

    /// The wait before the next attempt, or `nil` when there is to be none.
    ///
    /// - Parameters:
    ///   - attempt: the number of the attempt that brought `outcome`, from 1.
    ///   - hasFreshNode: another node, not tried yet for this request, is thought to be well.
    package func delay(
        after outcome: Outcome, attempt: Int, hasFreshNode: Bool, random: inout some RandomNumberGenerator
    ) -> Duration? {
        if attempt >= self.attemptCountMax { return nil }
        let wish: Duration?
        switch outcome {
        case .final: return nil
        case .broken: wish = nil
        case .overloaded where !self.retriesOverload: return nil
        case .unavailable(let retryAfter), .overloaded(let retryAfter): wish = retryAfter
        }
        // One node's trouble is no reason to wait for another node; overload may well be everyone's.
        if hasFreshNode {
            switch outcome {
            case .broken, .unavailable: return .zero
            case .overloaded, .final: break
            }
        }
        if let wish, wish > self.retryAfterMax { return nil }
        let doublings = min(attempt - 1, 20)
        let ceiling = min(self.delayMax, self.firstDelayMax * (1 << doublings))
        let jitter = Duration.milliseconds(Int64.random(in: 0...max(0, ceiling.wholeMilliseconds), using: &random))
        // The jitter comes on top: everyone was told the same time.
        return (wish ?? .zero) + jitter
    }

    /// `Retry-After`, for whole seconds or a date; one that is over asks for no wait, and what cannot be read is
    /// ignored. A date counts from the answer's own `Date`, so no clock of ours matters where there is one.
    ///
    /// - Parameter receivedAt: when the answer came: a date counts from it where the answer has no `Date`; without
    ///   either it is ignored.
    package static func retryAfter(_ response: HTTPResponse, receivedAt: WallInstant? = nil) -> Duration? {
        guard let text = response.headers["Retry-After"] else { return nil }
        if let seconds = Int64(text), seconds >= 0 { return .seconds(min(seconds, 1 << 31)) }
        let sent = response.headers["Date"].flatMap { HTTPDate.milliseconds($0) }
        guard let then = HTTPDate.milliseconds(text), let now = sent ?? receivedAt?.milliseconds else { return nil }
        return .milliseconds(max(0, then - now))
    }
}
