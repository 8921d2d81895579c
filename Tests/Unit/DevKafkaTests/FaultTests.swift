import DevKafka
import JSON
import Testing

@Suite struct FaultTests {
    @Test func `faults read and write the JSON of the admin port`() throws {
        let fault = Fault(
            .error(.notLeaderOrFollower), api: .produce, broker: 2, clientIDPrefix: "lane", topic: "t", count: 3)
        #expect(try Fault(json: fault.json) == fault)
        #expect(
            fault.json.text
                == #"{"kind":"error","api":"Produce","error":"NOT_LEADER_OR_FOLLOWER","broker":2,"client":"lane","topic":"t","count":3}"#
        )
        for effect: Fault.Effect in [
            .delay(milliseconds: 1), .delayAnswer(milliseconds: 2), .duplicate(afterMilliseconds: 3), .dropAnswer,
            .mute, .disconnect,
        ] {
            let fault = Fault(effect, api: .endTransaction)
            #expect(try Fault(json: fault.json) == fault)
        }
    }

    @Test(arguments: [
        (#"[]"#, "object"), (#"{"kind": "rain"}"#, "kind"), (#"{"kind": "error"}"#, "error"),
        (#"{"kind": "mute", "api": "Nix"}"#, "api"), (#"{"kind": "mute", "count": 0}"#, "count"),
        (#"{"kind": "mute", "ms": 3}"#, "ms"),
    ])
    func `a wrong order names what is wrong`(text: String, word: String) throws {
        let json = try JSONParser.parse(text)
        let error = #expect(throws: AdminError.self) { try Fault(json: json) }
        #expect(error?.description.contains(word) == true, "\(String(describing: error))")
    }

    @Test func `every code and request kind is found by the name it shows`() {
        for code in ErrorCode.allCases { #expect(ErrorCode(named: code.name) == code) }
        #expect(ErrorCode.invalidProducerIDMapping.name == "INVALID_PRODUCER_ID_MAPPING")
        #expect(ErrorCode.saslAuthenticationFailed.name == "SASL_AUTHENTICATION_FAILED")
        #expect(ErrorCode.offsetMetadataTooLarge.name == "OFFSET_METADATA_TOO_LARGE")
    }

    @Test func `a fault for one topic leaves the others alone and stays on order`() async throws {
        try await RawClient.with { client async throws in
            try await client.cluster.createTopic("other")
            try await client.cluster.order(Fault(.error(.topicAuthorizationFailed), api: .produce, topic: "other"))
            #expect(try client.produce(RawBatch()).code == 0)
            #expect(try await client.cluster.pendingFaultCount == 1)
            #expect(
                try client.produce(bytes: RawBatch().bytes, topic: "other").code == .code(.topicAuthorizationFailed))
            #expect(try client.produce(bytes: RawBatch().bytes, topic: "other").code == 0)
        }
    }

    @Test func `a topic that may not be described is left out of all topics and refused by name`() async throws {
        try await RawClient.with { client async throws in
            try await client.cluster.createTopic("other")
            try await client.cluster.order(
                Fault(.error(.topicAuthorizationFailed), api: .metadata, topic: "other", count: 2))
            let found = RawClient.Described(name: "t", code: 0)
            #expect(try client.describe(nil) == [found])
            #expect(
                try client.describe(["t", "other"])
                    == [found, RawClient.Described(name: "other", code: .code(.topicAuthorizationFailed))])
            #expect(try client.describe(nil).map(\.name) == ["other", "t"])
            try await client.cluster.order(Fault(.error(.unknownTopicOrPartition), api: .metadata, topic: "other"))
            #expect(try client.describe(nil).map(\.code) == [.code(.unknownTopicOrPartition), 0])
        }
    }

    @Test func `a delayed request is applied though its client is gone`() async throws {
        try await RawClient.with { client async throws in
            try await client.cluster.order(Fault(.delay(milliseconds: 50), api: .produce))
            do {
                let gone = RawClient(
                    cluster: client.cluster, folder: client.folder,
                    connection: try RawConnection(port: await client.cluster.ports[0]))
                try gone.sendProduce(RawBatch())
            }
            #expect(try client.fetch(from: 0, wait: 20_000).highWatermark == 1)
        }
    }
}
