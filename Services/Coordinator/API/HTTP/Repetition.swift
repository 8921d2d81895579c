import EscapementModel
import Hummingbird
import Observability
import ScheduleDocuments
import Store

/// A request that its sender may repeat, by `Idempotency-Key`.
///
/// The key is stored with the effect of the request, the answer right after it. What the request makes has ids
/// drawn from the key, so that even a repetition that finds the effect without an answer (the process died
/// between the two) changes nothing: it meets what is there.
struct Repetition: Sendable {
    let key: IdempotencyKey
    /// How long a request may take until it counts as dead.
    static let inProgressMax = Duration.seconds(30)

    /// - Returns: `nil` for a request without a key.
    /// - Throws: when the key is not usable.
    init?(_ call: APICall, body: [UInt8], now: WallInstant) throws(Problem) {
        guard let field = call.request.headers[own: .idempotencyKey] else { return nil }
        var text = Substring(field)
        if text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        guard !text.isEmpty, text.utf8.count <= StoreRules.idempotencyKeyBytesMax,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f })
        else {
            let detail = "must be 1 to \(StoreRules.idempotencyKeyBytesMax) printable ASCII characters"
            throw Problem.invalid([Problem.Fault(.header("Idempotency-Key"), ProblemCode.invalidValue, detail)])
        }
        var hash = SHA256()
        for part in [call.request.method.rawValue, call.request.uri.string] {
            hash.update(part.utf8)
            hash.update(0)
        }
        hash.update(body)
        self.key = IdempotencyKey(namespace: call.namespace, key: String(text), digest: hash.finish(), at: now)
    }

    /// The id of the `index`th thing that the request makes.
    func uid(_ index: Int) -> UID {
        var hash = SHA256()
        hash.update(self.key.namespace.utf8)
        hash.update(0)
        hash.update(self.key.key.utf8)
        hash.update(0)
        hash.update(self.key.digest)
        hash.update(bigEndian: UInt64(bitPattern: Int64(index)))
        return hash.finishDigest().high
    }
}

extension APIServer {
    /// What a request's effect came to.
    enum Effect: Sendable {
        /// Done, or done before by another request: this is the answer, and it is kept.
        case answered(WriteAnswer)
        /// Nothing was done, because the key had been used when it came to it.
        case repeated
    }

    /// Runs `effect` unless the request is a repetition, whose first answer is then given again.
    ///
    /// `effect` gets the key to store with what it does; without one it runs a request that is not
    /// repeatable, or one whose effect may be there already.
    func once(
        _ repetition: Repetition?, _ effect: (IdempotencyKey?) async throws -> Effect
    ) async throws -> Response {
        guard let key = repetition?.key else {
            guard case .answered(let answer) = try await effect(nil) else {
                throw StoreError(.corrupt, operation: "write", detail: "a request without a key was a repetition")
            }
            return answer.response()
        }
        var keyForEffect: IdempotencyKey? = key
        switch try await self.store.recall(key) {
        case .unknown: break
        case .answered(let bytes): return try self.replay(bytes)
        case .otherRequest: throw Self.keyReused
        case .unanswered(let since):
            if key.at.duration(since: since) < Repetition.inProgressMax { throw Self.inProgress }
            // Nobody will answer any more. Running it again meets what is there.
            keyForEffect = nil
        }
        switch try await effect(keyForEffect) {
        case .answered(let answer):
            try await self.store.remember(answer.bytes, for: key)
            return answer.response()
        case .repeated:
            // Another request with the key came between.
            switch try await self.store.recall(key) {
            case .answered(let bytes): return try self.replay(bytes)
            case .otherRequest: throw Self.keyReused
            case .unknown, .unanswered: throw Self.inProgress
            }
        }
    }

    /// The first answer to a repeated request, before anything of it is read; `nil` when it has to be run.
    func earlierAnswer(_ repetition: Repetition?) async throws -> Response? {
        guard let key = repetition?.key, case .answered(let bytes) = try await self.store.recall(key) else {
            return nil
        }
        return try self.replay(bytes)
    }

    private func replay(_ bytes: [UInt8]) throws -> Response {
        guard let answer = WriteAnswer(bytes: bytes) else {
            throw StoreError(.corrupt, operation: "recall", detail: "the kept answer does not parse")
        }
        self.replays.increment()
        return answer.response(isReplay: true)
    }

    private static let keyReused = Problem(
        422, Problem.Code.idempotencyKeyReused, "draw a new key for a new request",
        faults: [
            Problem.Fault(
                .header("Idempotency-Key"), Problem.Code.idempotencyKeyReused,
                "the key came with another request within the last 24 hours")
        ])

    private static let inProgress = Problem(
        409, Problem.Code.idempotencyInProgress, "ask again in a moment", retryAfterSeconds: 1)
}
