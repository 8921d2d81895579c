import DevKafka
import Testing

/// What brokers say of their settings is what they do.
@Suite struct SettingsTests {
    @Test func `a broker describes itself only`() async throws {
        let two = Array(repeating: ClusterConfiguration.Address(host: "127.0.0.1", port: 0), count: 2)
        try await RawClient.with(configure: { $0.listeners = two }) { client async throws in
            let own = try client.settings(type: 4, "1")
            #expect(own.code == 0)
            #expect(own.values["broker.id"] == "1")
            #expect(own.values["min.insync.replicas"] == "1")
            #expect(own.values["unclean.leader.election.enable"] == "false")
            #expect(own.values["transaction.state.log.min.isr"] == "1")
            #expect(own.values["transaction.state.log.replication.factor"] == "2")
            #expect(try client.settings(type: 4, "2").code == .code(.invalidRequest))
        }
    }

    @Test func `the replicas that a broker asks for count in topics that do not ask for a number themselves`()
        async throws
    {
        try await RawClient.with(configure: { $0.defaultReplicasMin = [1: 2] }) { client async throws in
            try await client.cluster.createTopic("own", settings: ["min.insync.replicas": "1"])
            #expect(try client.settings(type: 4, "1").values["min.insync.replicas"] == "2")
            #expect(try client.settings(type: 2, "t").values["min.insync.replicas"] == "2")
            #expect(try client.settings(type: 2, "own").values["min.insync.replicas"] == "1")
            #expect(try client.produce(RawBatch()).code == .code(.notEnoughReplicas))
            #expect(try client.produce(bytes: RawBatch().bytes, topic: "own").code == 0)
        }
    }

    @Test func `with fewer brokers than transactions ask for none begins`() async throws {
        try await RawClient.with(configure: { $0.transactionReplicasMin = 2 }) { client async throws in
            #expect(try client.settings(type: 4, "1").values["transaction.state.log.min.isr"] == "2")
            #expect(try client.initialize("x").code == .code(.coordinatorNotAvailable))
        }
    }
}
