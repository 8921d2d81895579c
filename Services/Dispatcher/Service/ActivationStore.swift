package import EscapementModel
package import JSON

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
}

/// One document to be stored.
package struct ActivationDocument: Equatable, Sendable {
    package var index: String
    /// The activation id: a second write of the same activation is a conflict, not a copy.
    package var id: String
    /// JSON, without line breaks.
    package var body: [UInt8]

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
    /// The store will never take it.
    case refused(String)
}

/// The store did not answer, or not as a whole. Retriable.
package struct ActivationStoreError: Error, Equatable, CustomStringConvertible {
    /// For the log; no secrets.
    package var detail: String
    /// The request was too large: halve it.
    package var isTooLarge: Bool

    package init(_ detail: String, isTooLarge: Bool = false) {
        self.detail = detail
        self.isTooLarge = isTooLarge
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

    package var namespace: String?
    package var schedule: String?
    package var outcome: String?
    package var reason: String?
    package var kind: String?
    package var activationID: String?
    /// Scheduled at or after.
    package var from: WallInstant?
    /// Scheduled before.
    package var to: WallInstant?
    package var pageSize = ActivationSearch.pageSizeDefault
    package var after: Position?

    package init() {}
}

/// A page of documents.
package struct ActivationPage: Equatable, Sendable {
    package var items: [JSONValue]
    /// Where the next page begins; `nil` at the end.
    package var next: ActivationSearch.Position?

    package init(items: [JSONValue], next: ActivationSearch.Position?) {
        self.items = items
        self.next = next
    }
}
