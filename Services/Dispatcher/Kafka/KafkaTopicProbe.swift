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
            guard let found = try await self.client().metadata(topic: topic, timeout: Self.requestMax).topics.first
            else {
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

    /// By their settings, for which one can ask no broker but the one itself. To be refused them is an answer.
    package func reachesLeaders(of topic: String) async -> Bool {
        do throws(KafkaError) {
            let admin = try self.client()
            let leaders = try await admin.metadata(topic: topic, timeout: Self.requestMax).topics.first?.leaderIDs ?? []
            let answers = await admin.settings(
                of: leaders.sorted().map(KafkaResource.broker), timeout: Self.requestMax)
            return answers.allSatisfy { if case .failure(let error) = $0 { !error.code.isLocal } else { true } }
        } catch {
            self.admin = nil
            return true
        }
    }

    private func client() throws(KafkaError) -> KafkaAdmin {
        if let admin { return admin }
        let made = try self.connection.makeAdmin()
        self.admin = made
        return made
    }
}
