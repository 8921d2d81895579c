import DispatcherDomain
package import DispatcherService
package import EscapementModel
package import Logging
import NIOCore
import Observability

/// Keeps activation documents that the store refuses for ever, in the dead-letter topic.
package struct ActivationDeadLetters: Sendable {
    static let pauseMin = Duration.milliseconds(100)
    static let pauseMax = Duration.seconds(30)

    private let producer: any RecordProducer
    private let topic: String
    private let clocks: any Clocks
    private let logger: Logger

    package init(producer: any RecordProducer, topic: String, clocks: any Clocks, logger: Logger) {
        self.producer = producer
        self.topic = topic
        self.clocks = clocks
        self.logger = logger
    }

    /// Returns when the document is in the topic; tries until then, because whoever asks goes on behind it afterwards.
    ///
    /// - Throws: `CancellationError`.
    package func keep(_ document: ActivationDocument, because reason: String) async throws {
        var document = document
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        var random = SystemRandomNumberGenerator()
        var logged = ""
        while true {
            let record = self.record(of: document, because: reason)
            let trouble: String
            switch await self.producer.produce([record], handedOver: {})[0] {
            case .delivered: return
            case .refused(.tooLarge, let detail):
                // What is left without payload, labels and error text fits every topic.
                if let less = document.withoutFreeText {
                    document = less
                    continue
                }
                trouble = detail
            case .refused(_, let detail), .fenced(let detail), .unavailable(let detail): trouble = detail
            }
            // An outage of hours is one line.
            if trouble != logged {
                logged = trouble
                self.logger.error(
                    "an activation document cannot be kept among the dead letters yet", event: "dead_letter_waits",
                    [LogKey.activationID: .string(document.id), LogKey.reason: .string(trouble)])
            }
            try await self.clocks.sleep(for: backoff.next(using: &random))
        }
    }

    private func record(of document: ActivationDocument, because reason: String) -> OutgoingRecord {
        OutgoingRecord(
            topic: self.topic, key: document.id,
            headers: [
                .init("esc-reason", "ACTIVATION_REFUSED"), .init("esc-error", reason),
                .init("esc-activation-id", document.id), .init("esc-index", document.index),
                .init("content-type", "application/json"),
            ], value: ByteBuffer(bytes: document.body))
    }
}
