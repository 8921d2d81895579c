import Synchronization

/// Which topics a schedule may name. Without it the dispatcher would be a deputy that writes wherever its own
/// account may, for any tenant.
package final class TopicPolicy: Sendable {
    /// Answers kept; schedules name few topics.
    private static let cacheCountMax = 1024

    /// For fires that name none; always allowed.
    package let defaultTopic: String
    package let deadLetterTopic: String
    /// Anybody may write there, and nobody reads it.
    private let canaryTopic: String
    private let internalPrefix: String
    private let pattern: String
    private let answers = Mutex<[String: Bool]>([:])

    /// - Parameters:
    ///   - pattern: a regular expression that the whole name must match. One that does not compile allows
    ///     nothing; configuration checks it before.
    ///   - internalPrefix: the beginning of the cluster's own topics, refused whatever the pattern says.
    package init(defaultTopic: String, deadLetterTopic: String, pattern: String, internalPrefix: String) {
        self.defaultTopic = defaultTopic
        self.deadLetterTopic = deadLetterTopic
        self.pattern = pattern
        self.internalPrefix = internalPrefix
        self.canaryTopic = "\(internalPrefix)canary"
    }

    /// Whether fires may go to `topic`.
    package func allows(_ topic: String) -> Bool {
        if topic == self.defaultTopic || topic == self.canaryTopic { return true }
        if topic == self.deadLetterTopic || topic.hasPrefix(self.internalPrefix) || topic.hasPrefix("__") {
            return false
        }
        if let answer = self.answers.withLock({ $0[topic] }) { return answer }
        let answer: Bool
        do {
            answer = try Regex(self.pattern).wholeMatch(in: topic) != nil
        } catch {
            answer = false
        }
        self.answers.withLock { answers in
            if answers.count >= Self.cacheCountMax { answers = [:] }
            answers[topic] = answer
        }
        return answer
    }
}
