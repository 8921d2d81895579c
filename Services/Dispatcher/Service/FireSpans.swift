import DispatcherDomain
package import EscapementModel
package import Observability

/// The traces of fires: `fire <action>` from the due instant to its outcome, and below it `send <topic>`.
///
/// The activation's id is the trace's id, so that a log line, a record in Elasticsearch and a trace of one fire find each
/// other, and a fire that is tried again stays one trace. Whether it is recorded follows from that id as well. The
/// request that made a timer may be weeks old: it is a link, and no parent. The names of attributes follow
/// OpenTelemetry's conventions for messaging and FaaS of version 1.37, here and nowhere else.
package struct FireSpans: Sendable {
    private let recorder: SpanRecorder

    package init(_ recorder: SpanRecorder) { self.recorder = recorder }

    package var isOn: Bool { self.recorder.isOn }

    /// The span that sends the fire to Kafka: what a consumer continues.
    package func sending(_ id: ActivationID) -> TraceContext { self.context(id, "send") }

    private func firing(_ id: ActivationID) -> TraceContext { self.context(id, "fire") }

    private func context(_ id: ActivationID, _ part: String) -> TraceContext {
        let trace = id.description
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in (trace + part).utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = String(max(hash, 1), radix: 16)
        return TraceContext(
            traceID: trace, spanID: String(repeating: "0", count: 16 - digits.utf8.count) + digits,
            isSampled: self.recorder.samples(traceID: trace))
    }

    /// Records what a round settled.
    ///
    /// - Parameters:
    ///   - creators: the contexts of the requests that made the timers, where there are any.
    ///   - sentAt: when the round was handed to Kafka.
    package func settled(_ settlement: Settlement, creators: [ActivationID: String], sentAt: WallInstant) {
        guard self.recorder.isOn else { return }
        for outcome in settlement.outcomes(where: { self.recorder.samples(traceID: $0.description) }) {
            let fire = self.firing(outcome.id)
            let end = Self.nanoseconds(outcome.settledAt)
            let error = outcome.outcome == .failed ? outcome.reason.code : nil
            self.recorder.record(
                Span(
                    fire, name: "fire \(outcome.action)", kind: .internal,
                    start: min(Self.nanoseconds(outcome.due), end), end: end,
                    attributes: [
                        ("faas.trigger", .text("timer")), ("faas.time", .text(outcome.scheduled.description)),
                        ("escapement.namespace", .text(outcome.namespace)),
                        ("escapement.schedule", .text(outcome.name)),
                        ("escapement.kind", .text(outcome.kind.name)),
                        ("escapement.outcome", .text(outcome.outcome.name)),
                        (
                            "escapement.lateness_ms",
                            .integer(outcome.settledAt.duration(since: outcome.due).wholeMilliseconds)
                        ),
                    ], links: creators[outcome.id].flatMap { TraceContext(header: $0) }.map { [$0] } ?? [],
                    error: error))
            guard let position = outcome.position else { continue }
            self.recorder.record(
                Span(
                    self.sending(outcome.id), parent: fire.spanID, name: "send \(position.topic)", kind: .producer,
                    start: min(Self.nanoseconds(sentAt), end), end: end,
                    attributes: [
                        ("messaging.system", .text("kafka")), ("messaging.operation.name", .text("send")),
                        ("messaging.operation.type", .text("send")),
                        ("messaging.destination.name", .text(position.topic)),
                        ("messaging.destination.partition.id", .text("\(position.partition)")),
                        ("messaging.kafka.offset", .integer(position.offset)),
                        ("messaging.message.id", .text(outcome.id.description)),
                    ], error: error))
        }
    }

    private static func nanoseconds(_ instant: WallInstant) -> Int64 { instant.milliseconds &* 1_000_000 }
}
