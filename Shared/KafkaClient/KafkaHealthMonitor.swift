import Synchronization

/// What a client's connections say about Kafka, as one line an operator understands.
///
/// librdkafka reports failures as events, often several for one cause: a refused password is followed by
/// "all brokers down". The most telling reason is kept until something succeeds.
package final class KafkaHealthMonitor: Sendable {
    /// `nil` is well; otherwise why not.
    package typealias Change = @Sendable (_ reason: String?) -> Void

    private struct State {
        var reason: String?
        var rank = 0
        var isKnown = false
        var isAuthorization = false
    }

    private let user: String?
    private let mechanism: String?
    private let servers: String
    private let change: Change
    private let state = Mutex(State())

    /// - Parameter change: called when the state or its reason changes, from the client's threads; must
    ///   return at once.
    package init(settings: KafkaClientSettings, change: @escaping Change) {
        self.user = settings.value(of: "sasl.username")
        self.mechanism = settings.value(of: "sasl.mechanism") ?? settings.value(of: "sasl.mechanisms")
        self.servers = settings.value(of: "bootstrap.servers") ?? ""
        self.change = change
    }

    /// Why Kafka cannot be used; `nil` when all is well or nothing is known yet.
    package var reason: String? { self.state.withLock { $0.reason } }

    /// A request was answered: the connection, TLS and authentication are well.
    ///
    /// - Parameter isAllowed: it needed rights. One that needs none, as a look at the brokers, leaves a missing right as it is.
    package func succeeded(isAllowed: Bool = true) {
        let changed = self.state.withLock { state in
            if state.isAuthorization, !isAllowed { return false }
            let changed = state.reason != nil || !state.isKnown
            state = State(reason: nil, rank: 0, isKnown: true)
            return changed
        }
        if changed { self.change(nil) }
    }

    /// An error event or a failed request.
    package func failed(_ code: KafkaErrorCode, _ text: String) {
        guard let (rank, reason) = self.classify(code, Self.withoutBroker(text)) else { return }
        let changed: Bool = self.state.withLock { state in
            state.isKnown = true
            // The same cause in other words is no news: an outage is one line, not one for each attempt.
            guard state.reason == nil || rank > state.rank else { return false }
            state.reason = reason
            state.rank = rank
            state.isAuthorization = code.isAuthorization
            return true
        }
        if changed { self.change(reason) }
    }

    /// The rank says how near the cause a reason is: a refused password explains that no broker answers.
    private func classify(_ code: KafkaErrorCode, _ text: String) -> (rank: Int, reason: String)? {
        switch code {
        case .authentication, .saslAuthenticationFailed:
            let who = self.user.map { " for user \($0)" } ?? ""
            let how = self.mechanism.map { " (mechanism \($0))" } ?? ""
            return (4, "SASL authentication failed\(who)\(how): \(text)")
        case _ where code.isAuthorization:
            let who = self.user.map { " \($0)" } ?? ""
            return (3, "the Kafka user\(who) lacks a right: \(text)")
        case .tls:
            return (3, "TLS to Kafka failed: \(text)")
        case .resolve:
            return (2, "the name of a Kafka broker cannot be resolved: \(text)")
        case .transport:
            return (1, "no broker reachable at \(self.servers): \(text)")
        case .allBrokersDown, .timedOut:
            return (0, "no broker reachable at \(self.servers)")
        default:
            return nil
        }
    }

    /// `sasl_ssl://host:1/bootstrap: Connect to … failed` without the broker's name in front, and without
    /// the connection's state at the end, which changes with every attempt.
    static func withoutBroker(_ text: String) -> String {
        var rest = Substring(text)
        // A broker's name is one word; an address further on, as of a token endpoint, is part of the reason.
        if let scheme = rest.range(of: "://"), !rest[..<scheme.lowerBound].contains(" "),
            let colon = rest[scheme.upperBound...].range(of: ": ")
        {
            rest = rest[colon.upperBound...]
        }
        if let state = rest.range(of: " (after ") { rest = rest[..<state.lowerBound] }
        return String(rest)
    }
}

extension Substring {
    /// The first occurrence of `text`. O(n·m), for short lines.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = self.startIndex
        while start < self.endIndex {
            if self[start...].hasPrefix(text) { return start..<self.index(start, offsetBy: text.count) }
            start = self.index(after: start)
        }
        return nil
    }
}
