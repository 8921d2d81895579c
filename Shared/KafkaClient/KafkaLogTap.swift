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
    private let secrets: Mutex<Set<String>>
    private let firstDoubt = Mutex<String?>(nil)

    init(logger: Logger, secrets: [String]) {
        self.logger = logger
        self.secrets = Mutex(Set(secrets))
    }

    /// Lines that hold this text are not passed on.
    func hide(_ secret: String) { self.secrets.withLock { _ = $0.insert(secret) } }

    /// The first sign that a request may have been sent twice or may still be on its way; `nil` without any.
    var doubt: String? { self.firstDoubt.withLock { $0 } }

    /// Notes a sign. The first one stays.
    func doubt(_ reason: String) { self.firstDoubt.withLock { $0 = $0 ?? reason } }

    func redacted(_ text: String) -> String {
        self.secrets.withLock { $0.contains { text.contains($0) } } ? "(a line that held a secret)" : text
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
        let text = self.redacted(text)
        if Self.isDoubt(facility: facility, text: text) { self.doubt("\(facility): \(text)") }
        self.logger.debug(
            "librdkafka",
            metadata: ["event": "kafka_log", "facility": "\(facility)", "detail": "\(text)"])
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
}
