import DispatcherDomain
import EscapementModel
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
        result.waitingLetters.append(
            Self.parkedRecord(letter.fire, .waiting, self.matter.lane, self.matter.rules))
    }

    /// A dead letter of the line: it has no outcome any more.
    func settleLetter(
        _ item: Item, error: String, _ fates: [RecordFate], _ result: inout Settlement, _ steps: inout Steps
    ) {
        guard let place = self.matter.place(item.origin) else { return }
        switch item.record.map({ fates[$0] }) {
        case .delivered: steps.settled.append(place.offset)
        // A right or a topic that is missing may come back.
        case .parked, .refused(.forbiddenTopic, _, _), .refused(.unknownTopic, _, _):
            steps.stayed.append(place)
            result.unavailableTopics.insert(place.topic)
        case .refused(let refusal, let detail, _):
            steps.settled.append(place.offset)
            result.lostLetters.append("\(refusal): \(detail)")
        case nil:
            steps.settled.append(place.offset)
            result.lostLetters.append(error)
        }
    }

    /// The record as readers of dead letters get it: one that was only to be put aside is in a form of our own, and one for
    /// OpenWhisk holds a key that they must not see.
    ///
    /// - Parameter topic: where one goes that was put aside.
    func event(of item: Item, _ record: OutgoingRecord, topic: String) -> OutgoingRecord {
        var topic = topic
        switch item.role {
        case .fire where record.topic == self.matter.rules.format.whisk?.topic: topic = record.topic
        case .fire, .letter: return record
        case .delivery, .joins: break
        }
        do {
            return self.matter.plain(
                try .of(
                    self.matter.fire(item.origin).occurrence, id: item.id, lane: self.matter.lane,
                    sequence: self.sequence), topic: topic)
        } catch {
            preconditionFailure("a fire that this round has sent or put aside cannot be read: \(error)")
        }
    }

    /// The record of a fire that waits, to find out whether its topic takes it; `nil` for one that cannot be written.
    static func trial(of fire: ParkedFire, topic: String, lane: LaneID, rules: PublishingRules) -> OutgoingRecord? {
        do {
            let event = try EventFormat.Fire.of(
                fire.occurrence, id: rules.id(of: fire.occurrence), lane: lane, sequence: 0)
            if let letter = fire.letter {
                return RoundMatter.copy(
                    RoundMatter.plain(event, topic: letter.topic, rules, now: fire.notBefore), letter, rules)
            }
            return try rules.format.record(of: event, topic: topic, now: fire.notBefore)
        } catch {
            return nil
        }
    }
}
