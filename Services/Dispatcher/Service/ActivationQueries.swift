import DispatcherDomain
package import EscapementModel
import JSON
import NIOCore
package import WireProtocol

/// Answers searches for activation records: from the store, or, while that is away, from what this process
/// remembers.
package struct ActivationQueries: Sendable {
    /// Bytes of an answer at most; the rest of the frame is its header's.
    package static let answerBytesMax = Frame.payloadMax - 1024

    private let store: any ActivationStore
    private let journal: JournalSearch
    private let recent: RecentOutcomes
    private let cluster: String
    private let dispatcher: NodeID

    package init(
        store: any ActivationStore, journal: JournalSearch, recent: RecentOutcomes, cluster: String, dispatcher: NodeID
    ) {
        self.store = store
        self.journal = journal
        self.recent = recent
        self.cluster = cluster
        self.dispatcher = dispatcher
    }

    /// The answer's document, or why there is none: `ACTIVATION_STORE_UNAVAILABLE`, `INVALID_QUERY`.
    package func answer(_ query: ActivationQuery) async -> Result<ActivationAnswer, ActivationQueryFailure> {
        let search: ActivationSearch
        let interval: ActivationInterval?
        var question: JournalSearch.Question?
        do {
            let document = try JSONParser.parse(query.document.readableBytesView)
            if let asked = document["journal"] { question = try JournalSearch.Question(document: asked) }
            search = try ActivationSearch(document: document)
            interval = try search.interval(document: document)
        } catch let error as ActivationQueryError {
            return .failure(ActivationQueryFailure(code: "INVALID_QUERY", detail: error.detail))
        } catch {
            return .failure(ActivationQueryFailure(code: "INVALID_QUERY", detail: "not JSON: \(error)"))
        }
        if let question { return await self.answer(question) }
        do throws(ActivationStoreError) {
            if let interval {
                return .success(Self.answer(try await self.store.summary(search, every: interval), storeAvailable: nil))
            }
            let page = try await self.store.search(search).cut()
            return Self.bounded(Self.answer(page, storeAvailable: nil))
        } catch {
            return self.remembered(search, every: interval, because: error)
        }
    }

    /// What the journal says of one occurrence: `items` has its record or nothing, `journal` how far that can be trusted.
    private func answer(_ question: JournalSearch.Question) async -> Result<ActivationAnswer, ActivationQueryFailure> {
        do throws(JournalError) {
            let found = try await self.journal.answer(question)
            let item = found.outcome.map {
                $0.document(cluster: self.cluster, dispatcher: found.dispatcher ?? self.dispatcher)
            }
            let document: JSONValue = [
                "items": .array(item.map { [$0] } ?? []),
                "journal": .record([
                    "settled": found.isSettled.map { .bool($0) }, "complete": .bool(found.isComplete),
                ]),
            ]
            return Self.bounded(ActivationAnswer(document: ByteBuffer(bytes: document.bytes)))
        } catch {
            return .failure(
                ActivationQueryFailure(code: "JOURNAL_UNAVAILABLE", detail: "the journal cannot be read: \(error)"))
        }
    }

    /// The answer from memory, marked as such, for a store that is away.
    private func remembered(
        _ search: ActivationSearch, every interval: ActivationInterval?, because error: ActivationStoreError
    ) -> Result<ActivationAnswer, ActivationQueryFailure> {
        let unavailable = ActivationQueryFailure(code: "ACTIVATION_STORE_UNAVAILABLE", detail: error.detail)
        // A later page of the store's order cannot be continued from memory.
        guard search.after == nil else { return .failure(unavailable) }
        let matching = self.recent.newestFirst.lazy
            .map { $0.document(cluster: self.cluster, dispatcher: self.dispatcher) }
            .filter { search.matches($0) }
        if let interval {
            let buckets = ActivationBucket.summary(of: Array(matching), every: interval)
            return buckets.isEmpty ? .failure(unavailable) : .success(Self.answer(buckets, storeAvailable: false))
        }
        let items: [JSONValue] = Array(matching.prefix(search.pageSize)).map {
            search.showsPayloads ? $0 : Self.withoutPayload($0)
        }
        if items.isEmpty { return .failure(unavailable) }
        var page = ActivationPage(items: items, next: nil).cut()
        page.next = nil
        return Self.bounded(Self.answer(page, storeAvailable: false))
    }

    private static func withoutPayload(_ document: JSONValue) -> JSONValue {
        .object((document.objectValue ?? []).filter { $0.name != "payload" })
    }

    /// An answer that no frame can hold would cost the link to the leader.
    private static func bounded(_ answer: ActivationAnswer) -> Result<ActivationAnswer, ActivationQueryFailure> {
        let bytes = answer.document.readableBytes
        guard bytes > Self.answerBytesMax else { return .success(answer) }
        return .failure(
            ActivationQueryFailure(
                code: "ANSWER_TOO_LARGE",
                detail: "the record has \(bytes) bytes, more than the \(Self.answerBytesMax) that can be shown: "
                    + "read it from the activation store itself"))
    }

    private static func answer(_ page: ActivationPage, storeAvailable: Bool?) -> ActivationAnswer {
        let document = JSONValue.record([
            "items": .array(page.items), "nextPageToken": page.next.map { .string($0.token) },
            "total": page.total.map { ["value": .integer($0.value), "isLowerBound": .bool($0.isLowerBound)] },
            "storeAvailable": storeAvailable.map { .bool($0) },
        ])
        return ActivationAnswer(document: ByteBuffer(bytes: document.bytes))
    }

    private static func answer(_ buckets: [ActivationBucket], storeAvailable: Bool?) -> ActivationAnswer {
        let document = JSONValue.record([
            "buckets": .array(buckets.map(\.document)), "storeAvailable": storeAvailable.map { .bool($0) },
        ])
        return ActivationAnswer(document: ByteBuffer(bytes: document.bytes))
    }
}

/// Why a query is not answered.
package struct ActivationQueryFailure: Error, Equatable {
    package var code: String
    package var detail: String

    package init(code: String, detail: String) {
        self.code = code
        self.detail = detail
    }
}
