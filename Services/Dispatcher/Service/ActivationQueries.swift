import DispatcherDomain
package import EscapementModel
import JSON
import NIOCore
package import WireProtocol

/// Answers searches for activation records: from the store, or, while that is away, from what this process
/// remembers.
package struct ActivationQueries: Sendable {
    private let store: any ActivationStore
    private let recent: RecentOutcomes
    private let cluster: String
    private let dispatcher: NodeID

    package init(store: any ActivationStore, recent: RecentOutcomes, cluster: String, dispatcher: NodeID) {
        self.store = store
        self.recent = recent
        self.cluster = cluster
        self.dispatcher = dispatcher
    }

    /// The answer's document, or why there is none: `ACTIVATION_STORE_UNAVAILABLE`, `INVALID_QUERY`.
    package func answer(_ query: ActivationQuery) async -> Result<ActivationAnswer, ActivationQueryFailure> {
        let search: ActivationSearch
        do {
            search = try ActivationSearch(document: JSONParser.parse(query.document.readableBytesView))
        } catch let error as ActivationQueryError {
            return .failure(ActivationQueryFailure(code: "INVALID_QUERY", detail: error.detail))
        } catch {
            return .failure(ActivationQueryFailure(code: "INVALID_QUERY", detail: "not JSON: \(error)"))
        }
        do throws(ActivationStoreError) {
            let page = try await self.store.search(search)
            return .success(Self.answer(page.items, next: page.next, storeAvailable: nil))
        } catch {
            // A later page of the store's order cannot be continued from memory.
            guard search.after == nil else {
                return .failure(
                    ActivationQueryFailure(code: "ACTIVATION_STORE_UNAVAILABLE", detail: error.detail))
            }
            let items = self.recent.newestFirst.lazy
                .map { $0.document(cluster: self.cluster, dispatcher: self.dispatcher) }
                .filter { search.matches($0) }
                .prefix(search.pageSize)
            if items.isEmpty {
                return .failure(
                    ActivationQueryFailure(code: "ACTIVATION_STORE_UNAVAILABLE", detail: error.detail))
            }
            return .success(Self.answer(Array(items), next: nil, storeAvailable: false))
        }
    }

    private static func answer(
        _ items: [JSONValue], next: ActivationSearch.Position?, storeAvailable: Bool?
    ) -> ActivationAnswer {
        let document = JSONValue.record([
            "items": .array(items), "nextPageToken": next.map { .string($0.token) },
            "storeAvailable": storeAvailable.map { .bool($0) },
        ])
        return ActivationAnswer(document: ByteBuffer(bytes: document.bytes))
    }
}

/// Why a query is not answered.
package struct ActivationQueryFailure: Error, Equatable {
    package var code: String
    package var detail: String
}
