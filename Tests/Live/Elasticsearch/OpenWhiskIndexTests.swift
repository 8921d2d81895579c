import DevElasticsearch
import DispatcherDomain
import DispatcherElasticsearch
import DispatcherService
import ElasticsearchStore
import ElasticsearchSupport
import EscapementModel
import HTTPClient
import JSON
import Testing

/// Indices that OpenWhisk made before we came, with the mapping that followed from its own documents.
@Suite struct OpenWhiskIndexTests {
    /// A record of OpenWhisk's own for an action.
    static func record(namespace: String, binding: String? = nil) -> JSONValue {
        let start = History.start.milliseconds
        return [
            "@timestamp": .string(History.start.description), "activationId": "0d6f3c2f5b5a4f0c8f3c2f5b5aef0c11",
            "annotations": .record([
                "path": .string("\(namespace)/nightly-report"), "kind": "nodejs:20", "waitTime": 12, "timeout": false,
                "binding": binding.map { .string($0) },
                "limits": ["timeout": 60_000, "memory": 256, "logs": 10, "concurrency": 1],
            ]),
            "duration": 41, "end": .integer(start + 41), "entityType": "activation", "logs": .array([]),
            "name": "nightly-report", "namespace": .string(namespace),
            "path": .string("\(binding ?? namespace)/nightly-report"), "publish": false,
            "response": ["statusCode": 0, "result": "{\"ok\":true}", "size": 11], "start": .integer(start),
            "subject": "guest", "updated": .integer(start + 47), "version": "0.0.4",
        ]
    }

    /// Runs `body` with an index in which there is one record, written before anything of ours was set up.
    ///
    /// - Parameter dialect: `nil` for the server that `ELASTICSEARCH_URL` names.
    private static func run(
        _ dialect: String?, first record: @escaping @Sendable (History) throws -> (id: String, body: [UInt8]),
        _ body: @escaping @Sendable (History, StoreSetup, _ index: String) async throws -> Void
    ) async throws {
        let tour: @Sendable (StoreUnderTest) async throws -> Void = { under in
            let beginning = StoreUnderTest.uniqueName("whiskmade")
            let history = History(
                under, .openWhisk(indexPattern: "\(beginning)-%s"), namespace: "Guest",
                setupName: "escapement-\(beginning)")
            let index = history.form.indices(of: history.namespace)
            let first = try record(history)
            let results = try await under.client.create([.init(index: index, id: first.id, body: first.body)])
            #expect(results.map(\.status) == [201])
            try await body(
                history, StoreSetup(form: .openWhisk(pattern: "\(beginning)-%s"), retentionDays: 30), index)
            try await under.remove(indices: [index], setup: history.setupName)
        }
        guard let dialect else { return try await StoreUnderTest.with(tour) }
        try await StoreUnderTest.with(try #require(ServerDialect(text: dialect)), tour)
    }

    private static func ofOpenWhisk(_ history: History) -> (id: String, body: [UInt8]) {
        ("Guest/0d6f3c2f5b5a4f0c8f3c2f5b5aef0c11", Self.record(namespace: history.namespace).bytes)
    }

    @Test(arguments: [nil] + DialectTests.dialects.map(Optional.some))
    func `our part is mapped before our first record, and both histories work`(dialect: String?) async throws {
        try await Self.run(dialect, first: Self.ofOpenWhisk) { history, setup, index in
            let client = history.under.client
            let before = try await setup.check(client)
            #expect(before.contains { $0.what == "mapping of index \(index) for our records" && $0.state == .missing })
            // What a dispatcher does at its start.
            try await history.store.prepare()
            let after = try await setup.check(client)
            #expect(after.allSatisfy { $0.state == .right }, "\(after)")
            #expect(try await setup.apply(client, replacing: true).isEmpty)

            try await history.write((0..<12).map { history.outcome($0) })
            #expect(try await history.search { $0.reason = "CATCHUP_WINDOW" }.items.count == 1)
            #expect(try await history.search { $0.schedule = "nightly-report" }.items.count == 12)
            let searchesLabels = try await client.server().flattenedType != nil
            if searchesLabels {
                #expect(try await history.search { $0.labels = [.init(name: "team", value: "sales")] }.items.count == 6)
            }
            let listed = try await client.count(index, ["match_phrase": ["namespace": .string(history.namespace)]])
            #expect(listed == 13)
            let durations = try await client.search(
                index,
                [
                    "size": 0,
                    "query": [
                        "bool": [
                            "must": [
                                ["match": ["path.keyword": .string("\(history.namespace)/nightly-report")]],
                                ["range": ["@timestamp": ["gte": .string(History.start.description)]]],
                            ]
                        ]
                    ],
                    "aggs": ["average": ["avg": ["field": "duration"]]],
                ])
            #expect(durations.total?.value == 13)
            #expect(durations.aggregations?["average"]?["value"]?.doubleValue == 41)
        }
    }

    @Test(arguments: [nil, "elasticsearch-6.8", "elasticsearch-8.17", "opensearch-2.11"])
    func `an index in which our records were mapped otherwise is named, and no other one waits for it`(
        dialect: String?
    ) async throws {
        try await Self.run(
            dialect,
            first: { history in
                let document = try history.document(history.outcome(1))
                return (document.id, document.body)
            }
        ) { history, setup, index in
            let other = history.form.indices(of: "other")
            _ = try await history.under.client.create([
                .init(index: other, id: "other/1", body: Self.record(namespace: "other").bytes)
            ])
            let made = try await setup.apply(history.under.client, replacing: true)
            #expect(made.contains("mapping of index \(other) for our records"))
            let findings = try await setup.check(history.under.client).filter { $0.state != .right }
            #expect(findings.allSatisfy { $0.what == "mapping of index \(index)" }, "\(findings)")
            #expect(
                findings.contains { $0.state == .conflicts("annotations.escapement.reason is text, not keyword") })
            try await history.under.remove(indices: [other], setup: history.setupName)
        }
    }
}
