package import DispatcherService
package import EscapementModel
import KafkaClient

/// Asks a broker whether a topic is there and its partitions have leaders.
package actor KafkaTopicProbe: TopicProbe {
    static let requestMax = Duration.seconds(2)
    static let lookEvery = Duration.seconds(5)

    private let connection: KafkaConnection
    private let clocks: any Clocks
    private var admin: KafkaAdmin?
    private var leaderAdmin: KafkaAdmin?
    private var looks: [String: (begunAt: MonotonicInstant, answer: Task<Bool, Never>)] = [:]

    package init(connection: KafkaConnection, clocks: any Clocks) {
        self.connection = connection
        self.clocks = clocks
    }

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
    ///
    /// One look in `lookEvery` serves all lanes, through a client of its own: a leader that is silent holds up nobody
    /// who asks for `standing`.
    package func reachesLeaders(of topic: String) async -> Bool {
        let now = self.clocks.monotonicNow()
        if let look = self.looks[topic], now.duration(since: look.begunAt) < Self.lookEvery {
            return await look.answer.value
        }
        self.looks = self.looks.filter { now.duration(since: $0.value.begunAt) < Self.lookEvery }
        // Ends by itself: every request in it is bounded in time.
        let answer = Task { await self.look(topic) }
        self.looks[topic] = (now, answer)
        return await answer.value
    }

    private func look(_ topic: String) async -> Bool {
        do throws(KafkaError) {
            let admin = if let leaderAdmin { leaderAdmin } else { try self.connection.makeAdmin() }
            self.leaderAdmin = admin
            let leaders = try await admin.metadata(topic: topic, timeout: Self.requestMax).topics.first?.leaderIDs ?? []
            let answers = await admin.settings(
                of: leaders.sorted().map(KafkaResource.broker), timeout: Self.requestMax)
            return answers.allSatisfy { if case .failure(let error) = $0 { !error.code.isLocal } else { true } }
        } catch {
            self.leaderAdmin = nil
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
