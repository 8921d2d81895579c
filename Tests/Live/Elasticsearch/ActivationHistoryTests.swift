import DispatcherDomain
import DispatcherElasticsearch
import DispatcherService
import ElasticsearchStore
import ElasticsearchSupport
import EscapementModel
import JSON
import Testing

/// The activation store over Elasticsearch: dev Elasticsearch, or the server that `ELASTICSEARCH_URL` names.
@Suite struct ActivationHistoryTests {
    /// The same in both forms.
    private static func inBothForms(_ body: @escaping @Sendable (History) async throws -> Void) async throws {
        try await StoreUnderTest.with { under in
            try await History.native(under, body)
            try await History.openWhisk(under, body)
        }
    }

    @Test func `a document is created once; a replay meets its twin`() async throws {
        try await Self.inBothForms { history in
            let outcomes = (0..<3).map { history.outcome($0) }
            #expect(try await history.write(outcomes) == [.stored, .stored, .stored])
            var changed = outcomes[1]
            changed.error = "another text"
            #expect(try await history.write([changed, history.outcome(3)]) == [.known, .stored])
            let page = try await history.search { $0.activationID = changed.id.description }
            #expect(page.items.count == 1)
            #expect(page.items.first?["error"] == nil, "the first one stays")
        }
    }

    @Test func `pages follow one another without a gap or a repetition, newest first`() async throws {
        try await Self.inBothForms { history in
            try await history.write((0..<25).map { history.outcome($0) })
            var seen: [String] = []
            var position: ActivationSearch.Position?
            var pages = 0
            repeat {
                let page = try await history.search {
                    $0.pageSize = 10
                    $0.after = position
                }
                // A record that comes in front moves no page.
                if pages == 0 { try await history.write([history.outcome(100)]) }
                seen += page.items.compactMap { $0["activation_id"]?.stringValue }
                position = page.next
                pages += 1
            } while position != nil && pages < 10
            #expect(seen == (0..<25).reversed().map { history.outcome($0).id.description })
            #expect(pages == 3)
        }
    }

    @Test func `each filter finds what it says and nothing else`() async throws {
        try await Self.inBothForms { history in
            var outcomes = (0..<20).map { history.outcome($0) }
            outcomes.append(history.outcome(30, name: "weekly"))
            try await history.write(outcomes)
            func count(_ change: (inout ActivationSearch) -> Void) async throws -> Int {
                try await history.search(change).items.count
            }
            #expect(try await count { _ in } == 21)
            #expect(try await count { $0.namespace = "other" } == 0)
            #expect(try await count { $0.schedule = "weekly" } == 1)
            #expect(try await count { $0.outcome = "skipped" } == 2)
            #expect(try await count { $0.reason = "CATCHUP_WINDOW" } == 2)
            #expect(try await count { $0.kind = "cron" } == 21)
            #expect(try await count { $0.kind = "delay" } == 0)
            #expect(try await count { $0.action = "/guest/reports/nightly" } == 21)
            #expect(try await count { $0.words = ["broker"] } == 2, "a word of the error")
            #expect(try await count { $0.words = ["report"] } == 20, "a word of the name")
            #expect(try await count { $0.words = ["week"] } == 1, "the beginning of the name")
            #expect(try await count { $0.words = ["WEEKLY"] } == 1, "a word, whatever its case")
            #expect(try await count { $0.words = ["WEEK"] } == 0, "a beginning, to the letter")
            #expect(try await count { $0.words = ["weekly-report"] } == 0, "all of its parts")
            #expect(try await count { $0.words = ["broker", "weekly"] } == 0, "all words")
            #expect(try await count { $0.labels = [.init(name: "team", value: "sales")] } == 10)
            #expect(try await count { $0.from = History.start.advanced(by: .seconds(600)) } == 11)
            #expect(try await count { $0.to = History.start.advanced(by: .seconds(600)) } == 10)
        }
    }

    @Test func `lists leave payloads out, and a single record has its own`() async throws {
        try await Self.inBothForms { history in
            var outcome = history.outcome(0)
            outcome.payload = OutcomeRecord.PayloadDigest(
                byteCount: 5, sha256: SHA256Digest(high: UID(high: 7, low: 7), low: .max), text: "hello")
            try await history.write([outcome, history.outcome(1)])
            let list = try await history.search { _ in }.items
            #expect(list.count == 2)
            #expect(list.allSatisfy { $0["payload"] == nil })
            #expect(list.last?["payload_bytes"] == 5)
            let single = try await history.search { $0.activationID = outcome.id.description }
            #expect(single.items.first?["payload"] == "hello")
        }
    }

