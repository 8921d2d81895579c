import DispatcherDomain
import EscapementModel
import NIOCore
import WireProtocol

/// Copies of what cannot be delivered, and how they wait for their topic.
extension RoundPlan {
    struct DeadLetter: Sendable {
        var record: OutgoingRecord
        /// As it waits.
        var fire: ParkedFire
    }

    func add(_ letter: DeadLetter, to result: inout Settlement) {
        result.deadLetters.append(letter.record)
        result.waitingLetters.append(Self.parkedRecord(letter.fire, .waiting, self.lane, self.rules))
    }

    /// A dead letter of the line: it has no outcome any more.
    func settleLetter(
        _ item: Item, error: String, _ fates: [RecordFate], _ result: inout Settlement, _ settled: inout [Int64],
        _ stayed: inout [(offset: Int64, topic: String)]
    ) {
        guard let resumed = item.resumed else { return }
        switch item.record.map({ fates[$0] }) {
        case .delivered: settled.append(resumed.offset)
        // A right or a topic that is missing may come back.
        case .parked, .refused(.forbiddenTopic, _, _), .refused(.unknownTopic, _, _):
            stayed.append(resumed)
            result.unavailableTopics.insert(resumed.topic)
        case .refused(let refusal, let detail, _):
            settled.append(resumed.offset)
            result.lostLetters.append("\(refusal): \(detail)")
        case nil:
            settled.append(resumed.offset)
            result.lostLetters.append(error)
        }
    }

    /// The record as consumers would get it: one that was only to be put aside is in a form of our own.
    func event(of item: Item, _ record: OutgoingRecord, id: ActivationID) -> OutgoingRecord {
        let topic: String
        switch item.role {
        case .fire, .letter: return record
        case .delivery: topic = ""
        case .joins(let name): topic = name
        }
        do {
            let fire = try ParkedFire(decoding: record.value)
            return self.plain(
                EventFormat.Fire(
                    id: id, occurrence: fire.occurrence,
                    template: try FireTemplate(decoding: fire.occurrence.template), lane: self.lane,
                    sequence: self.sequence), topic: topic)
        } catch {
            preconditionFailure("a fire that this round put aside cannot be read: \(error)")
        }
    }

    /// The fire in the form that needs no key and no pattern, for the dead letters.
    func plain(_ fire: borrowing EventFormat.Fire, topic: String) -> OutgoingRecord {
        Self.plain(fire, topic: topic, self.rules, now: self.now)
    }

    private static func plain(
        _ fire: borrowing EventFormat.Fire, topic: String, _ rules: PublishingRules, now: WallInstant
    ) -> OutgoingRecord {
        var template = fire.template
        template.isPattern = false
        template.format = EventFormat.Mode.binary.rawValue
        do throws(FormatError) {
            return try rules.format.record(
                of: EventFormat.Fire(
                    id: fire.id, occurrence: fire.occurrence, template: template, lane: fire.lane,
                    sequence: fire.sequence), topic: topic, now: now)
        } catch {
            preconditionFailure("binary mode without a pattern refuses a fire: \(error)")
        }
    }

    /// The record of a fire that waits, to find out whether its topic takes it; `nil` for one that cannot be written.
    static func trial(of fire: ParkedFire, topic: String, lane: LaneID, rules: PublishingRules) -> OutgoingRecord? {
        do {
            let event = EventFormat.Fire(
                id: ActivationID(
                    cluster: rules.cluster, kind: fire.occurrence.kind, uid: fire.occurrence.uid,
                    scheduledTime: fire.occurrence.scheduled, sha256: rules.sha256), occurrence: fire.occurrence,
                template: try FireTemplate(decoding: fire.occurrence.template), lane: lane, sequence: 0)
            if let letter = fire.letter {
                return self.copy(self.plain(event, topic: letter.topic, rules, now: fire.notBefore), letter, rules)
            }
            return try rules.format.record(of: event, topic: topic, now: fire.notBefore)
        } catch {
            return nil
        }
    }

    /// A copy for the dead letters: the same record, and why it is there.
    func deadLetter(
        _ record: OutgoingRecord, _ fire: ParkedFire, _ outcome: OutcomeRecord, keepsPayload: Bool
    ) -> DeadLetter {
        let letter = ParkedFire.Letter(
            reason: outcome.reason, error: outcome.error, topic: record.topic, keepsPayload: keepsPayload)
        var fire = fire
        fire.letter = letter
        if !keepsPayload { fire.occurrence.template = Self.withoutPayload(fire.occurrence.template) }
        return DeadLetter(record: Self.copy(record, letter, self.rules), fire: fire)
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

    private static func copy(
        _ record: OutgoingRecord, _ letter: ParkedFire.Letter, _ rules: PublishingRules
    ) -> OutgoingRecord {
        var copy = record
        copy.topic = rules.topics.deadLetterTopic
        copy.headers.append(.init("esc-reason", letter.reason.code))
        copy.headers.append(.init("esc-error", letter.error))
        copy.headers.append(.init("esc-topic", letter.topic))
        if !letter.keepsPayload {
            copy.headers.append(.init("esc-payload-omitted", "true"))
            copy.value = ByteBuffer(string: "{}")
        }
        return copy
    }
}
