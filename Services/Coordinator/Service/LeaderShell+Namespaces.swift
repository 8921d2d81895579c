import EscapementModel
import Observability
import Store

extension LeaderShell {
    /// Namespaces read at a time.
    private static let namespacesAtOnce = 500

    /// Brings schedules into line with the pauses of their namespaces: what a request left undone when its process died,
    /// and what was created while a pause was being stored.
    func settleNamespaces() async throws(StoreError) {
        let store = self.environment.schedules
        var after: String?
        repeat {
            let page = try await store.namespaces(after: after, limit: Self.namespacesAtOnce)
            // One that was never set up has no pause that could have been missed.
            for namespace in page where namespace.generation > 0 {
                let origin = ChangeOrigin(
                    at: self.environment.clocks.wallNow(), by: "leader", reason: namespace.pause?.reason)
                while self.environment.leads(), !Task.isCancelled,
                    try await !store.settleNamespace(
                        namespace.namespace, limit: StoreRules.settledAtOnceMax, origin: origin,
                        leaderEpoch: self.epoch
                    ).isEmpty
                {}
            }
            after = page.count < Self.namespacesAtOnce ? nil : page.last?.namespace
        } while after != nil
    }
}
