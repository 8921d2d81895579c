import DevKafka
import DispatcherKafka
import DispatcherService
import KafkaClient
import Testing

@Suite struct InspectionTests {
    @Test func `topics that are missing are created once and then found sound`() async throws {
        try await KafkaFixture.with { fixture in
            let topics = { (_: Int) in
                ClusterTopics(
                    cluster: "other", laneCount: 3, defaultTopic: "other.fires", deadLetterTopic: "other.dead")
            }
            let admin = try fixture.connection.makeAdmin()
            let inspection = KafkaInspection(admin: admin)
            let before = try await inspection.run(topics: topics, creates: false)
            #expect(before.count { $0.level == .problem } == 4)
            #expect(before.contains { $0.level == .warning && $0.text.contains("escapement.other.canary") })
            #expect(before.contains { $0.text.contains("escapement.other.journal") && $0.text.contains("kafka setup") })
            let during = try await inspection.run(topics: topics, creates: true)
            #expect(during.count { $0.level == .problem } == 0)
            let after = try await inspection.run(topics: topics, creates: false)
            #expect(after.count { $0.level == .problem } == 0)
            await admin.close()
        }
    }

    @Test func `a missing right to the transactional ids of lanes is a problem`() async throws {
        try await KafkaFixture.with { fixture in
            func look() async -> KafkaInspection.Finding {
                await KafkaInspection.lanes(
                    of: KafkaFixture.cluster, settings: fixture.connection.settings, logger: KafkaFixture.logger,
                    health: fixture.connection.monitor)
            }
            try await fixture.broker.order(Fault(.error(.transactionalIDAuthorizationFailed), api: .initProducerID))
            let refused = await look()
            #expect(refused.level == .problem)
            #expect(refused.text.contains("esc.test.lane.…: this user may not use them"), "\(refused.text)")
            let found = await look()
            #expect(found.level == .ok, "\(found.text)")
        }
    }

