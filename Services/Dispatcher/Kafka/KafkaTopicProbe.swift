import DispatcherService
import EscapementModel
import KafkaClient

/// Asks a broker whether a topic's partitions have leaders.
package actor KafkaTopicProbe: TopicProbe {
    static let requestMax = Duration.seconds(2)

    private let connection: KafkaConnection
    private var admin: KafkaAdmin?

    package init(connection: KafkaConnection) { self.connection = connection }

    package func isAvailable(_ topic: String) async -> Bool {
        do throws(KafkaError) {
            let admin: KafkaAdmin
            if let current = self.admin {
                admin = current
            } else {
                admin = try self.connection.makeAdmin()
                self.admin = admin
            }
            let found = try await admin.metadata(topic: topic, timeout: Self.requestMax).topics.first
            // A topic that is gone for good is found out by producing to it.
            return found.map { $0.code.isPermanentForRecord || $0.code == .none && $0.leaderlessCount == 0 } ?? true
        } catch {
            self.admin = nil
            return false
        }
    }
}
