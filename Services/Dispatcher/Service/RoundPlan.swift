package import DispatcherDomain
package import EscapementModel
package import NIOCore
import Observability
package import WireProtocol

/// The work of one accepted batch.
package struct FireWork: Sendable {
    package var occurrences: [FireOccurrence]
    /// Who sent it, for the records.
    package var ticker: NodeID

    package init(occurrences: [FireOccurrence], ticker: NodeID) {
        self.occurrences = occurrences
        self.ticker = ticker
    }
}

/// What is equal for all rounds of a process.
package struct PublishingRules: Sendable {
    package var cluster: String
    package var dispatcher: NodeID
    package var journalTopic: String
    package var topics: TopicPolicy
    package var format: EventFormat
    package var payloads: PayloadRecording
    /// `nil`: no fire has a trace of its own.
    package var spans: FireSpans?

    package init(
        cluster: String, dispatcher: NodeID, topics: TopicPolicy, format: EventFormat = EventFormat(),
        payloads: PayloadRecording = .digest, spans: FireSpans? = nil
    ) {
        self.spans = spans
        self.cluster = cluster
        self.dispatcher = dispatcher
        self.journalTopic = Self.journalTopic(of: cluster)
        self.topics = topics
        self.format = format
        self.payloads = payloads
    }

    package static func journalTopic(of cluster: String) -> String { "escapement.\(cluster).journal" }
    package static func parkedTopic(of cluster: String) -> String { "escapement.\(cluster).parked" }
    /// Where the built-in canary fires to, so that no consumer of fires meets it.
    package static func canaryTopic(of cluster: String) -> String { "escapement.\(cluster).canary" }
    package static func recorderGroup(of cluster: String) -> String { "escapement.\(cluster).recorder" }
}