    @Test func `a count goes up to its bound and says that there is more`() async throws {
        try await Self.inBothForms { history in
            try await history.write((0..<12).map { history.outcome($0) })
            let exact = try await history.search { $0.countBound = 100 }
            #expect(exact.total == ActivationTotal(value: 12, isLowerBound: false))
            let bounded = try await history.search { $0.countBound = 5 }
            #expect(bounded.total == ActivationTotal(value: 5, isLowerBound: true))
            #expect(try await history.search { _ in }.total == nil)
        }
    }

    @Test func `a summary shows outcomes and lateness over time`() async throws {
        try await Self.inBothForms { history in
            try await history.write((0..<100).map { history.outcome($0) })
            let hour = try #require(ActivationInterval(.seconds(3600)))
            var search = ActivationSearch()
            search.namespace = history.namespace
            let buckets = try await history.store.summary(search, every: hour)
            // The first is due at half past: 30, 60 and 10 minutes.
            #expect(
                buckets.map(\.start) == (0..<3).map { hour.start(of: History.start.advanced(by: .seconds($0 * 3600))) })
            #expect(buckets.map { $0.outcomes["dispatched"] } == [27, 54, 9])
            #expect(buckets.map { $0.outcomes["skipped"] } == [3, 6, 1])
            let first = try #require(buckets.first?.lateness)
            #expect(first.max == 28)
            #expect((10...18).contains(first.p50))
            #expect(first.p99 <= 28 && first.p99 >= first.p95)
        }
    }

    @Test func `a run of skipped occurrences counts as so many`() async throws {
        try await Self.inBothForms { history in
            var run = history.outcome(9)
            run.count = 500
            try await history.write([run, history.outcome(0)])
            let hour = try #require(ActivationInterval(.seconds(3600)))
            var search = ActivationSearch()
            search.namespace = history.namespace
            let buckets = try await history.store.summary(search, every: hour)
            #expect(buckets.map(\.outcomes) == [[history.outcome(9).outcome.name: 500, "dispatched": 1]])
        }
    }

    @Test func `a namespace that never fired has an empty history`() async throws {
        try await Self.inBothForms { history in
            #expect(try await history.search { $0.namespace = "nobody" }.items.isEmpty)
            var search = ActivationSearch()
            search.namespace = "nobody"
            let hour = try #require(ActivationInterval(.seconds(3600)))
            #expect(try await history.store.summary(search, every: hour).isEmpty)
        }
    }

    @Test func `a document that the mapping refuses is refused alone`() async throws {
        try await StoreUnderTest.with { under in
            try await History.native(under) { history in
                var documents = try (0..<3).map { try history.document(history.outcome($0)) }
                documents[1].body = JSONValue.object([JSONMember("scheduled_at", "not a date")]).bytes
                let results = try await history.store.create(documents)
                #expect(results[0] == .stored)
                #expect(results[2] == .stored)
                guard case .refused(let why) = results[1] else {
                    Issue.record("\(results[1])")
                    return
                }
                #expect(why.hasPrefix("HTTP 400"))
                #expect(!why.contains("not a date"), "documents stay out of logs")
            }
        }
    }

    @Test func `setup makes template and policy once, and check finds what differs`() async throws {
        try await StoreUnderTest.with { under in
            let name = StoreUnderTest.uniqueName("escapement-setup")
            let setup = StoreSetup(form: .native(prefix: name), retentionDays: 30)
            let before = try await setup.check(under.client)
            #expect(before.allSatisfy { $0.state == .missing })
            let made = try await setup.apply(under.client, replacing: true)
            #expect(made.count == 2)
            let after = try await setup.check(under.client)
            #expect(after.allSatisfy { $0.state == .right })
            let again = try await setup.apply(under.client, replacing: true)
            #expect(again == [])
            let longer = StoreSetup(form: .native(prefix: name), retentionDays: 60)
            let states = try await longer.check(under.client).map(\.state)
            #expect(states == [.differs("deletes after 30d, not after 60d"), .right])
            let left = try await longer.apply(under.client, replacing: false)
            #expect(left == [], "left to people")
            let replaced = try await longer.apply(under.client, replacing: true)
            #expect(replaced.count == 1)
            let last = try await longer.check(under.client)
            #expect(last.allSatisfy { $0.state == .right })
            try await under.remove(indices: [], setup: name)
        }
    }
}
