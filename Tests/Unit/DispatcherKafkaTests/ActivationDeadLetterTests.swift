import DispatcherKafka
import DispatcherService
import EscapementModel
import JSON
import NIOCore
import Synchronization
import Testing

/// Answers one record after the other as a script says.
private final class ScriptedProducer: RecordProducer {
    private let state: Mutex<(script: [RecordDelivery], records: [OutgoingRecord])>

    init(_ script: [RecordDelivery]) { self.state = Mutex((script, [])) }

    var records: [OutgoingRecord] { self.state.withLock { $0.records } }

    func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery] {
        self.state.withLock { state in
            state.records += records
            return records.map { _ in state.script.removeFirst() }
        }
    }
}

/// Sleeps end at once; those after `sleepsMax` end as when the process stops.
private final class StoppingClocks: Clocks {
    private let left: Mutex<Int>

    init(sleepsMax: Int = .max) { self.left = Mutex(sleepsMax) }

    func wallNow() -> WallInstant { WallInstant(milliseconds: 0) }
    func monotonicNow() -> MonotonicInstant { MonotonicInstant(nanoseconds: 0) }

    func sleep(for duration: Duration) async throws {
        let isOver = self.left.withLock { left in
            left -= 1
            return left < 0
        }
        if isOver { throw CancellationError() }
    }
}

@Suite struct ActivationDeadLetterTests {
    private static let document = ActivationDocument(
        index: "a-2026.11.23", id: "id-1",
        body: JSONValue.object([JSONMember("outcome", "failed"), JSONMember("payload", "much")]).bytes)

    private func letters(_ producer: ScriptedProducer, _ clocks: StoppingClocks) -> ActivationDeadLetters {
        ActivationDeadLetters(producer: producer, topic: "dead", clocks: clocks, logger: KafkaFixture.logger)
    }

    @Test func `a document is kept however long Kafka takes none`() async throws {
        let producer = ScriptedProducer(
            Array(repeating: .unavailable("away"), count: 40) + [
                .refused(.unknownTopic, detail: "no topic"), .fenced("fenced"), .delivered(partition: 0, offset: 7),
            ])
        try await self.letters(producer, StoppingClocks()).keep(Self.document, because: "HTTP 400")
        #expect(producer.records.count == 43)
        #expect(producer.records.allSatisfy { $0.topic == "dead" && Array(buffer: $0.value) == Self.document.body })
    }

    @Test func `a document that was not kept is never said to be`() async {
        let producer = ScriptedProducer(Array(repeating: .unavailable("away"), count: 40))
        let letters = self.letters(producer, StoppingClocks(sleepsMax: 20))
        await #expect(throws: CancellationError.self) { try await letters.keep(Self.document, because: "HTTP 400") }
        #expect(producer.records.count == 21)
    }

    @Test func `a document that is too large for the topic is kept without what people wrote`() async throws {
        let producer = ScriptedProducer([.refused(.tooLarge, detail: "large"), .delivered(partition: 0, offset: 7)])
        try await self.letters(producer, StoppingClocks(sleepsMax: 0)).keep(Self.document, because: "HTTP 413")
        #expect(producer.records.last.map { Array(buffer: $0.value) } == Self.document.withoutFreeText?.body)
    }
}
