/// How much is sent to the activation store at a time: additive increase while it keeps up, halved when it says
/// that it has too much to do.
///
/// Documents in a request come back first, then requests at a time, so that a store that recovers sees few large
/// requests rather than many small ones. What a server refuses as too large it will refuse again: that bound on
/// bytes stays.
package struct BulkPace: Equatable, Sendable {
    /// Documents in one request.
    package static let documentsMax = 500
    package static let documentsMin = 16
    /// Bytes of one request, before compression.
    package static let bytesMax = 5 * 1024 * 1024
    /// Requests under way.
    package static let requestsMax = 4

    package private(set) var documentCountMax = BulkPace.documentsMax
    package private(set) var byteCountMax = BulkPace.bytesMax
    package private(set) var requestCountMax = 2
    /// Successes since the last change of `requestCountMax`.
    private var successes = 0

    package init() {}

    /// A request was taken whole.
    package mutating func succeeded() {
        if self.documentCountMax < Self.documentsMax {
            self.documentCountMax = min(Self.documentsMax, self.documentCountMax + Self.documentsMin)
            return
        }
        self.successes += 1
        if self.successes >= self.requestCountMax * 4, self.requestCountMax < Self.requestsMax {
            self.requestCountMax += 1
            self.successes = 0
        }
    }

    /// The store refused a request, or some of its documents, because it has too much to do.
    package mutating func overloaded() {
        self.documentCountMax = max(Self.documentsMin, self.documentCountMax / 2)
        self.requestCountMax = max(1, self.requestCountMax / 2)
        self.successes = 0
    }

    /// The store refused a request of so many bytes as too large.
    package mutating func tooLarge(byteCount: Int) {
        self.byteCountMax = max(1, min(self.byteCountMax, byteCount / 2))
    }
}
