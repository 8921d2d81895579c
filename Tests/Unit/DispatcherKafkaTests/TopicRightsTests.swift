import DevKafka
import DispatcherKafka
import DispatcherService
import EscapementModel
import KafkaClient
import Observability
import Testing

/// What a dispatcher's user sees of topics that it may not describe: Kafka leaves them out of its lists.
@Suite struct TopicRightsTests {
    private func forbid(_ topic: String, _ fixture: KafkaFixture) async throws {
        try await fixture.broker.order(
            Fault(.error(.topicAuthorizationFailed), api: .metadata, topic: topic, count: 1000))
    }

    @Test(arguments: ["escapement.fires", "hidden"])
    func `a topic that may not be described is told from one that does not exist`(forbidden: String) async throws {
        try await KafkaFixture.with(createsTopics: true) { fixture in
            try await self.forbid(forbidden, fixture)
            let admin = try fixture.connection.makeAdmin()
            func code(_ topic: String) async throws -> KafkaErrorCode? {
                try await admin.metadata(topic: topic, timeout: .seconds(5)).topics.first?.code
            }
            #expect(try await code(forbidden) == .topicAuthorizationFailed)
            #expect(try await code("nix") == nil)
            #expect(try await code("no such topic") == .invalidTopic)
            #expect(try await code("escapement.deadletters") == KafkaErrorCode.none)
            await admin.close()
            await #expect(throws: AdminError.self, "asking created it") { try await fixture.broker.records("nix") }
        }
    }

    @Test func `the probe knows a forbidden topic from a missing one`() async throws {
        try await KafkaFixture.with { fixture in
            try await fixture.broker.createTopic("guarded")
            try await self.forbid("guarded", fixture)
            let probe = KafkaTopicProbe(connection: fixture.connection, clocks: SystemClocks())
            #expect(await probe.standing(of: "guarded") == .refused)
            #expect(await probe.standing(of: "nix") == .unknown)
            #expect(await probe.standing(of: "escapement.fires") == .ready)
        }
    }

    @Test(arguments: [(Fault.Effect.mute, false), (.error(.clusterAuthorizationFailed), true)])
    func `a broker that is silent is out of reach, one that refuses its settings is not`(
        effect: Fault.Effect, isReached: Bool
    ) async throws {
        try await KafkaFixture.with { fixture in
            let probe = KafkaTopicProbe(connection: fixture.connection, clocks: SystemClocks())
            try await fixture.broker.order(Fault(effect, api: .describeConfigs, count: 1000))
            #expect(await probe.reachesLeaders(of: "escapement.fires") == isReached)
            #expect(await probe.standing(of: "escapement.fires") == .ready)
        }
    }

    /// The keeper of parked fires sends them to a forbidden topic, and this is what they come back with.
    @Test func `a record for a topic that may not be described is refused as forbidden`() async throws {
        try await KafkaFixture.with { fixture in
            try await fixture.broker.createTopic("guarded")
            try await self.forbid("guarded", fixture)
            let producer = SharedProducer(connection: fixture.connection)
            let deliveries = await producer.produce(
                [KafkaFixture.record("secret", topic: "guarded"), KafkaFixture.record("a")], handedOver: {})
            try #require(deliveries.count == 2)
            guard case .refused(.forbiddenTopic, _) = deliveries[0], case .delivered = deliveries[1] else {
                Issue.record("\(deliveries)")
                return
            }
        }
    }

    @Test(arguments: [true, false])
    func `an inspection says that the right is missing, and not that the topic is`(isOptional: Bool) async throws {
        try await KafkaFixture.with { fixture in
            let topics = fixture.topics
            let canary = try #require(topics.all.first { $0.isOptional })
            try await self.forbid(isOptional ? canary.name : "escapement.fires", fixture)
            let admin = try fixture.connection.makeAdmin()
            for creates in [false, true] {
                let findings = try await KafkaInspection(admin: admin).run(topics: { _ in topics }, creates: creates)
                let problems = findings.filter { $0.level == .problem }.map(\.text)
                #expect(problems.count == (isOptional ? 0 : 1), "\(problems)")
                let said = isOptional ? "(canary): this user may not" : "escapement.fires (fires): this user may not"
                let level = isOptional ? KafkaInspection.Finding.Level.warning : .problem
                #expect(findings.contains { $0.level == level && $0.text.contains(said) })
                #expect(!findings.contains { $0.text.contains("does not exist") })
            }
            await admin.close()
        }
    }

    @Test(arguments: [
        (
            topic: "escapement.fires",
            status: HealthStatus.notReady("the Kafka user may not use the topic escapement.fires")
        ),
        // The cluster works without it.
        (PublishingRules.canaryTopic(of: KafkaFixture.cluster), .ok),
    ])
    func `the keeper says which topic it may not use`(topic: String, status: HealthStatus) async throws {
        try await KafkaFixture.with { fixture in
            try await self.forbid(topic, fixture)
            let topics = fixture.topics
            let keeper = KafkaKeeper(
                topics: { _ in topics }, connection: fixture.connection, health: fixture.health,
                clocks: SystemClocks(), logger: KafkaFixture.logger)
            let initial = fixture.health.status(of: KafkaKeeper.check)
            let run = Task { try await keeper.run() }
            while fixture.health.status(of: KafkaKeeper.check) == initial { await Task.yield() }
            #expect(fixture.health.status(of: KafkaKeeper.check) == status)
            run.cancel()
            _ = await run.result
        }
    }
}
