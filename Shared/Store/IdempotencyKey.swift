package import EscapementModel

/// What names a request that its sender may repeat: the `Idempotency-Key` of the API.
///
/// The key is stored in the transaction of the request's effect, so there is never one without the other. Kept
/// for `StoreRules.idempotencyRetention`; after that it is free again.
package struct IdempotencyKey: Hashable, Sendable {
    package var namespace: String
    /// At most `StoreRules.idempotencyKeyBytesMax` bytes.
    package var key: String
    /// Of everything that makes the request what it is: method, path, body.
    package var digest: [UInt8]
    package var at: WallInstant
    /// What is to be answered to a repetition, in a form of the caller's; `nil` when only the outcome will tell. Then
    /// `remember` follows.
    package var answer: [UInt8]?

    package init(namespace: String, key: String, digest: [UInt8], at: WallInstant, answer: [UInt8]? = nil) {
        self.namespace = namespace
        self.key = key
        self.digest = digest
        self.at = at
        self.answer = answer
    }
}

package enum KeyState: Hashable, Sendable {
    /// Never used, or too long ago.
    case unknown
    case answered([UInt8])
    /// The effect is there and its answer is not yet, or never will be because the process died between the two.
    case unanswered(since: WallInstant)
    /// Used for a request with another digest.
    case otherRequest
}

/// What was answered to requests that may be repeated.
package protocol AnswerStore: Sendable {
    /// What became of the key's first request.
    func recall(_ key: IdempotencyKey) async throws(StoreError) -> KeyState
    /// Adds the answer to a key that has none yet.
    func remember(_ answer: [UInt8], for key: IdempotencyKey) async throws(StoreError)
}
