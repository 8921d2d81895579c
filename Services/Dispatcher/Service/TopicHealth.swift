import EscapementModel
import Synchronization

/// What this process knows about topics: those that are away while Kafka is not, whose fires wait so that they hold up no
/// others, and those that are known to be there.
package final class TopicHealth: Sendable {
    /// Topics remembered of each kind; more are simply tried.
    private static let countMax = 1024
    /// A topic that Kafka has not known for so long does not exist. A broker that has just started, or that has not heard
    /// of a new topic yet, answers the same for a while.
    package static let missingAfter = Duration.seconds(30)

    private struct State {
        var unavailable: Set<String> = []
        /// Seen to be there.
        var ready: Set<String> = []
        /// Since when Kafka says that it does not know them.
        var unknownSince: [String: MonotonicInstant] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package func isUnavailable(_ topic: String) -> Bool { self.state.withLock { $0.unavailable.contains(topic) } }

    /// All that are away.
    package var unavailable: Set<String> { self.state.withLock { $0.unavailable } }

    /// Those of `topics` of which nothing is known.
    func strangers(in topics: Set<String>) -> [String] {
        self.state.withLock { state in
            state.ready.count >= Self.countMax
                ? [] : topics.filter { !state.ready.contains($0) && !state.unavailable.contains($0) }.sorted()
        }
    }

    /// - Returns: whether that is news.
    @discardableResult package func lost(_ topic: String) -> Bool {
        self.state.withLock { state in
            state.ready.remove(topic)
            return state.unavailable.count < Self.countMax ? state.unavailable.insert(topic).inserted : false
        }
    }

    /// - Returns: whether that is news.
    @discardableResult package func restored(_ topic: String) -> Bool {
        self.state.withLock { state in
            if state.ready.count < Self.countMax { state.ready.insert(topic) }
            state.unknownSince[topic] = nil
            return state.unavailable.remove(topic) != nil
        }
    }

    /// Kafka said whether it knows the topic, or nothing.
    ///
    /// - Returns: whether it has not known it for so long that the topic counts as missing.
    func answered(_ topic: String, isUnknown: Bool, now: MonotonicInstant) -> Bool {
        self.state.withLock { state in
            guard isUnknown else {
                state.unknownSince[topic] = nil
                return false
            }
            guard let since = state.unknownSince[topic] else {
                if state.unknownSince.count < Self.countMax { state.unknownSince[topic] = now }
                return false
            }
            return now.duration(since: since) >= Self.missingAfter
        }
    }
}
