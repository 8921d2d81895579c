import DispatcherDomain
import EscapementModel
import NIOCore
import WireProtocol

/// The records of dead letters.
extension RoundMatter {
    /// The fire in the form that needs no key and no pattern, for the dead letters.
    func plain(_ fire: borrowing EventFormat.Fire, topic: String) -> OutgoingRecord {
        Self.plain(fire, topic: topic, self.rules, now: self.now)
    }

    /// The same for whoever has no round.
    static func plain(
        _ fire: borrowing EventFormat.Fire, topic: String, _ rules: PublishingRules, now: WallInstant
    ) -> OutgoingRecord {
        do throws(FormatError) {
            return try rules.format.record(of: fire, topic: topic, now: now, isPlain: true)
        } catch {
            preconditionFailure("binary mode without a pattern refuses a fire: \(error)")
        }
    }

    /// A copy for the dead letters: the same record, and why it is there.
    func deadLetter(
        _ record: OutgoingRecord, _ fire: ParkedFire, _ reason: Reason, _ error: String, keepsPayload: Bool
    ) -> RoundPlan.DeadLetter {
        let letter = ParkedFire.Letter(
            reason: reason, error: error.prefix(bytes: ParkedFire.detailBytesMax), topic: record.topic,
            keepsPayload: keepsPayload)
        var fire = fire
        fire.letter = letter
        if !keepsPayload { fire.occurrence.template = Self.withoutPayload(fire.occurrence.template) }
        return RoundPlan.DeadLetter(record: Self.copy(record, letter, self.rules), fire: fire)
    }

    /// A template that is not larger than what a topic takes.
    private static func withoutPayload(_ bytes: ByteBuffer) -> ByteBuffer {
        do throws(WireError) {
            var template = try FireTemplate(decoding: bytes)
            template.payload = ByteBuffer()
            return template.encoded()
        } catch {
            preconditionFailure("a template that was sent cannot be read: \(error)")
        }
    }

    /// The record as it lies among the dead letters.
    static func copy(
        _ record: OutgoingRecord, _ letter: ParkedFire.Letter, _ rules: PublishingRules
    ) -> OutgoingRecord {
        var added: [OutgoingRecord.Header] = [
            .init("esc-reason", letter.reason.code), .init("esc-error", letter.error),
            .init("esc-topic", letter.topic),
        ]
        if !letter.keepsPayload { added.append(.init("esc-payload-omitted", "true")) }
        return OutgoingRecord(
            topic: rules.topics.deadLetterTopic, partition: record.partition, key: record.key,
            headers: record.headers + added, value: letter.keepsPayload ? record.value : ByteBuffer(string: "{}"))
    }
}
