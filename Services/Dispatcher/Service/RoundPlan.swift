package import DispatcherDomain
package import EscapementModel
package import NIOCore
import Observability
import WireProtocol

/// What a round publishes, and what follows from the fates of its records. A value without IO.
package struct RoundPlan: Sendable {
    /// What became of fires for HTTP targets, for a round to settle.
    package struct TakenUp: Sendable {
        package struct End: Sendable {
            /// Where the fire lies.
            package var offset: Int64
            package var decision: ParkedDecision

            package init(offset: Int64, decision: ParkedDecision) {
                self.offset = offset
                self.decision = decision
            }
        }

        package var ends: [End]

        package init(ends: [End]) { self.ends = ends }
    }

    struct Item: Sendable {
        enum Role: Sendable {
            case fire
            /// Only put aside, for its delivery: the outcome follows.
            case delivery
            /// Only put aside, until its topic is back.
            case joins(String)
            /// A dead letter of the line: its outcome is known.
            case letter
        }

        var outcome: OutcomeRecord
        /// Index into `records`; `nil` when the outcome is decided without Kafka.
        var record: Int?
        /// What goes to the dead letters when it fails: index into `letters`.
        var deadLetter: Int?
        var role = Role.fire
        /// Where in the line of those that wait it lies.
        var resumed: (offset: Int64, topic: String)?
    }

    /// How a record waits while its topic is away.
    enum Waiting: Sendable {
        case not(ParkedFire)
        case joining(ParkedFire)
        case staying(ParkedFire)

        var fire: ParkedFire {
            switch self {
            case .not(let fire), .joining(let fire), .staying(let fire): fire
            }
        }
    }

    /// The fires, in order.
    package private(set) var records: [OutgoingRecord] = []
    /// Where fires go, but for what is put aside.
    package private(set) var topics: Set<String> = []
    /// With traces: the requests that made the timers, by what they fire as.
    package private(set) var creators: [ActivationID: String] = [:]
    var waiting: [Waiting] = []
    private var items: [Item] = []
    private var letters: [DeadLetter] = []
    let rules: PublishingRules
    let lane: LaneID
    private let laneEpoch: Epoch
    /// Of the journal entry.
    package let sequence: UInt64
    private let shards: [ShardState]
    private let resumed: Resumed?
    let now: WallInstant

    /// Decides for every occurrence of the round whether it is sent.
    ///
    /// - Parameters:
    ///   - takenUp: ends of fires for HTTP targets that go along.
    ///   - resumed: fires of the line that go before those of the round.
    ///   - line: the line; fires of its topics join it.
    ///   - health: topics that are known to be away.
    package init(
        _ round: Lane<FireWork>.Round, takenUp: TakenUp? = nil, resumed: Resumed? = nil,
        line: WaitingLine = WaitingLine(), lane: LaneID, laneEpoch: Epoch, rules: PublishingRules,
        health: TopicHealth = TopicHealth(), now: WallInstant
    ) {
        self.rules = rules
        self.lane = lane
        self.laneEpoch = laneEpoch
        self.sequence = round.sequence
        self.shards = round.shards
        self.resumed = resumed
        self.now = now
        for resumed in resumed?.fires ?? [] { self.resume(resumed) }
        var held = Set(line.last.keys)
        if let resumed { held = held.filter { !resumed.drains($0, of: line) } }
        let gate = Gate(closed: held.union(health.unavailable))
        for offer in round.offers {
            for occurrence in offer.payload.occurrences {
                self.add(
                    ParkedFire(
                        occurrence: occurrence, shard: offer.shard, epoch: offer.epoch, ticker: offer.payload.ticker,
                        notBefore: now), gate)
            }
        }
        for end in takenUp?.ends ?? [] {
            switch end.decision {
            case .park(let fire): self.deliver(fire, self.begin(fire).outcome)
            case .settle(let fire, let outcome, let reason, let detail):
                self.settle(fire, outcome, reason, detail)
            case .drop: continue
            }
        }
    }

    /// Which topics take no fires now.
    private struct Gate {
        /// The empty name stands for all.
        var closed: Set<String>

        func isClosed(_ topic: String) -> Bool {
            !self.closed.isEmpty && (self.closed.contains(topic) || self.closed.contains(""))
        }
    }

    /// What becomes of the record at `index` while its topic is away.
    package func fallback(_ index: Int) -> Fallback {
        switch self.waiting[index] {
        case .not: return .none
        case .staying: return .stays
        case .joining(var fire):
            fire.attempts += 1
            return .other(Self.parkedRecord(fire, .waiting, self.lane, self.rules))
        }
    }

    /// What is written once the fates are known.
    ///
    /// - Parameters:
    ///   - letters: what became of the dead letters, when not all of them are written.
    ///   - parked: where the lane stands before this round.
    ///   - now: when Kafka had answered for all; lateness is counted up to here.
    package func settlement(
        _ fates: [RecordFate], letters: [LetterFate] = [], parked: Parked = Parked(), now: WallInstant
    ) -> Settlement {
        precondition(fates.count == self.records.count, "\(fates.count) fates for \(self.records.count) records")
        var result = Settlement(deadLetters: [], journal: [], outcomes: [])
        result.outcomes.reserveCapacity(self.items.count)
        var joined: [(topic: String, offset: Int64)] = []
        var settled = self.resumed?.dropped ?? []
        var stayed = self.resumed?.left ?? []
        for item in self.items {
            if case .letter = item.role {
                self.settleLetter(item, fates, &result, &settled, &stayed)
                continue
            }
            var outcome = item.outcome
            outcome.settledAt = now
            if let index = item.record {
                switch (fates[index], item.role) {
                case (.delivered(_, let offset, _), .delivery):
                    result.parked.append(.init(offset: offset, fire: self.waiting[index].fire))
                    continue
                case (.delivered(_, let offset, _), .joins(let topic)):
                    joined.append((topic, offset))
                    continue
                case (.delivered(let partition, let offset, let attempts), .fire):
                    outcome.attempts += attempts
                    outcome.position = OutcomeRecord.Position(
                        topic: self.records[index].topic, partition: partition, offset: offset)
                case (.delivered, .letter): continue
                case (.parked(let offset), _):
                    let topic = self.records[index].topic
                    result.unavailableTopics.insert(topic)
                    if let resumed = item.resumed { stayed.append(resumed) }
                    if let offset { joined.append((topic, offset)) }
                    continue
                case (.refused(let refusal, let detail, let attempts), _):
                    outcome.attempts += attempts
                    outcome.outcome = .failed
                    outcome.reason = Self.reason(refusal)
                    outcome.error = detail
                    self.add(
                        self.deadLetter(
                            self.event(of: item, self.records[index]), self.waiting[index].fire, outcome,
                            keepsPayload: refusal != .tooLarge), to: &result)
                }
            } else if outcome.outcome == .failed, let letter = item.deadLetter {
                self.add(self.letters[letter], to: &result)
            }
            if let resumed = item.resumed { settled.append(resumed.offset) }
            result.outcomes.append(outcome)
        }
        for letter in letters {
            switch letter {
            case .written: continue
            case .waits(let offset):
                joined.append((self.rules.topics.deadLetterTopic, offset))
                result.unavailableTopics.insert(self.rules.topics.deadLetterTopic)
            case .lost(let reason): result.lostLetters.append(reason)
            }
        }
        self.advance(parked, settled, stayed, joined, &result)
        let journal = JournalCodec.encode(
            entry: self.shards, outcomes: result.outcomes, lane: self.lane, laneEpoch: self.laneEpoch,
            sequence: self.sequence, dispatcher: self.rules.dispatcher, deliveries: parked.deliveries,
            waiting: result.waiting)
        result.journal = journal.map { Self.journalRecord($0, self.lane, self.rules) }
        return result
    }

    /// Where the line stands after this round.
    private func advance(
        _ parked: Parked, _ settled: [Int64], _ stayed: [(offset: Int64, topic: String)],
        _ joined: [(topic: String, offset: Int64)], _ result: inout Settlement
    ) {
        result.waiting = parked.line
        if let resumed {
            var pass = resumed.pass
            result.waiting.advance(
                over: resumed.stretch, settled: settled.sorted(), waiting: stayed.sorted { $0.offset < $1.offset },
                isEnd: resumed.isEnd && !parked.hasGrown, &pass)
            result.pass = pass
        }
        for (topic, offset) in joined { result.waiting.joined(topic, at: offset) }
        result.joinedCount = joined.count
    }

    /// A journal record as Kafka gets it.
    package static func journalRecord(_ bytes: ByteBuffer, _ lane: LaneID, _ rules: PublishingRules) -> OutgoingRecord {
        OutgoingRecord(topic: rules.journalTopic, partition: Int32(lane.rawValue), key: nil, value: bytes)
    }

    static func parkedRecord(
        _ fire: ParkedFire, _ queue: ParkedQueue, _ lane: LaneID, _ rules: PublishingRules
    ) -> OutgoingRecord {
        OutgoingRecord(
            topic: PublishingRules.parkedTopic(of: rules.cluster), partition: queue.partition(of: lane), key: nil,
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

    private mutating func add(_ fire: ParkedFire, _ gate: Gate) {
        let (outcome, template) = self.begin(fire)
        guard let template, outcome.outcome == .dispatched else {
            self.items.append(Item(outcome: outcome))
            return
        }
        if let expired = self.expired(fire, template, outcome) {
            self.items.append(Item(outcome: expired))
        } else if template.web != nil {
            self.deliver(fire, outcome)
        } else {
            self.send(fire, template, outcome, gate)
        }
    }

    /// A fire of the line, whose topic takes fires again.
    private mutating func resume(_ resumed: Resumed.Fire) {
        let (outcome, template) = self.begin(resumed.fire)
        let count = self.items.count
        if let letter = resumed.fire.letter {
            self.resume(letter, of: resumed, outcome, template)
        } else if let template, let expired = self.expired(resumed.fire, template, outcome) {
            self.items.append(Item(outcome: expired))
        } else if let template, let failure = resumed.failure {
            let fire = EventFormat.Fire(
                id: outcome.id, occurrence: resumed.fire.occurrence, template: template, lane: self.lane,
                sequence: self.sequence)
            self.fail(fire, resumed.fire, outcome, topic: resumed.topic, failure)
        } else if let template {
            self.send(resumed.fire, template, outcome, nil)
        } else {
            self.items.append(Item(outcome: outcome))
        }
        for index in count..<self.items.count {
            self.items[index].resumed = (resumed.offset, resumed.topic)
            if let record = self.items[index].record { self.waiting[record] = .staying(resumed.fire) }
        }
    }

    /// A dead letter of the line.
    private mutating func resume(
        _ letter: ParkedFire.Letter, of resumed: Resumed.Fire, _ outcome: OutcomeRecord, _ template: FireTemplate?
    ) {
        var outcome = outcome
        outcome.error = resumed.failure?.detail ?? "the template cannot be read"
        guard resumed.failure == nil, let template else {
            self.items.append(Item(outcome: outcome, role: .letter))
            return
        }
        outcome.reason = letter.reason
        outcome.error = letter.error
        let event = EventFormat.Fire(
            id: outcome.id, occurrence: resumed.fire.occurrence, template: template, lane: self.lane,
            sequence: self.sequence)
        self.topics.insert(resumed.topic)
        self.items.append(Item(outcome: outcome, record: self.records.count, role: .letter))
        self.records.append(
            self.deadLetter(
                self.plain(event, topic: letter.topic), resumed.fire, outcome, keepsPayload: letter.keepsPayload
            ).record)
        self.waiting.append(.staying(resumed.fire))
    }

    private func expired(_ fire: ParkedFire, _ template: FireTemplate, _ outcome: OutcomeRecord) -> OutcomeRecord? {
        guard let expiry = EventFormat.expiry(of: fire.occurrence, template), self.now > expiry else { return nil }
        var outcome = outcome
        outcome.outcome = .skipped
        outcome.reason = .expired
        return outcome
    }

    /// - Parameter gate: `nil` for a fire whose turn it is.
    private mutating func send(
        _ parked: ParkedFire, _ template: FireTemplate, _ outcome: OutcomeRecord, _ gate: Gate?
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
            self.fail(fire, parked, outcome, topic: topic, error)
            return
        }
        if let gate, gate.isClosed(topic) {
            self.putAside(parked, outcome, .waiting, .joins(topic))
            return
        }
        if self.records.last?.topic != topic { self.topics.insert(topic) }
        self.items.append(Item(outcome: outcome, record: self.records.count))
        self.records.append(record)
        self.waiting.append(.joining(parked))
    }

    private mutating func deliver(_ fire: ParkedFire, _ outcome: OutcomeRecord) {
        self.putAside(fire, outcome, .deliveries, .delivery)
    }

    private mutating func putAside(
        _ fire: ParkedFire, _ outcome: OutcomeRecord, _ queue: ParkedQueue, _ role: Item.Role
    ) {
        self.items.append(Item(outcome: outcome, record: self.records.count, role: role))
        self.records.append(Self.parkedRecord(fire, queue, self.lane, self.rules))
        self.waiting.append(.not(fire))
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
        guard end == .failed, !(template.retry.dropsExhausted && reason == .retriesExhausted) else {
            self.items.append(Item(outcome: outcome))
            return
        }
        let event = EventFormat.Fire(
            id: outcome.id, occurrence: fire.occurrence, template: template, lane: self.lane, sequence: self.sequence)
        self.items.append(Item(outcome: outcome, deadLetter: self.letters.count))
        self.letters.append(self.deadLetter(self.plain(event, topic: ""), fire, outcome, keepsPayload: true))
    }

    private mutating func fail(
        _ fire: EventFormat.Fire, _ parked: ParkedFire, _ outcome: OutcomeRecord, topic: String, _ error: FormatError
    ) {
        var outcome = outcome
        outcome.outcome = .failed
        outcome.reason = error.reason
        outcome.error = error.detail
        self.items.append(Item(outcome: outcome, deadLetter: self.letters.count))
        self.letters.append(self.deadLetter(self.plain(fire, topic: topic), parked, outcome, keepsPayload: true))
    }
}
