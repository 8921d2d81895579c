import CoordinatorAPI
import CoordinatorService
import EscapementModel
import JSON
import Logging
import Observability
import Store
import Synchronization
import TestSupport
import Testing

@Suite struct CanaryTests {
    private func keeper(_ api: TestAPI, leads: Bool = true) -> CanaryKeeper {
        CanaryKeeper(
            server: api.server, isLeading: { leads }, metrics: api.observability.metrics,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func differences(_ api: TestAPI) -> String? {
        api.observability.metrics.exposition(.prometheusText).split(separator: "\n")
            .first { $0.hasPrefix("escapement_canary_differences ") }.map(String.init)
    }

    private func canary(_ api: TestAPI) async throws -> StoredSchedule? {
        try await api.store.schedule(namespace: CanaryKeeper.namespace, name: CanaryKeeper.name)
    }

    @Test func `the leader makes the canary once, and nobody else does`() async throws {
        let api = try await TestAPI()
        #expect(await self.keeper(api, leads: false).turn() == "")
        #expect(try await self.canary(api) == nil)
        #expect(await self.keeper(api).turn() == "")
        let made = try #require(try await self.canary(api))
        #expect(await self.keeper(api).turn() == "")
        #expect(try await self.canary(api) == made)
        #expect(api.gateway.state.withLock { $0.changed } == [made.shard], "its ticker hears of it")
    }

    @Test func `fires that are not recorded show in the metric`() async throws {
        let api = try await TestAPI()
        let keeper = self.keeper(api)
        #expect(await keeper.turn() == "")
        #expect(self.differences(api) == "escapement_canary_differences 0.0")
        api.clocks.advance(by: .seconds(90))
        #expect(await keeper.turn() == "")
        // Of the eight before now, those of the last 30 s may be on their way.
        #expect(self.differences(api) == "escapement_canary_differences 5.0")
        api.gateway.state.withLock { $0.activations = .failure(ClusterError("ACTIVATION_STORE_UNAVAILABLE", "away")) }
        #expect(await keeper.turn().contains("away"))
        #expect(self.differences(api) == "escapement_canary_differences 5.0", "what is unknown changes nothing")
        #expect(await self.keeper(api, leads: false).turn() == "")
    }
}
