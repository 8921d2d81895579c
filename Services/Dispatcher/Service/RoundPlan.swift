package import DispatcherDomain
package import EscapementModel
package import NIOCore
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

    /// One fire, or a run of skipped ones, as far as it is known before anything is sent. Nothing in it is counted or
    /// freed: a round has many, and most of them come to the same end.
    struct Item: Sendable {
        enum Role: Sendable {
            case fire
            /// Only put aside, for its delivery: the outcome follows.
            case delivery
            /// Only put aside, until its topic is back: index into `joined`.
            case joins(Int)
            /// A dead letter of the line: its outcome is known.
            case letter
        }

        var origin: RoundMatter.Origin
        var id: ActivationID
        var kind: FireKind
        var outcome: Outcome
        var reason: Reason
        /// Whether it is the canary's.
        var isCanary = false
        var due: WallInstant
        /// Occurrences that it stands for.
        var count: UInt32
        /// Before this round.
        var attempts: UInt32
        /// What went wrong: index into `errors`.
        var error: Int?
        var role = Role.fire
        /// Index into `records`; `nil` when the outcome is decided without Kafka.
        var record: Int?
        /// What goes to the dead letters when it fails: index into `letters`.
        var deadLetter: Int?
        /// All that the journal says of it but how it ends: among `encoded`.
        var encoded = 0..<0
    }

    /// The fires, in order.
    package let records: [OutgoingRecord]
    /// Where fires go, but for what is put aside.
    package let topics: Set<String>
    /// With traces: the requests that made the timers, by what they fire as.
    package let creators: [ActivationID: String]
    /// Of the journal entry.
    package var sequence: UInt64 { self.matter.round.sequence }
    let matter: RoundMatter
    private let items: [Item]
    /// Of each record the index of its item.
    private let owners: [Int]
    private let encoded: ByteBuffer
    private let errors: [String]
    /// Topics of fires that are put aside until these are back.
    private let joined: [String]
    private let letters: [DeadLetter]

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
        let matter = RoundMatter(
            round: round, takenUp: takenUp, resumed: resumed, lane: lane, laneEpoch: laneEpoch, rules: rules, now: now)
        var planner = RoundPlanner(matter, line: line, health: health)
        planner.decide()
        self.matter = matter
        self.records = planner.records
        self.topics = planner.topics
        self.creators = planner.creators
        self.items = planner.items
        self.owners = planner.owners
        self.errors = planner.errors
        self.joined = planner.joined
        self.letters = planner.letters
        self.encoded = planner.finish()
    }

    /// What becomes of the record at `index` while its topic is away.
    package func fallback(_ index: Int) -> Fallback {
        let item = self.items[self.owners[index]]
        switch (item.role, item.origin) {
        case (.delivery, _), (.joins, _): return .none
        case (.letter, _), (.fire, .resumed): return .stays
        case (.fire, .takenUp): preconditionFailure("a fire for an HTTP target is no record of its own")
        case (.fire, .offered):
            var fire = self.matter.fire(item.origin)
            fire.attempts += 1
            return .other(Self.parkedRecord(fire, .waiting, self.matter.lane, self.matter.rules))
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
        var result = Settlement(settledAt: now)
        result.fires.reserveCapacity(self.items.count)
        var entry = JournalCodec.EntryWriter(count: self.items.count)
        var steps = Steps(settled: self.matter.resumed?.dropped ?? [], stayed: self.matter.resumed?.left ?? [])
        for item in self.items {
            if case .letter = item.role {
                self.settleLetter(item, error: self.error(of: item), fates, &result, &steps)
                continue
            }
            var ending = JournalCodec.Ending(
                outcome: item.outcome, reason: item.reason, error: self.error(of: item), attempts: item.attempts,
                settledAt: now)
            var position: (partition: Int32, offset: Int64)?
            if let record = item.record {
                switch (fates[record], item.role) {
                case (.delivered(_, let offset, _), .delivery):
                    result.parked.append(.init(offset: offset, fire: self.matter.fire(item.origin)))
                    continue
                case (.delivered(_, let offset, _), .joins(let topic)):
                    steps.joined.append((self.joined[topic], offset))
                    continue
                case (.delivered(let partition, let offset, let attempts), .fire):
                    ending.attempts += attempts
                    position = (partition, offset)
                case (.delivered, .letter): continue
                case (.parked(let offset), _):
                    let topic = self.records[record].topic
                    result.unavailableTopics.insert(topic)
                    if let place = self.matter.place(item.origin) { steps.stayed.append(place) }
                    if let offset { steps.joined.append((topic, offset)) }
                    continue
                case (.refused(let refusal, let detail, let attempts), _):
                    ending.attempts += attempts
                    ending.outcome = .failed
                    ending.reason = Self.reason(refusal)
                    ending.error = detail
                    self.add(self.deadLetter(of: item, self.records[record], refusal, detail), to: &result)
                }
            } else if item.outcome == .failed, let letter = item.deadLetter {
                self.add(self.letters[letter], to: &result)
            }
            if let place = self.matter.place(item.origin) { steps.settled.append(place.offset) }
            result.fires.append(
                Settlement.Fire(
                    kind: item.kind, outcome: ending.outcome, reason: ending.reason, isCanary: item.isCanary,
                    count: item.count, due: item.due))
            entry.add { writer in
                self.encoded.withUnsafeReadableBytes {
                    writer.encoded(UnsafeRawBufferPointer(rebasing: $0[item.encoded]))
                }
                JournalCodec.encode(ending, into: &writer)
                if let position, let record = item.record {
                    JournalCodec.encode(
                        topic: self.records[record].topic, partition: position.partition, offset: position.offset,
                        into: &writer)
                }
            }
        }
        for letter in letters {
            switch letter {
            case .written: continue
            case .waits(let offset):
                steps.joined.append((self.matter.rules.topics.deadLetterTopic, offset))
                result.unavailableTopics.insert(self.matter.rules.topics.deadLetterTopic)
            case .lost(let reason): result.lostLetters.append(reason)
            }
        }
        self.advance(parked, steps, &result)
        let record = JournalRecord(
            lane: self.matter.lane, laneEpoch: self.matter.laneEpoch, sequence: self.sequence,
            dispatcher: self.matter.rules.dispatcher, body: .entry(self.matter.round.shards, []),
            deliveries: parked.deliveries, waiting: result.waiting)
        let (records, outcomes) = entry.finish(record)
        result.journal = records.map { Self.journalRecord($0, self.matter.lane, self.matter.rules) }
        result.encodedOutcomes = outcomes
        return result
    }

    private func error(of item: Item) -> String { item.error.map { self.errors[$0] } ?? "" }

    /// What a round does along the line of fires that wait for their topics.
    struct Steps {
        var settled: [Int64]
        var stayed: [(offset: Int64, topic: String)]
        var joined: [(topic: String, offset: Int64)] = []
    }

    /// Where the line stands after this round.
    private func advance(_ parked: Parked, _ steps: Steps, _ result: inout Settlement) {
        result.waiting = parked.line
        if let resumed = self.matter.resumed {
            var pass = resumed.pass
            result.waiting.advance(
                over: resumed.stretch, settled: steps.settled.sorted(),
                waiting: steps.stayed.sorted { $0.offset < $1.offset }, isEnd: resumed.isEnd && !parked.hasGrown,
                &pass)
            result.pass = pass
        }
        for (topic, offset) in steps.joined { result.waiting.joined(topic, at: offset) }
        result.joinedCount = steps.joined.count
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

    /// Of a record that Kafka never takes.
    private func deadLetter(
        of item: Item, _ record: OutgoingRecord, _ refusal: RecordRefusal, _ detail: String
    ) -> DeadLetter {
        let topic = if case .joins(let topic) = item.role { self.joined[topic] } else { "" }
        return self.matter.deadLetter(
            self.event(of: item, record, topic: topic), self.matter.fire(item.origin), Self.reason(refusal), detail,
            keepsPayload: refusal != .tooLarge)
    }

    private static func reason(_ refusal: RecordRefusal) -> Reason {
        switch refusal {
        case .tooLarge: .payloadTooLarge
        case .unknownTopic: .topicMissing
        case .forbiddenTopic: .topicNotAllowed
        case .invalid: .retriesExhausted
        }
    }
}
