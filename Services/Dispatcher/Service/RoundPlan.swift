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

        /// Index into `records`; `nil` when the outcome is decided without Kafka.
        var record: Int?
        /// What goes to the dead letters when it fails: index into `letters`.
        var deadLetter: Int?
        var role = Role.fire
        /// Where in the line of those that wait it lies.
        var resumed: (offset: Int64, topic: String)?
    }

    /// Where an occurrence of the round lies.
    struct Place: Sendable {
        var offer: Int
        var occurrence: Int
    }

    /// How a record waits while its topic is away.
    ///
    /// Rare ones lie elsewhere, so that the many are small.
    enum Waiting: Sendable {
        indirect case not(ParkedFire)
        /// One of the round: what waits is made when it has to.
        case joining(Place)
        indirect case staying(ParkedFire)
    }

    /// The fires, in order.
    package private(set) var records: [OutgoingRecord] = []
    /// Where fires go, but for what is put aside.
    package private(set) var topics: Set<String> = []
    /// With traces: the requests that made the timers, by what they fire as.
    package private(set) var creators: [ActivationID: String] = [:]
    var waiting: [Waiting] = []
    private var items: [Item] = []
    /// Of the items, one for each, as far as they are known before anything is sent.
    private var outcomes: [OutcomeRecord] = []
    private var letters: [DeadLetter] = []
    let rules: PublishingRules
    let lane: LaneID
    private let laneEpoch: Epoch
    /// Of the journal entry.
    package let sequence: UInt64
    /// A copy of its own: references to one text, counted for each record by all lanes, would keep the processors
    /// waiting for each other.
    private let defaultTopic: String
    private let shards: [ShardState]
    private let offers: [Lane<FireWork>.Offer]
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
        self.defaultTopic = String(decoding: Array(rules.topics.defaultTopic.utf8), as: UTF8.self)
        self.shards = round.shards
        self.offers = round.offers
        self.resumed = resumed
        self.now = now
        // Grown step by step, they would be moved several times.
        let count = round.offers.reduce((resumed?.fires.count ?? 0) + (takenUp?.ends.count ?? 0)) {
            $0 + $1.payload.occurrences.count
        }
        self.records.reserveCapacity(count)
        self.waiting.reserveCapacity(count)
        self.items.reserveCapacity(count)
        self.outcomes.reserveCapacity(count)
        for resumed in resumed?.fires ?? [] { self.resume(resumed) }
        var held = Set(line.last.keys)
        if let resumed { held = held.filter { !resumed.drains($0, of: line) } }
        let gate = Gate(closed: held.union(health.unavailable))
        for (index, offer) in round.offers.enumerated() {
            for place in offer.payload.occurrences.indices {
                self.add(
                    offer.payload.occurrences[place], of: offer, at: Place(offer: index, occurrence: place), gate)
            }
        }
        for end in takenUp?.ends ?? [] {
            switch end.decision {
            case .park(let fire):
                _ = self.begin(fire)
                self.putAside(fire, .deliveries, .delivery)
            case .settle(let fire, let outcome, let reason, let detail):
                self.settle(fire, outcome, reason, detail)
            case .drop: continue
            }
        }
        precondition(self.items.count == self.outcomes.count, "an outcome without its item")
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
        case .joining(let place):
            var fire = self.fire(at: place)
            fire.attempts += 1
            return .other(Self.parkedRecord(fire, .waiting, self.lane, self.rules))
        }
    }

    /// The fire of a record, as it waits.
    func fire(of record: Int) -> ParkedFire { self.fire(self.waiting[record]) }

    private func fire(_ waiting: Waiting) -> ParkedFire {
        switch waiting {
        case .not(let fire), .staying(let fire): fire
        case .joining(let place): self.fire(at: place)
        }
    }

    private func fire(at place: Place) -> ParkedFire {
        let offer = self.offers[place.offer]
        return ParkedFire(
            occurrence: offer.payload.occurrences[place.occurrence], shard: offer.shard, epoch: offer.epoch,
            ticker: offer.payload.ticker, notBefore: self.now)
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
        var result = Settlement(deadLetters: [], journal: [], outcomes: self.outcomes)
        var joined: [(topic: String, offset: Int64)] = []
        var settled = self.resumed?.dropped ?? []
        var stayed = self.resumed?.left ?? []
        // Outcomes that there are move up to take the places of those that there are not.
        var count = 0
        for (index, item) in self.items.enumerated() {
            if case .letter = item.role {
                self.settleLetter(item, error: self.outcomes[index].error, fates, &result, &settled, &stayed)
                continue
            }
            if let record = item.record {
                switch (fates[record], item.role) {
                case (.delivered(_, let offset, _), .delivery):
                    result.parked.append(.init(offset: offset, fire: self.fire(of: record)))
                    continue
                case (.delivered(_, let offset, _), .joins(let topic)):
                    joined.append((topic, offset))
                    continue
                case (.delivered(let partition, let offset, let attempts), .fire):
                    result.outcomes[index].attempts += attempts
                    result.outcomes[index].position = OutcomeRecord.Position(
                        topic: self.records[record].topic, partition: partition, offset: offset)
                case (.delivered, .letter): continue
                case (.parked(let offset), _):
                    let topic = self.records[record].topic
                    result.unavailableTopics.insert(topic)
                    if let resumed = item.resumed { stayed.append(resumed) }
                    if let offset { joined.append((topic, offset)) }
                    continue
                case (.refused(let refusal, let detail, let attempts), _):
                    result.outcomes[index].attempts += attempts
                    result.outcomes[index].outcome = .failed
                    result.outcomes[index].reason = Self.reason(refusal)
                    result.outcomes[index].error = detail
                    self.add(
                        self.deadLetter(
                            self.event(of: item, self.records[record], id: result.outcomes[index].id),
                            self.fire(of: record), result.outcomes[index], keepsPayload: refusal != .tooLarge),
                        to: &result)
                }
            } else if self.outcomes[index].outcome == .failed, let letter = item.deadLetter {
                self.add(self.letters[letter], to: &result)
            }
            if let resumed = item.resumed { settled.append(resumed.offset) }
            result.outcomes[index].settledAt = now
            if count != index { result.outcomes.swapAt(count, index) }
            count += 1
        }
        result.outcomes.removeLast(result.outcomes.count - count)
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

    private mutating func begin(_ fire: ParkedFire) -> EventFormat.Fire? {
        self.begin(fire.occurrence, fire.shard, fire.epoch, fire.ticker, attempts: fire.attempts)
    }

    /// Appends the outcome as far as it is known before anything is sent, for an item to follow.
    ///
    /// - Returns: what to send; `nil` when the template is unreadable.
    private mutating func begin(
        _ occurrence: FireOccurrence, _ shard: ShardID, _ epoch: Epoch, _ ticker: NodeID, attempts: UInt32 = 0
    ) -> EventFormat.Fire? {
        precondition(self.items.count == self.outcomes.count, "an outcome without its item")
        let id = ActivationID(
            cluster: self.rules.cluster, kind: occurrence.kind, uid: occurrence.uid,
            scheduledTime: occurrence.scheduled, sha256: self.rules.sha256)
        self.outcomes.append(
            OutcomeRecord(
                id: id, kind: occurrence.kind, uid: occurrence.uid, generation: occurrence.generation, shard: shard,
                epoch: epoch, scheduled: occurrence.scheduled, due: occurrence.due, settledAt: self.now,
                outcome: occurrence.outcome, reason: occurrence.reason, count: occurrence.count,
                through: occurrence.through, namespace: "", name: "", attempts: attempts, ticker: ticker))
        let last = self.last
        do throws(WireError) {
            var fire = EventFormat.Fire(
                id: id, occurrence: occurrence, template: try FireTemplate(decoding: occurrence.template),
                lane: self.lane, sequence: self.sequence)
            if let spans = self.rules.spans, spans.isOn {
                if !fire.template.traceparent.isEmpty { self.creators[id] = fire.template.traceparent }
                fire.template.traceparent = spans.sending(id).header
            }
            self.outcomes[last].namespace = fire.template.namespace
            self.outcomes[last].name = fire.template.name
            self.outcomes[last].action = fire.template.action
            self.outcomes[last].labels = fire.template.labels
            self.outcomes[last].traceparent = fire.template.traceparent
            return fire
        } catch {
            // Nobody can tell what to send; it is settled all the same, and visible.
            if occurrence.outcome == .dispatched {
                self.end(.failed, .invalidTemplate, "the template cannot be read: \(error)")
            }
            return nil
        }
    }

    /// Index of the outcome that was begun last.
    private var last: Int { self.outcomes.count - 1 }

    /// Says how the outcome that was begun last ends.
    private mutating func end(_ outcome: Outcome, _ reason: Reason, _ error: String = "") {
        let last = self.last
        self.outcomes[last].outcome = outcome
        self.outcomes[last].reason = reason
        self.outcomes[last].error = error
    }

    /// An occurrence of the round.
    private mutating func add(
        _ occurrence: FireOccurrence, of offer: Lane<FireWork>.Offer, at place: Place, _ gate: Gate
    ) {
        guard let event = self.begin(occurrence, offer.shard, offer.epoch, offer.payload.ticker),
            event.occurrence.outcome == .dispatched
        else {
            self.items.append(Item())
            return
        }
        if self.isOver(event) {
            self.expire()
        } else if event.template.web != nil {
            self.putAside(self.fire(at: place), .deliveries, .delivery)
        } else {
            self.send(event, .joining(place), gate)
        }
    }

    /// A fire of the line, whose topic takes fires again.
    private mutating func resume(_ resumed: Resumed.Fire) {
        let begun = self.begin(resumed.fire)
        let count = self.items.count
        if let letter = resumed.fire.letter {
            self.resume(letter, of: resumed, begun)
        } else if let event = consume begun {
            if self.isOver(event) {
                self.expire()
            } else if let failure = resumed.failure {
                self.fail(event, resumed.fire, topic: resumed.topic, failure)
            } else {
                self.send(event, .staying(resumed.fire), nil)
            }
        } else {
            self.items.append(Item())
        }
        for index in count..<self.items.count { self.items[index].resumed = (resumed.offset, resumed.topic) }
    }

    /// A dead letter of the line.
    private mutating func resume(
        _ letter: ParkedFire.Letter, of resumed: Resumed.Fire, _ event: consuming EventFormat.Fire?
    ) {
        let last = self.last
        guard resumed.failure == nil, let event else {
            self.outcomes[last].error = resumed.failure?.detail ?? "the template cannot be read"
            self.items.append(Item(role: .letter))
            return
        }
        self.outcomes[last].reason = letter.reason
        self.outcomes[last].error = letter.error
        self.topics.insert(resumed.topic)
        self.items.append(Item(record: self.records.count, role: .letter))
        self.records.append(
            self.deadLetter(
                self.plain(event, topic: letter.topic), resumed.fire, self.outcomes[last],
                keepsPayload: letter.keepsPayload
            ).record)
        self.waiting.append(.staying(resumed.fire))
    }

    private func isOver(_ event: borrowing EventFormat.Fire) -> Bool {
        EventFormat.expiry(of: event.occurrence, event.template).map { self.now > $0 } == true
    }

    private mutating func expire() {
        self.end(.skipped, .expired)
        self.items.append(Item())
    }

    /// - Parameter gate: `nil` for a fire whose turn it is.
    private mutating func send(_ event: borrowing EventFormat.Fire, _ waiting: Waiting, _ gate: Gate?) {
        let last = self.last
        self.rules.payloads.note(
            EventFormat.payload(of: event.template), in: &self.outcomes[last], self.rules.sha256)
        // The default topic is allowed; most fires go there, and need not ask.
        let isDefault = event.template.topic.isEmpty
        let topic = isDefault ? self.defaultTopic : event.template.topic
        let record: OutgoingRecord
        do throws(FormatError) {
            guard isDefault || self.rules.topics.allows(topic) else {
                throw FormatError(.topicNotAllowed, "the topic \(topic) is not on the allow list")
            }
            record = try self.rules.format.record(
                of: event, topic: topic, attempt: self.outcomes[last].attempts + 1, now: self.now)
        } catch {
            self.fail(event, self.fire(waiting), topic: topic, error)
            return
        }
        if let gate, gate.isClosed(topic) {
            self.putAside(self.fire(waiting), .waiting, .joins(topic))
            return
        }
        if self.records.last?.topic != topic { self.topics.insert(topic) }
        self.items.append(Item(record: self.records.count))
        self.records.append(consume record)
        self.waiting.append(waiting)
    }

    private mutating func putAside(_ fire: ParkedFire, _ queue: ParkedQueue, _ role: Item.Role) {
        self.items.append(Item(record: self.records.count, role: role))
        self.records.append(Self.parkedRecord(fire, queue, self.lane, self.rules))
        self.waiting.append(.not(fire))
    }

    /// The end of a fire that went to an HTTP target.
    private mutating func settle(_ fire: ParkedFire, _ end: Outcome, _ reason: Reason, _ detail: String) {
        let event = self.begin(fire)
        self.end(end, reason, detail)
        guard let event else {
            self.items.append(Item())
            return
        }
        let last = self.last
        self.rules.payloads.note(
            EventFormat.payload(of: event.template), in: &self.outcomes[last], self.rules.sha256)
        guard end == .failed, !(event.template.retry.dropsExhausted && reason == .retriesExhausted) else {
            self.items.append(Item())
            return
        }
        self.bury(event, fire, topic: "")
    }

    private mutating func fail(
        _ event: borrowing EventFormat.Fire, _ fire: ParkedFire, topic: String, _ error: FormatError
    ) {
        self.end(.failed, error.reason, error.detail)
        self.bury(event, fire, topic: topic)
    }

    /// Leaves a copy in the dead letters, with the outcome that was begun last.
    private mutating func bury(_ event: borrowing EventFormat.Fire, _ fire: ParkedFire, topic: String) {
        self.items.append(Item(deadLetter: self.letters.count))
        self.letters.append(
            self.deadLetter(
                self.plain(event, topic: topic), fire, self.outcomes[self.last], keepsPayload: true))
    }
}
