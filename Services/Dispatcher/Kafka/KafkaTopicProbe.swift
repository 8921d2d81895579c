package import DispatcherService
package import EscapementModel
import KafkaClient

/// Asks a broker whether a topic is there and its partitions have leaders.
package actor KafkaTopicProbe: TopicProbe {
    private struct Look {
        var silent: Task<Set<Int32>, Never>
        /// `nil` while it is under way.
        var endedAt: MonotonicInstant?
    }

    static let requestMax = Duration.seconds(2)
    static let lookEvery = Duration.seconds(5)

    private let connection: KafkaConnection
    private let clocks: any Clocks
    private var admin: KafkaAdmin?
    private var lookAdmin: KafkaAdmin?
    private var look: Look?

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

    package func reachesLeaders(of topic: String) async -> Bool {
        do throws(KafkaError) {
            let leaders = try await self.client().metadata(topic: topic, timeout: Self.requestMax).topics.first?
                .leaderIDs
            return await self.silentBrokers().isDisjoint(with: leaders ?? [])
        } catch {
            self.admin = nil
            return true
        }
    }

    /// One look in `lookEvery` serves all lanes and topics.
    private func silentBrokers() async -> Set<Int32> {
        if let look, look.endedAt.map({ self.clocks.monotonicNow().duration(since: $0) < Self.lookEvery }) ?? true {
            return await look.silent.value
        }
        // Ends by itself: every request in it is bounded in time.
        let silent = Task { await self.lookForSilentBrokers() }
        self.look = Look(silent: silent)
        let brokers = await silent.value
        self.look?.endedAt = self.clocks.monotonicNow()
        return brokers
    }

    /// All are asked at once for their settings, which each of them alone can tell; to be refused them is an answer. By a
    /// client of its own: a broker that is silent holds up nobody who asks for `standing`.
    private func lookForSilentBrokers() async -> Set<Int32> {
        do throws(KafkaError) {
            let admin = if let lookAdmin { lookAdmin } else { try self.connection.makeAdmin() }
            self.lookAdmin = admin
            let brokers = try await admin.metadata(timeout: Self.requestMax).brokerIDs
            let answers = await admin.settings(of: brokers.map(KafkaResource.broker), timeout: Self.requestMax)
            let silent = zip(brokers, answers).filter { _, answer in
                if case .failure(let error) = answer { error.code.isSilence } else { false }
            }
            // Refused for its old certificates it says nothing of the brokers.
            if !silent.isEmpty, admin.holdsOldCertificates {
                self.lookAdmin = nil
                return []
            }
            return Set(silent.map(\.0))
        } catch {
            self.lookAdmin = nil
            return []
        }
    }

    private func client() throws(KafkaError) -> KafkaAdmin {
        if let admin { return admin }
        let made = try self.connection.makeAdmin()
        self.admin = made
        return made
    }
}
