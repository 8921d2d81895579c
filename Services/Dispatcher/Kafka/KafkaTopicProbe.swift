package import DispatcherService
import EscapementModel
import KafkaClient

/// Asks a broker whether a topic is there and its partitions have leaders.
package actor KafkaTopicProbe: TopicProbe {
    static let requestMax = Duration.seconds(2)

    private let connection: KafkaConnection
    private var admin: KafkaAdmin?

    package init(connection: KafkaConnection) { self.connection = connection }

    package func standing(of topic: String) async -> TopicStanding {
        do throws(KafkaError) {
            let admin: KafkaAdmin
            if let current = self.admin {
                admin = current
            } else {
                admin = try self.connection.makeAdmin()
                self.admin = admin
            }
            guard let found = try await admin.metadata(topic: topic, timeout: Self.requestMax).topics.first else {
                return .unknown
            }
            switch found.code {
            case .none where found.partitionCount > 0: return found.leaderlessCount == 0 ? .ready : .leaderless
            case .none, .unknownTopic, .unknownTopicOrPartition: return .unknown
            case let code where code.isPermanentForRecord: return .refused
            default: return .leaderless
            }
        } catch {
            self.admin = nil
            return .silent
        }
    }
}
