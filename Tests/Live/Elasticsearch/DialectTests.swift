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

/// The whole way, setup to history, with each kind of server that we speak to. Dev Elasticsearch stands in for them and
/// refuses what each refuses: types or their absence, templates, policies, field types, settings, intervals, totals.
@Suite struct DialectTests {
    static let dialects = [
        "elasticsearch-6.8", "elasticsearch-7.0", "elasticsearch-7.4", "elasticsearch-7.17", "elasticsearch-oss-7.10",
        "elasticsearch-8.17", "elasticsearch-9.0", "opensearch-1.3", "opensearch-2.11", "opensearch-3.0",
    ]

    private func with(
        _ text: String, _ body: @escaping @Sendable (StoreUnderTest) async throws -> Void
    ) async throws {
        try await StoreUnderTest.with(try #require(ServerDialect(text: text)), body)
    }

    @Test(arguments: Self.dialects)
    func `records are written, found, paged, counted and summed`(dialect: String) async throws {
        try await self.with(dialect) { under in
            let server = try await under.client.server()
            #expect(dialect.hasSuffix("-\(server.major).\(server.minor)"))
            try await History.native(under) { try await Self.tour($0, searchesLabels: server.flattenedType != nil) }
            try await History.openWhisk(under) { try await Self.tour($0, searchesLabels: server.flattenedType != nil) }
        }
    }

    private static func tour(_ history: History, searchesLabels: Bool) async throws {
        let outcomes = (0..<25).map { history.outcome($0) }
        #expect(try await history.write(outcomes).allSatisfy { $0 == .stored })
        #expect(try await history.write([outcomes[3]]) == [.known])
        var seen: [String] = []
        var position: ActivationSearch.Position?
        repeat {
            let page = try await history.search {
                $0.pageSize = 10
                $0.after = position
            }
            seen += page.items.compactMap { $0["activation_id"]?.stringValue }
            position = page.next
        } while position != nil && seen.count <= outcomes.count
        #expect(seen == outcomes.reversed().map { $0.id.description })
        #expect(try await history.search { $0.words = ["broker"] }.items.count == 2)
        #expect(try await history.search { $0.from = History.start.advanced(by: .seconds(600)) }.items.count == 15)
        let exact = try await history.search { $0.countBound = 100 }
        #expect(exact.total == ActivationTotal(value: 25, isLowerBound: false))
        let bounded = try await history.search { $0.countBound = 5 }
        #expect(bounded.total == ActivationTotal(value: 5, isLowerBound: true))
        if searchesLabels {
            let label = Label(name: "team", value: "sales")
            #expect(try await history.search { $0.labels = [label] }.items.count == 12)
        }
        var search = ActivationSearch()
        search.namespace = history.namespace
        let hour = try #require(ActivationInterval(.seconds(3600)))
        let buckets = try await history.store.summary(search, every: hour)
        #expect(buckets.map { $0.outcomes["dispatched"] } == [23])
        #expect(buckets.first?.lateness?.max == 24)
    }

    @Test(arguments: Self.dialects)
    func `setup makes what the server can have, once, and replaces what differs`(dialect: String) async throws {
        try await self.with(dialect) { under in
            let server = try await under.client.server()
            let name = StoreUnderTest.uniqueName("escapement-setup")
            let setup = StoreSetup(form: .native(prefix: name), retentionDays: 30)
            let hasPolicy = server.lifecycle != .none
            #expect(try await setup.apply(under.client, replacing: false).count == (hasPolicy ? 2 : 1))
            let states = try await setup.check(under.client).map(\.state)
            #expect(states.last == .right)
            if hasPolicy { #expect(states.first == .right) }
            #expect(try await setup.apply(under.client, replacing: true).isEmpty)
            guard hasPolicy else { return }
            let longer = StoreSetup(form: .native(prefix: name), retentionDays: 60)
            let differing = try await longer.check(under.client).map(\.state)
            #expect(differing == [.differs("deletes after 30d, not after 60d"), .right])
            #expect(try await longer.apply(under.client, replacing: true).count == 1)
            #expect(try await longer.check(under.client).allSatisfy { $0.state == .right })
        }
    }

    @Test(arguments: ["elasticsearch-7.4", "elasticsearch-9.0", "opensearch-2.11"])
    func `two installations share a server, though one's prefix begins like the other's`(dialect: String) async throws {
        try await self.with(dialect) { under in
            for name in ["activations", "activations-eu"] {
                let setup = StoreSetup(form: .native(prefix: name), retentionDays: 30)
                #expect(try await setup.apply(under.client, replacing: true).count == 2)
                let findings = try await setup.check(under.client)
                #expect(findings.allSatisfy { $0.state == .right })
            }
        }
    }

    @Test(arguments: ["opensearch-1.3", "opensearch-3.0"])
    func `a changed policy reaches the indices that have it`(dialect: String) async throws {
        try await self.with(dialect) { under in
            try await History.native(under) { history in
                try await history.write([history.outcome(1)])
                let index = try history.document(history.outcome(1)).index
                func version() async throws -> Int64? {
                    let answer = try await under.client.get("/_plugins/_ism/explain/\(index)", doing: "explaining")
                    return answer?[index]?["policy_seq_no"]?.integerValue
                }
                let first = try #require(try await version())
                let longer = StoreSetup(form: .native(prefix: history.setupName), retentionDays: 60)
                #expect(try await longer.apply(under.client, replacing: true).count == 1)
                #expect(try await version() == first + 1)
            }
        }
    }

    @Test(arguments: ["elasticsearch-6.8", "elasticsearch-7.4"])
    func `where lifecycle management is switched off setup goes on and says what has to be done`(
        text: String
    ) async throws {
        var dialect = try #require(ServerDialect(text: text))
        dialect.isLifecycleSwitchedOff = true
        try await StoreUnderTest.with(dialect) { under in
            let setup = StoreSetup(form: .native(prefix: "switched-off"), retentionDays: 7)
            #expect(try await setup.apply(under.client, replacing: true) == ["index template switched-off"])
            let findings = try await setup.check(under.client)
            guard case .unsupported(let remedy)? = findings.first?.state else {
                Issue.record("\(findings)")
                return
            }
            #expect(remedy.contains("delete the indices switched-off-* that are older than 7 days yourself"))
            #expect(findings.last?.state == .right)
        }
    }

    @Test func `an index that takes no documents is not the documents' fault`() async throws {
        for (dialect, fullDisk) in [("elasticsearch-6.8", 403), ("elasticsearch-8.17", 429), ("opensearch-2.11", 429)] {
            try await self.with(dialect) { under in
                try await History.native(under) { history in
                    try await history.write([history.outcome(1)])
                    let index = try history.document(history.outcome(1)).index
                    func block(_ name: String, _ value: String) async throws {
                        let answer = try await under.http.send(
                            HTTPRequest(
                                .put, "/\(index)/_settings", headers: ["Content-Type": "application/json"],
                                body: Array(#"{"index.blocks.\#(name)":\#(value)}"#.utf8)))
                        #expect(answer.status == 200)
                    }
                    try await block("write", "true")
                    #expect(
                        try await history.write([history.outcome(2)]) == [.blocked("HTTP 403 cluster_block_exception")])
                    try await block("write", "null")
                    try await block("read_only_allow_delete", "true")
                    let why = "HTTP \(fullDisk) cluster_block_exception"
                    #expect(
                        try await history.write([history.outcome(2)]) == [fullDisk == 403 ? .blocked(why) : .busy(why)])
                    try await block("read_only_allow_delete", "null")
                    #expect(try await history.write([history.outcome(2)]) == [.stored])
                }
            }
        }
    }

    @Test(arguments: ["elasticsearch-7.4", "elasticsearch-8.17", "opensearch-2.11"])
    func `no room for another index and a closed one are not the documents' fault`(dialect: String) async throws {
        try await self.with(dialect) { under in
            try await History.native(under) { history in
                func send(_ method: HTTPMethod, _ path: String, _ body: String? = nil) async throws {
                    let answer = try await under.http.send(
                        HTTPRequest(
                            method, path, headers: ["Content-Type": "application/json"],
                            body: body.map { Array($0.utf8) }))
                    #expect(answer.status == 200, "\(answer.text)")
                }
                let first = history.outcome(1)
                let index = try history.document(first).index
                try await send(.put, "/_cluster/settings", #"{"persistent":{"cluster.max_shards_per_node":1}}"#)
                #expect(
                    try await history.write([first]) == [
                        .blocked(
                            "HTTP 400 validation_exception, the cluster is at its limit of shards "
                                + "(cluster.max_shards_per_node)")
                    ])
                try await send(.put, "/_cluster/settings", #"{"persistent":{"cluster.max_shards_per_node":null}}"#)
                #expect(try await history.write([first]) == [.stored])
                try await send(.post, "/\(index)/_close")
                #expect(
                    try await history.store.create([try history.document(history.outcome(2))]) == [
                        .blocked("HTTP 400 index_closed_exception")
                    ])
                try await send(.post, "/\(index)/_open")
                #expect(try await history.write([history.outcome(2)]) == [.stored])
            }
        }
    }

    @Test func `a store that hangs is given up, known or not, before anybody gives up the question`() async throws {
        try await self.with("elasticsearch-8.17") { under in
            try await History.native(under) { history in
                try await history.write([history.outcome(1)])
                #expect(try await history.search { _ in }.items.count == 1)
                // Longer than a coordinator waits for a dispatcher: who waited so long here would have an answer.
                under.dev?.faults.plan.delayMilliseconds = 9_000
                // It has to ask first what answers there.
                let stranger = History(under, history.form, namespace: "guest", setupName: history.setupName)
                await withTaskGroup { group in
                    for asked in [history, stranger] {
                        group.addTask {
                            let error = await #expect(throws: ActivationStoreError.self) {
                                _ = try await asked.search { _ in }
                            }
                            #expect(error?.detail.hasPrefix("Elasticsearch does not answer") == true)
                        }
                    }
                }
                under.dev?.faults.plan = Faults.Plan()
            }
        }
    }

    @Test func `a page without one of the shards is no page`() async throws {
        try await self.with("elasticsearch-8.17") { under in
            try await History.native(under) { history in
                try await history.write([history.outcome(1)])
                under.dev?.faults.plan.lacksShard = true
                await #expect(throws: ActivationStoreError.self) { _ = try await history.search { _ in } }
                under.dev?.faults.plan.lacksShard = false
                #expect(try await history.search { _ in }.items.count == 1)
            }
        }
    }

    @Test func `what a server wishes by Retry-After reaches the writer`() async throws {
        try await self.with("elasticsearch-8.17") { under in
            try await History.native(under) { history in
                under.dev?.faults.plan.tooManyPercent = 100
                under.dev?.faults.plan.retryAfterSeconds = 7
                let error = await #expect(throws: ActivationStoreError.self) {
                    _ = try await history.store.create([try history.document(history.outcome(1))])
                }
                #expect(error?.isOverloaded == true)
                #expect(error?.retryAfter == .seconds(7))
                under.dev?.faults.plan = Faults.Plan()
            }
        }
    }
}
