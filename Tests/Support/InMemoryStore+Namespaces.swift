package import EscapementModel
package import Store

extension InMemoryStore {
    package func namespace(_ name: String) async throws(StoreError) -> NamespaceSettings {
        try await self.perform("namespace") { $0.namespace(name) }
    }

    package func namespaces(after: String?, limit: Int) async throws(StoreError) -> [NamespaceSettings] {
        try await self.perform("namespaces") { $0.allNamespaces(after: after, limit: limit) }
    }

    package func changeNamespace(
        _ name: String, _ change: NamespaceChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<NamespaceSettings> {
        try await self.perform("changeNamespace") {
            $0.changeNamespace(name, change, ifGeneration: ifGeneration, origin: origin)
        }
    }

    package func settleNamespace(
        _ name: String, limit: Int, origin: ChangeOrigin, leaderEpoch: Epoch?
    ) async throws(StoreError) -> [ShardID] {
        try await self.perform("settleNamespace") { contents throws(StoreError) in
            try contents.settleNamespace(name, limit: limit, origin: origin, leaderEpoch: leaderEpoch)
        }
    }

    package func usage(of namespace: String, upTo limit: Int) async throws(StoreError) -> NamespaceUsage {
        try await self.perform("usage") { $0.usage(of: namespace, upTo: limit) }
    }

    package func auditTrail(
        _ filter: AuditFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AuditEntry] {
        try await self.perform("auditTrail") { $0.auditTrail(filter, before: before, limit: limit) }
    }

    package func record(_ entry: AuditEntry) async throws(StoreError) {
        try await self.perform("record") { $0.append(entry) }
    }

    package func recall(_ key: IdempotencyKey) async throws(StoreError) -> KeyState {
        try await self.perform("recall") { $0.recall(key) }
    }

    package func remember(_ answer: [UInt8], for key: IdempotencyKey) async throws(StoreError) {
        try await self.perform("remember") { $0.remember(answer, for: key) }
    }
}
