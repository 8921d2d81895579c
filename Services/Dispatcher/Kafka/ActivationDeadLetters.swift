import DispatcherDomain
package import DispatcherService
package import EscapementModel
import KafkaClient
package import Logging
import NIOCore
import Observability

/// Keeps activation documents that the store refuses for ever, in the dead-letter topic.
package struct ActivationDeadLetters: Sendable {
    /// Attempts until a document is given up; the log then holds its id and the reason.
    static let attemptsMax = 5

    private let producer: SharedProducer
    private let topic: String
    private let clocks: any Clocks
    private let logger: Logger

    package init(connection: KafkaConnection, topic: String, clocks: any Clocks, logger: Logger) {
        self.producer = SharedProducer(connection: connection)
        self.topic = topic
        self.clocks = clocks
        self.logger = logger
    }

    package func keep(_ document: ActivationDocument, because reason: String) async {
        let record = OutgoingRecord(
            topic: self.topic, key: document.id,
            headers: [
                .init("esc-reason", "ACTIVATION_REFUSED"), .init("esc-error", reason),
                .init("esc-activation-id", document.id), .init("esc-index", document.index),
                .init("content-type", "application/json"),
            ], value: ByteBuffer(bytes: document.body))
        var backoff = Backoff(first: .milliseconds(100), max: .seconds(5))
        var random = SystemRandomNumberGenerator()
        var last = ""
        for _ in 1...Self.attemptsMax {
            switch await self.producer.produce([record], handedOver: {})[0] {
            case .delivered: return
            case .refused(_, let detail), .fenced(let detail), .unavailable(let detail): last = detail
            }
            do { try await self.clocks.sleep(for: backoff.next(using: &random)) } catch { break }
        }
        self.logger.error(
            "an activation document could not be kept among the dead letters", event: "dead_letter_lost",
            [LogKey.activationID: .string(document.id), LogKey.reason: .string(last)])
    }
}
