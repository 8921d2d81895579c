import DispatcherElasticsearch
import DispatcherService
import ElasticsearchStore
import ElasticsearchSupport
import Testing

/// A dispatcher whose credentials may write and read records, and nothing of templates and policies.
@Suite struct LimitedCredentialsTests {
    @Test(.enabled(if: !StoreUnderTest.isReal, "a real server hides what its roles say"))
    func `records are written where somebody else has prepared the store`() async throws {
        try await StoreUnderTest.with { under in
            under.dev?.hideSetup()
            let setup = StoreSetup(form: .native(prefix: "limited"), retentionDays: 3)
            #expect(try await setup.check(under.client).map(\.state) == [.hidden, .hidden])
            try await History.native(under) { history in
                try await history.store.prepare()
                #expect(try await history.write([history.outcome(1)]) == [.stored])
            }
        }
    }
}
