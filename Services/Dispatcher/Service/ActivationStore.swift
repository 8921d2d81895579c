package import EscapementModel
package import JSON
import WireProtocol

/// Keeps activation documents and searches them. Adapters: Elasticsearch, test doubles.
package protocol ActivationStore: Sendable {
    /// Makes what the store needs, such as its index template. Repeated until it succeeds.
    func prepare() async throws(ActivationStoreError)

    /// Creates documents; one that exists is left as it is.
    ///
    /// - Returns: one result for each document, in order.
    func create(_ documents: [ActivationDocument]) async throws(ActivationStoreError) -> [ActivationWriteResult]

    /// Documents that match, newest scheduled time first.
    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage

    /// Documents that match, counted over time: one bucket for each interval that holds any, oldest first.
    func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket]
}

/// One document to be stored.
package struct ActivationDocument: Equatable, Sendable {
    package var index: String
    /// The activation id: a second write of the same activation is a conflict, not a copy.
    package var id: String
    /// JSON, without line breaks.
    package var body: [UInt8]

    /// The document without what people wrote: labels, error text, payload. For a store that refused the whole.
    /// `nil` when it has none of them.
    package var withoutFreeText: ActivationDocument? {
        guard let whole = try? JSONParser.parse(self.body),
            let less = OpenWhiskDocument.native(in: whole) == nil
                ? Self.withoutFreeText(whole) : OpenWhiskDocument.withoutFreeText(whole)
        else { return nil }
        var document = self
        document.body = less.bytes
        return document
    }

    /// Our own document without what people wrote; `nil` when it has nothing of that.
    static func withoutFreeText(_ native: JSONValue) -> JSONValue? {
        guard case .object(let members) = native else { return nil }
        let kept = members.filter { !["labels", "error", "payload"].contains($0.name) }
        return kept.count == members.count ? nil : .object(kept)
    }

    package init(index: String, id: String, body: [UInt8]) {
        self.index = index
        self.id = id
        self.body = body
    }
}

/// What became of one document.
package enum ActivationWriteResult: Hashable, Sendable {
    case stored
    /// It was there already: a replay.
    case known
    /// The store is busy; try this one again.
    case busy(String)
    /// The index takes no documents now, whichever they are: rights, a block, an index that may not be made.
    case blocked(String)
    /// The store failed with this one, perhaps not for ever.
    case failed(String)
    /// The store will never take it.
    case refused(String)
}

/// The store did not answer, or not as a whole. Retriable.
package struct ActivationStoreError: Error, Equatable, CustomStringConvertible {
    /// For the log; no secrets.
    package var detail: String
    /// The request was too large: halve it.
    package var isTooLarge: Bool
    /// The store has too much to do: send less, later.
    package var isOverloaded: Bool
    /// How long the store wants to be left alone.
    package var retryAfter: Duration?

    package init(
        _ detail: String, isTooLarge: Bool = false, isOverloaded: Bool = false, retryAfter: Duration? = nil
    ) {
        self.detail = detail
        self.isTooLarge = isTooLarge
        self.isOverloaded = isOverloaded
        self.retryAfter = retryAfter
    }

    package var description: String { self.detail }
}

/// What to search for; absent members do not restrict.
package struct ActivationSearch: Equatable, Sendable {
    /// Where a page ended.
    package struct Position: Equatable, Sendable {
        package var scheduled: WallInstant
        package var id: String

        package init(scheduled: WallInstant, id: String) {
            self.scheduled = scheduled
            self.id = id
        }
    }

    package static let pageSizeDefault = 100
    package static let pageSizeMax = 1000
    /// How far matches are counted at most: beyond, people are told "more than".
    package static let countBoundMax = 10_000
    /// Words of a text search.
    package static let wordsMax = 16
    /// Labels that a search may ask for.
    package static let labelsMax = 16

    package var namespace: String?
    package var schedule: String?
    package var outcome: String?
    package var reason: String?
    package var kind: String?
    package var activationID: String?
    package var action: String?
    /// Lower-case words; each must be one of the schedule's name or of the error, or begin the name or the action.
    package var words: [String] = []
    package var labels: [Label] = []
    /// Scheduled at or after.
    package var from: WallInstant?
    /// Scheduled before.
    package var to: WallInstant?
    package var pageSize = ActivationSearch.pageSizeDefault
    package var after: Position?
    /// How far to count all matches; `nil` does not count.
    package var countBound: Int?

    /// Whether documents come with their payloads: only where a single one is asked for.
    package var showsPayloads: Bool { self.activationID != nil }

    package init() {}
}

/// A page of documents.
package struct ActivationPage: Equatable, Sendable {
    package var items: [JSONValue]
    /// Where the next page begins; `nil` at the end.
    package var next: ActivationSearch.Position?
    /// Bytes of the items of one page at most, as text: half of what a frame between two members may have.
    package static let itemBytesMax = Frame.payloadMax / 2
    /// How many match, when it was asked.
    package var total: ActivationTotal?

    package init(items: [JSONValue], next: ActivationSearch.Position?, total: ActivationTotal? = nil) {
        self.items = items
        self.next = next
        self.total = total
    }

    /// As many of the first items as fit into `bytesMax`, and at least one; the next page begins behind them.
    package func cut(to bytesMax: Int = Self.itemBytesMax) -> ActivationPage {
        var bytes = 0
        let fitting = self.items.prefix { item in
            bytes += item.bytes.count + 1
            return bytes <= bytesMax
        }
        let count = max(fitting.count, min(1, self.items.count))
        if count == self.items.count { return self }
        let kept = Array(self.items[..<count])
        return ActivationPage(
            items: kept, next: kept.last.flatMap { ActivationSearch.Position(document: $0) }, total: self.total)
    }
}

/// A count with a bound.
package struct ActivationTotal: Equatable, Sendable {
    package var value: Int64
    /// The bound was reached: there may be more.
    package var isLowerBound: Bool

    package init(value: Int64, isLowerBound: Bool) {
        self.value = value
        self.isLowerBound = isLowerBound
    }
}
