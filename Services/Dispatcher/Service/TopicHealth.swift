import Synchronization

/// The topics that are away while Kafka is not: fires for them wait, so that they hold up no others.
package final class TopicHealth: Sendable {
    /// Topics remembered; more are simply tried.
    private static let countMax = 1024

    private let unavailable = Mutex<Set<String>>([])

    package init() {}

    package func isUnavailable(_ topic: String) -> Bool { self.unavailable.withLock { $0.contains(topic) } }

    /// - Returns: whether that is news.
    @discardableResult package func lost(_ topic: String) -> Bool {
        self.unavailable.withLock { $0.count < Self.countMax ? $0.insert(topic).inserted : false }
    }

    /// - Returns: whether that is news.
    @discardableResult package func restored(_ topic: String) -> Bool {
        self.unavailable.withLock { $0.remove(topic) != nil }
    }

    package var count: Int { self.unavailable.withLock { $0.count } }
}