    @Test func `looking for a topic does not create it`() async throws {
        try await KafkaFixture.with(createsTopics: true) { fixture in
            let admin = try fixture.connection.makeAdmin()
            #expect(try await admin.metadata(topic: "no.such.topic", timeout: .seconds(5)).topics.isEmpty)
            #expect(try await admin.metadata(topic: "no.such.topic", timeout: .seconds(5)).topics.isEmpty)
            #expect(
                try await admin.metadata(topic: "escapement.fires", timeout: .seconds(5)).topics.map(\.partitionCount)
                    == [2])
            await admin.close()
        }
    }

    @Test func `a journal with another number of partitions is a problem`() async throws {
        try await KafkaFixture.with { fixture in
            let admin = try fixture.connection.makeAdmin()
            let findings = try await KafkaInspection(admin: admin).run(
                topics: { _ in
                    ClusterTopics(
                        cluster: KafkaFixture.cluster, laneCount: 5, defaultTopic: "escapement.fires",
                        deadLetterTopic: "escapement.deadletters")
                }, creates: false)
            let problems = findings.filter { $0.level == .problem }.map(\.text)
            #expect(problems.count == 2)
            #expect(problems.allSatisfy { $0.contains("partitions, but the lanes of the cluster ask for") })
            await admin.close()
        }
    }

    @Test(arguments: [
        (["inter.broker.protocol.version": "3.5-IV2"], KafkaInspection.Finding.Level.warning),
        (["inter.broker.protocol.version": "3.6"], .ok), (["inter.broker.protocol.version": "4.0-IV3"], .ok),
        (["message.max.bytes": "500000"], .problem), (["transaction.max.timeout.ms": "10000"], .problem),
    ])
    func `unsafe broker settings are named`(settings: [String: String], level: KafkaInspection.Finding.Level) {
        let findings = KafkaInspection.judge(brokers: [1: .success(settings)], replicaCount: 1)
        #expect(findings.map(\.level) == [level])
        #expect(findings.allSatisfy { finding in settings.values.contains { finding.text.contains($0) } })
    }

    /// The settings in the order of `names`.
    @Test(arguments: [
        (replicaCount: 3, settings: ["3", "2", "2", "false"], texts: [String]()),
        (3, ["3", "1", "2", "false"], ["transaction.state.log.min.isr is 1, "]),
        // Raising the other before there are more copies would stop transactions.
        (3, ["2", "1", "2", "false"], ["transaction.state.log.replication.factor is 2 where 3 are possible"]),
        (3, ["3", "2", "1", "false"], ["min.insync.replicas is 1 for topics that set none themselves"]),
        (3, ["3", "2", "2", "true"], ["unclean.leader.election.enable is on"]),
        (
            3, ["1", "1", "1", "true"],
            ["replication.factor is 1", "min.insync.replicas is 1", "unclean.leader.election.enable is on"]
        ), (2, ["2", "1", "1", "false"], []), (2, ["1", "1", "1", "true"], ["replication.factor is 1", "unclean"]),
        // One copy of everything, which is said of the cluster.
        (1, ["1", "1", "1", "true"], []),
    ])
    func `broker settings under which several copies are not enough are named`(
        replicaCount: Int, settings: [String], texts: [String]
    ) {
        let names = [
            "transaction.state.log.replication.factor", "transaction.state.log.min.isr", "min.insync.replicas",
            "unclean.leader.election.enable",
        ]
        let broker = Dictionary(uniqueKeysWithValues: zip(names, settings))
        let findings = KafkaInspection.judge(brokers: [1: .success(broker)], replicaCount: replicaCount)
        #expect(findings.count == texts.count, "\(findings.map(\.text))")
        for (finding, text) in zip(findings, texts) {
            #expect(finding.text.contains(text))
            #expect(finding.level == .warning)
        }
    }

    @Test func `what all brokers share is said once, and the rest with their ids`() {
        let version = "inter.broker.protocol.version"
        let findings = KafkaInspection.judge(
            brokers: [
                1: .success([version: "3.6", "transaction.state.log.min.isr": "1"]),
                2: .success([version: "3.5", "transaction.state.log.min.isr": "1"]),
                10: .success([version: "3.6", "transaction.state.log.min.isr": "1"]),
            ], replicaCount: 3)
        let texts = ["brokers 1, 10: version 3.6", "all brokers: transaction.state.log.min", "broker 2: version 3.5; "]
        #expect(findings.map(\.level) == [.ok, .warning, .warning])
        for (finding, text) in zip(findings, texts) { #expect(finding.text.hasPrefix(text)) }
    }

    @Test func `a broker whose settings cannot be read is a warning that names it`() {
        let settings = ["inter.broker.protocol.version": "3.6"]
        let findings = KafkaInspection.judge(
            brokers: [1: .success(settings), 2: .failure(KafkaError(.timedOut)), 3: .success(settings)],
            replicaCount: 3)
        #expect(findings.map(\.level) == [.ok, .warning])
        #expect(findings.last?.text.hasPrefix("broker 2: the settings cannot be read: _TIMED_OUT") == true)
    }

    @Test func `every broker is asked`() async throws {
        try await KafkaFixture.with(brokers: 3, configure: { $0.defaultReplicasMin = [1: 2, 2: 2] }) { fixture in
            try await fixture.broker.order(Fault(.disconnect, api: .describeConfigs, broker: 2, count: 100))
            let admin = try fixture.connection.makeAdmin()
            let findings = try await KafkaInspection(admin: admin).run(topics: { _ in fixture.topics }, creates: false)
            let texts = findings.map(\.text)
            #expect(texts.contains { $0.hasPrefix("brokers 1, 3: version 3.6") }, "\(texts)")
            #expect(texts.contains { $0.hasPrefix("brokers 1, 3: transaction.state.log.min.isr is 1, ") })
            #expect(texts.contains { $0.hasPrefix("broker 2: the settings cannot be read: ") })
            #expect(texts.contains { $0.hasPrefix("broker 3: min.insync.replicas is 1 ") })
            #expect(findings.allSatisfy { $0.level != .problem })
            await admin.close()
        }
    }

    @Test func `the right that is missing to read settings is named`() async throws {
        try await KafkaFixture.with(brokers: 2) { fixture in
            let broker = fixture.broker
            try await broker.order(Fault(.error(.clusterAuthorizationFailed), api: .describeConfigs, count: 2))
            try await broker.order(
                Fault(.error(.topicAuthorizationFailed), api: .describeConfigs, topic: "escapement.fires"))
            let admin = try fixture.connection.makeAdmin()
            let findings = try await KafkaInspection(admin: admin).run(topics: { _ in fixture.topics }, creates: false)
            let texts = findings.filter { $0.text.contains("this user may not read the settings") }.map(\.text)
            try #require(texts.count == 2, "\(findings.map(\.text))")
            #expect(texts[0].hasPrefix("all brokers: "))
            #expect(texts[0].hasSuffix("allow DescribeConfigs on the cluster"))
            #expect(texts[1].hasPrefix("topic escapement.fires (fires): "))
            #expect(texts[1].hasSuffix("allow DescribeConfigs"))
            #expect(findings.allSatisfy { $0.level != .problem })
            await admin.close()
        }
    }

    @Test(arguments: [
        (["retention.bytes": "1000000"], KafkaInspection.Finding.Level.problem), (["retention.bytes": "-1"], .ok),
        (["retention.ms": "86400000"], .warning), (["cleanup.policy": "compact"], .problem),
        (["unclean.leader.election.enable": "true"], .problem),
    ])
    func `settings under which the journal loses records are named`(
        settings: [String: String], level: KafkaInspection.Finding.Level
    ) async throws {
        try await KafkaFixture.with { fixture in
            let journal = try #require(fixture.topics.all.first)
            let admin = try fixture.connection.makeAdmin()
            let found = try #require(try await admin.metadata(topic: journal.name, timeout: .seconds(5)).topics.first)
            let findings = KafkaInspection.judge(
                journal, found, replicaCount: 1, settings: settings, name: "the journal")
            #expect(findings.map(\.level) == [level], "\(findings.map(\.text))")
            await admin.close()
        }
    }

    @Test(arguments: [
        (copies: 1, possible: 1, inSync: "1", texts: ["1 copies"]), (3, 3, "2", ["3 copies"]),
        (1, 3, "1", ["has 1 copies where 3 are possible: add replicas (kafka-reassign-partitions) before raising"]),
        (2, 3, "1", ["has 2 copies where 3 are possible"]), (1, 2, "1", ["has 1 copies where 2 are possible"]),
        (2, 3, "2", ["has 2 copies where 3 are possible", "one lost broker stops it"]),
        // A broker is away: its copies count.
        (3, 2, "2", ["3 copies"]), (3, 3, "1", ["set 2"]),
    ])
    func `a topic with fewer copies than there could be is told to get them first`(
        copies: Int, possible: Int, inSync: String, texts: [String]
    ) async throws {
        try await KafkaFixture.with { fixture in
            let topics = ClusterTopics(
                cluster: KafkaFixture.cluster, laneCount: 2, defaultTopic: "escapement.fires",
                deadLetterTopic: "escapement.deadletters", replicaCount: possible)
            let journal = try #require(topics.all.first)
            let admin = try fixture.connection.makeAdmin()
            var found = try #require(try await admin.metadata(topic: journal.name, timeout: .seconds(5)).topics.first)
            found.replicaCount = copies
            let findings = KafkaInspection.judge(
                journal, found, replicaCount: possible, settings: ["min.insync.replicas": inSync], name: "the journal")
            #expect(findings.count == texts.count, "\(findings.map(\.text))")
            for (finding, text) in zip(findings, texts) {
                #expect(finding.text.contains(text))
                #expect(finding.level == (finding.text.contains("partitions, ") ? .ok : .warning))
            }
            await admin.close()
        }
    }

    @Test func `a topic of parked fires that keeps them for less than they may wait is a problem`() async throws {
        try await KafkaFixture.with { fixture in
            let parked = try #require(fixture.topics.all.first { $0.keepsFires })
            #expect(try #require(parked.retentionMilliseconds) > Int(PublishingRules.parkedMax / .milliseconds(1)))
            let admin = try fixture.connection.makeAdmin()
            let found = try #require(try await admin.metadata(topic: parked.name, timeout: .seconds(5)).topics.first)
            let findings = KafkaInspection.judge(
                parked, found, replicaCount: 1, settings: ["retention.ms": "86400000"], name: parked.name)
            #expect(findings.map(\.level) == [.problem], "\(findings.map(\.text))")
            await admin.close()
        }
    }
}