/// What a round publishes, and what follows from the fates of its records. A value without IO.
package struct RoundPlan: Sendable {
    /// Parked fires that a round takes up.
    package struct TakenUp: Sendable {
        package var decisions: [ParkedDecision]
        /// Where taking up goes on after this round.
        package var next: Int64

        package init(decisions: [ParkedDecision], next: Int64) {
            self.decisions = decisions
            self.next = next
        }
    }

    private struct Item: Sendable {
        var outcome: OutcomeRecord
        /// Index into `records`; `nil` when the outcome is decided without Kafka.
        var record: Int?
        /// What goes to the dead letters when it fails.
        var deadLetter: OutgoingRecord?
        /// It only moves among the parked fires; its outcome follows.
        var isMove = false
    }

    /// The fires, in order.
    package private(set) var records: [OutgoingRecord] = []
    /// With traces: the requests that made the timers, by what they fire as.
    package private(set) var creators: [ActivationID: String] = [:]
    /// How a record waits when its topic is away.
    private var waiting: [ParkedFire?] = []
    private var items: [Item] = []
    private let rules: PublishingRules
    private let lane: LaneID
    private let laneEpoch: Epoch
    private let sequence: UInt64
    private let shards: [ShardState]
    private let parkedNext: Int64
    private let now: WallInstant

    /// Decides for every occurrence of the round whether it is sent.
    ///
    /// - Parameters:
    ///   - takenUp: parked fires that go along.
    ///   - parkedNext: where taking up parked fires stands without them.
    ///   - health: topics that are known to be away.
    package init(
        _ round: Lane<FireWork>.Round, takenUp: TakenUp? = nil, parkedNext: Int64 = 0, lane: LaneID,
        laneEpoch: Epoch, rules: PublishingRules, health: TopicHealth = TopicHealth(), now: WallInstant
    ) {
        self.rules = rules
        self.lane = lane
        self.laneEpoch = laneEpoch
        self.sequence = round.sequence
        self.shards = round.shards
        self.parkedNext = takenUp?.next ?? parkedNext
        self.now = now
        for offer in round.offers {
            for occurrence in offer.payload.occurrences {
                self.add(
                    ParkedFire(
                        occurrence: occurrence, shard: offer.shard, epoch: offer.epoch, ticker: offer.payload.ticker,
                        notBefore: now), health)
            }
        }
        for decision in takenUp?.decisions ?? [] {
            switch decision {
            case .publish(let fire): self.add(fire, health)
            case .park(let fire): self.park(fire, self.begin(fire).outcome)
            case .settle(let fire, let outcome, let reason, let detail):
                self.settle(fire, outcome, reason, detail)
            case .drop: continue
            }
        }
    }

    /// How the record at `index` waits when its topic is away.
    package func fallback(_ index: Int) -> OutgoingRecord? {
        guard var fire = self.waiting[index] else { return nil }
        fire.attempts += 1
        return Self.parkedRecord(fire, self.lane, self.rules)
    }

    /// What is written once the fates are known.
    ///
    /// - Parameter now: when Kafka had answered for all; lateness is counted up to here.
    package func settlement(_ fates: [RecordFate], now: WallInstant) -> Settlement {
        precondition(fates.count == self.records.count, "\(fates.count) fates for \(self.records.count) records")
        var result = Settlement(deadLetters: [], journal: [], outcomes: [])
        result.outcomes.reserveCapacity(self.items.count)
        for item in self.items {
            var outcome = item.outcome
            outcome.settledAt = now
            guard let index = item.record else {
                if outcome.outcome == .failed, let letter = item.deadLetter { result.deadLetters.append(letter) }
                result.outcomes.append(outcome)
                continue
            }
            switch fates[index] {
            case .delivered where item.isMove:
                result.parkedCount += 1
                continue
            case .delivered(let partition, let offset, let attempts):
                outcome.attempts += attempts
                outcome.position = OutcomeRecord.Position(
                    topic: self.records[index].topic, partition: partition, offset: offset)
            case .parked:
                result.parkedCount += 1
                result.unavailableTopics.insert(self.records[index].topic)
                continue
            case .refused(let refusal, let detail, let attempts):
                outcome.attempts += attempts
                outcome.outcome = .failed
                outcome.reason = Self.reason(refusal)
                outcome.error = detail
                result.deadLetters.append(
                    self.deadLetter(self.records[index], outcome, keepsPayload: refusal != .tooLarge))
            }
            result.outcomes.append(outcome)
        }
        let journal = JournalCodec.encode(
            entry: self.shards, outcomes: result.outcomes, lane: self.lane, laneEpoch: self.laneEpoch,
            sequence: self.sequence, dispatcher: self.rules.dispatcher, parkedNext: self.parkedNext)
        result.journal = journal.map { Self.journalRecord($0, self.lane, self.rules) }
        return result
    }

    /// A journal record as Kafka gets it.
    package static func journalRecord(_ bytes: ByteBuffer, _ lane: LaneID, _ rules: PublishingRules) -> OutgoingRecord {
        OutgoingRecord(topic: rules.journalTopic, partition: Int32(lane.rawValue), key: nil, value: bytes)
    }

    private static func parkedRecord(_ fire: ParkedFire, _ lane: LaneID, _ rules: PublishingRules) -> OutgoingRecord {
        OutgoingRecord(
            topic: PublishingRules.parkedTopic(of: rules.cluster), partition: Int32(lane.rawValue), key: nil,
            value: fire.encoded())
    }

    private static func reason(_ refusal: RecordRefusal) -> Reason {
        switch refusal {
        case .tooLarge: .payloadTooLarge
        case .unknownTopic: .topicMissing
        case .forbiddenTopic: .topicNotAllowed
        case .invalid: .retriesExhausted
        }
    }

    /// The outcome as far as it is known before anything is sent, and the template; `nil` when that is unreadable.
    private mutating func begin(_ fire: ParkedFire) -> (outcome: OutcomeRecord, template: FireTemplate?) {
        let occurrence = fire.occurrence
        var outcome = OutcomeRecord(
            id: ActivationID(
                cluster: self.rules.cluster, kind: occurrence.kind, uid: occurrence.uid,
                scheduledTime: occurrence.scheduled), kind: occurrence.kind, uid: occurrence.uid,
            generation: occurrence.generation, shard: fire.shard, epoch: fire.epoch, scheduled: occurrence.scheduled,
            due: occurrence.due, settledAt: self.now, outcome: occurrence.outcome, reason: occurrence.reason,
            count: occurrence.count, through: occurrence.through, namespace: "", name: "", attempts: fire.attempts,
            ticker: fire.ticker)
        do throws(WireError) {
            var template = try FireTemplate(decoding: occurrence.template)
            if let spans = self.rules.spans, spans.isOn {
                if !template.traceparent.isEmpty { self.creators[outcome.id] = template.traceparent }
                template.traceparent = spans.sending(outcome.id).header
            }
            outcome.namespace = template.namespace
            outcome.name = template.name
            outcome.action = template.action
            outcome.labels = template.labels.map { OutcomeRecord.Label(name: $0.name, value: $0.value) }
            outcome.traceparent = template.traceparent
            return (outcome, template)
        } catch {
            // Nobody can tell what to send; it is settled all the same, and visible.
            if outcome.outcome == .dispatched {
                outcome.outcome = .failed
                outcome.reason = .invalidTemplate
                outcome.error = "the template cannot be read: \(error)"
            }
            return (outcome, nil)
        }
    }

    private mutating func add(_ fire: ParkedFire, _ health: TopicHealth) {
        let (begun, template) = self.begin(fire)
        var outcome = begun
        guard let template, outcome.outcome == .dispatched else {
            self.items.append(Item(outcome: outcome))
            return
        }
        if let expiry = EventFormat.expiry(of: fire.occurrence, template), self.now > expiry {
            outcome.outcome = .skipped
            outcome.reason = .expired
            self.items.append(Item(outcome: outcome))
            return
        }
        if template.web != nil {
            self.park(fire, outcome)
            return
        }
        self.send(fire, template, outcome, health)
    }

    private mutating func send(
        _ parked: ParkedFire, _ template: FireTemplate, _ outcome: OutcomeRecord, _ health: TopicHealth
    ) {
        var outcome = outcome
        self.rules.payloads.note(EventFormat.payload(of: template), in: &outcome)
        let fire = EventFormat.Fire(
            id: outcome.id, occurrence: parked.occurrence, template: template, lane: self.lane,
            sequence: self.sequence)
        let topic = template.topic.isEmpty ? self.rules.topics.defaultTopic : template.topic
        let record: OutgoingRecord
        do throws(FormatError) {
            guard self.rules.topics.allows(topic) else {
                throw FormatError(.topicNotAllowed, "the topic \(topic) is not on the allow list")
            }
            record = try self.rules.format.record(of: fire, topic: topic, now: self.now)
        } catch {
            self.fail(fire, outcome, topic: topic, error)
            return
        }
        if health.isUnavailable(topic) {
            self.park(parked, outcome)
            return
        }
        self.items.append(Item(outcome: outcome, record: self.records.count))
        self.records.append(record)
        self.waiting.append(parked)
    }

    private mutating func park(_ fire: ParkedFire, _ outcome: OutcomeRecord) {
        self.items.append(Item(outcome: outcome, record: self.records.count, isMove: true))
        self.records.append(Self.parkedRecord(fire, self.lane, self.rules))
        self.waiting.append(nil)
    }

    /// The end of a fire that went to an HTTP target.
    private mutating func settle(_ fire: ParkedFire, _ end: Outcome, _ reason: Reason, _ detail: String) {
        let (begun, template) = self.begin(fire)
        var outcome = begun
        outcome.outcome = end
        outcome.reason = reason
        outcome.error = detail
        guard let template else {
            self.items.append(Item(outcome: outcome))
            return
        }
        self.rules.payloads.note(EventFormat.payload(of: template), in: &outcome)
        guard end == .failed else {
            self.items.append(Item(outcome: outcome))
            return
        }
        let event = EventFormat.Fire(
            id: outcome.id, occurrence: fire.occurrence, template: template, lane: self.lane, sequence: self.sequence)
        self.items.append(
            Item(
                outcome: outcome, deadLetter: self.deadLetter(self.plain(event, topic: ""), outcome, keepsPayload: true)
            ))
    }

    private mutating func fail(
        _ fire: EventFormat.Fire, _ outcome: OutcomeRecord, topic: String, _ error: FormatError
    ) {
        var outcome = outcome
        outcome.outcome = .failed
        outcome.reason = error.reason
        outcome.error = error.detail
        self.items.append(
            Item(
                outcome: outcome,
                deadLetter: self.deadLetter(self.plain(fire, topic: topic), outcome, keepsPayload: true)))
    }

    /// The fire in the form that needs no key and no pattern, for the dead letters.
    private func plain(_ fire: EventFormat.Fire, topic: String) -> OutgoingRecord {
        var fire = fire
        fire.template.isPattern = false
        fire.template.format = EventFormat.Mode.binary.rawValue
        do throws(FormatError) {
            return try self.rules.format.record(of: fire, topic: topic, now: self.now)
        } catch {
            preconditionFailure("binary mode without a pattern refuses a fire: \(error)")
        }
    }

    /// A copy for the dead letters: the same record, and why it is there.
    private func deadLetter(_ record: OutgoingRecord, _ outcome: OutcomeRecord, keepsPayload: Bool) -> OutgoingRecord {
        var copy = record
        copy.topic = self.rules.topics.deadLetterTopic
        copy.headers.append(.init("esc-reason", outcome.reason.code))
        copy.headers.append(.init("esc-error", outcome.error))
        copy.headers.append(.init("esc-topic", record.topic))
        if !keepsPayload {
            copy.headers.append(.init("esc-payload-omitted", "true"))
            copy.value = ByteBuffer(string: "{}")
        }
        return copy
    }
}
