import CRDKafka
import Logging
import Synchronization

/// Takes the log lines of one librdkafka instance, on the thread that writes them.
///
/// Not by the event queue: what a line says of a connection must be known before the call returns that the
/// connection served. librdkafka repeats requests by itself and answers success; only its log tells that an
/// earlier copy may still be on its way.
final class KafkaLogTap: Sendable {
    private let logger: Logger
    private static let tokensMax = 4

    private let secrets: Mutex<Set<String>>
    private let tokens = Mutex<[String]>([])
    private let firstDoubt = Mutex<String?>(nil)
    private let refused = Mutex<(topics: Set<String>, isNews: Bool)>(([], false))

    init(logger: Logger, secrets: [String]) {
        self.logger = logger
        self.secrets = Mutex(Set(secrets))
    }

    /// The same for a token, which is over soon: the last few are kept in mind.
    func hide(token: String) {
        self.tokens.withLock { tokens in
            tokens.append(token)
            if tokens.count > Self.tokensMax { tokens.removeFirst() }
        }
    }

    /// Lines that hold this text are not passed on.
    func hide(_ secret: String) { self.secrets.withLock { _ = $0.insert(secret) } }

    /// The first sign that a request may have been sent twice or may still be on its way; `nil` without any.
    var doubt: String? { self.firstDoubt.withLock { $0 } }

    /// Notes a sign. The first one stays.
    func doubt(_ reason: String) { self.firstDoubt.withLock { $0 = $0 ?? reason } }

    /// Topics that the producer may not write to, as far as the brokers said when a transaction began to use them. The
    /// reports of records do not tell: those of the topic and all others of the request expire, or are purged.
    var forbiddenTopics: Set<String> { self.refused.withLock { $0.topics } }

    /// Whether a transaction was refused a partition since this was asked last: nothing more of it is sent.
    func takeRefusal() -> Bool {
        self.refused.withLock { refused in
            defer { refused.isNews = false }
            return refused.isNews
        }
    }

    func redacted(_ text: String) -> String {
        let isSecret =
            self.secrets.withLock { $0.contains { text.contains($0) } }
            || self.tokens.withLock { $0.contains { text.contains($0) } }
        return isSecret ? "(a line that held a secret)" : text
    }

    /// Makes the instance of `configuration` write here. The caller releases the result once the instance is
    /// freed or could not be made.
    func install(in configuration: OpaquePointer) -> Unmanaged<KafkaLogTap> {
        let retained = Unmanaged.passRetained(self)
        rd_kafka_conf_set_opaque(configuration, retained.toOpaque())
        rd_kafka_conf_set_log_cb(configuration) { instance, _, facility, text in
            guard let instance, let facility, let text, let opaque = rd_kafka_opaque(instance) else { return }
            Unmanaged<KafkaLogTap>.fromOpaque(opaque).takeUnretainedValue()
                .take(facility: String(cString: facility), text: String(cString: text))
        }
        return retained
    }

    private func take(facility: String, text: String) {
        let shown = self.redacted(text)
        if Self.isDoubt(facility: facility, text: text) { self.doubt("\(facility): \(shown)") }
        if let (topic, isForbidden) = Self.refusedPartition(facility: facility, text: text) {
            self.refused.withLock { refused in
                refused.isNews = true
                if isForbidden { refused.topics.insert(topic) }
            }
        }
        self.logger.debug(
            "librdkafka",
            metadata: ["event": "kafka_log", "facility": "\(facility)", "detail": "\(shown)"])
    }

    /// A request that timed out, or a connection that broke after it was made. One that could not be made
    /// carried nothing.
    static func isDoubt(facility: String, text: String) -> Bool {
        switch facility {
        case "REQTMOUT": true
        case "FAIL": !(text.contains("Connect to ") || text.contains("Failed to resolve "))
        default: false
        }
    }

    /// The topic, and whether it is forbidden, in `…: Failed to add partition "T" [3] to transaction: Broker: …`.
    static func refusedPartition(facility: String, text: String) -> (topic: String, isForbidden: Bool)? {
        guard facility == "ADDPARTS" else { return nil }
        let parts = text.split(separator: "\"", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].hasSuffix("Failed to add partition ") else { return nil }
        return (String(parts[1]), parts[2].hasSuffix(KafkaErrorCode.topicAuthorizationFailed.text))
    }
}
