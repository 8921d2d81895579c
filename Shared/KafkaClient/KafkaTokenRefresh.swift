import CRDKafka
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// Gets bearer tokens for one librdkafka instance, when the instance asks for one.
///
/// The source runs as a task, since it asks a server; its result waits here for the instance's own thread, which
/// alone touches the instance and so cannot meet a freed one.
final class KafkaTokenRefresh: Sendable {
    private enum State {
        case idle
        /// Next: `fetched`.
        case fetching
        /// Next: `idle`.
        case fetched(Result<KafkaBearerToken, any Error>)
    }

    private let settings: KafkaClientSettings
    private let state = Mutex(State.idle)

    init(settings: KafkaClientSettings) { self.settings = settings }

    /// Asks the source. Asked again while an answer is awaited, does nothing.
    func begin() {
        let isFree = self.state.withLock { state in
            guard case .idle = state else { return false }
            state = .fetching
            return true
        }
        guard isFree else { return }
        let settings = self.settings
        // Ends with the source's answer, which has a time-out of its own; the thread reports a failure.
        Task {
            let result: Result<KafkaBearerToken, any Error>
            do {
                guard let tokens = settings.tokens else {
                    throw KafkaError(.invalidArgument, detail: "no token source")
                }
                result = .success(try await tokens(settings.properties + (try settings.secrets())))
            } catch {
                result = .failure(error)
            }
            self.state.withLock { $0 = .fetched(result) }
        }
    }

    /// Gives a token that has arrived to the instance; on the instance's thread only.
    ///
    /// - Returns: why there is none; `nil` when all is well.
    func settle(_ instance: OpaquePointer, _ tap: KafkaLogTap) -> String? {
        let result: Result<KafkaBearerToken, any Error>? = self.state.withLock { state in
            guard case .fetched(let result) = state else { return nil }
            state = .idle
            return result
        }
        switch result {
        case nil: return nil
        case .failure(let error):
            let reason = "no token: \(error)"
            // librdkafka asks again ten seconds later.
            rd_kafka_oauthbearer_set_token_failure(instance, reason)
            return reason
        case .success(let token):
            tap.hide(token: token.value)
            guard let reason = Self.set(token, instance) else { return nil }
            rd_kafka_oauthbearer_set_token_failure(instance, reason)
            return reason
        }
    }

    private static func set(_ token: KafkaBearerToken, _ instance: OpaquePointer) -> String? {
        var reason = [CChar](repeating: 0, count: 512)
        // Pairs of C strings that live until the call has copied them.
        var texts: [UnsafeMutablePointer<CChar>?] = token.extensions.flatMap { [strdup($0.name), strdup($0.value)] }
        defer { for text in texts { free(text) } }
        let code = texts.withUnsafeMutableBufferPointer { buffer in
            buffer.withMemoryRebound(to: UnsafePointer<CChar>?.self) { pairs in
                rd_kafka_oauthbearer_set_token(
                    instance, token.value, token.expiresAtMilliseconds, token.principal, pairs.baseAddress, pairs.count,
                    &reason, reason.count)
            }
        }
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        let text = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "the token is not accepted: \(text)"
    }
}
