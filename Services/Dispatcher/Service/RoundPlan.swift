package import DispatcherDomain
package import EscapementModel
package import NIOCore
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

    package init(
        cluster: String, dispatcher: NodeID, topics: TopicPolicy, format: EventFormat = EventFormat()
    ) {
        self.cluster = cluster
        self.dispatcher = dispatcher
        self.journalTopic = Self.journalTopic(of: cluster)
        self.topics = topics
        self.format = format
    }

    package static func journalTopic(of cluster: String) -> String { "escapement.\(cluster).journal" }
    package static func parkedTopic(of cluster: String) -> String { "escapement.\(cluster).parked" }
    package static func recorderGroup(of cluster: String) -> String { "escapement.\(cluster).recorder" }
}

/// What a round publishes, and what follows from the fates of its records. A value without IO.
package struct RoundPlan: Sendable {
    private struct Item: Sendable {
        var outcome: OutcomeRecord
        /// Index into `records`; `nil` when the outcome is decided without Kafka.
        var record: Int?
        /// What goes to the dead letters when it fails.
        var deadLetter: OutgoingRecord?
    }

    /// The fires, in order.
    package private(set) var records: [OutgoingRecord] = []
    private var items: [Item] = []
    private let rules: PublishingRules
    private let lane: LaneID
    private let laneEpoch: Epoch
    private let sequence: UInt64
    private let shards: [ShardState]

    /// Decides for every occurrence of the round whether it is sent.
    package init(
        _ round: Lane<FireWork>.Round, lane: LaneID, laneEpoch: Epoch, rules: PublishingRules, now: WallInstant
    ) {
        self.rules = rules
        self.lane = lane
        self.laneEpoch = laneEpoch
        self.sequence = round.sequence
        self.shards = round.shards
        for offer in round.offers {
            for occurrence in offer.payload.occurrences {
                self.add(occurrence, shard: offer.shard, epoch: offer.epoch, ticker: offer.payload.ticker, now: now)
            }
        }
    }

    /// What is written once the fates are known.
    ///
    /// - Parameter now: when Kafka had answered for all; lateness is counted up to here.
    package func settlement(_ fates: [RecordFate], now: WallInstant) -> Settlement {
        precondition(fates.count == self.records.count, "\(fates.count) fates for \(self.records.count) records")
        var outcomes: [OutcomeRecord] = []
        outcomes.reserveCapacity(self.items.count)
        var deadLetters: [OutgoingRecord] = []
        for item in self.items {
            var outcome = item.outcome
            outcome.settledAt = now
            if let index = item.record {
                switch fates[index] {
                case .delivered(let partition, let offset, let attempts):
                    outcome.attempts = attempts
                    outcome.position = OutcomeRecord.Position(
                        topic: self.records[index].topic, partition: partition, offset: offset)
                case .refused(let refusal, let detail, let attempts):
                    outcome.attempts = attempts
                    outcome.outcome = .failed
                    outcome.reason = Self.reason(refusal)
                    outcome.error = detail
                    let copy = self.deadLetter(
                        self.records[index], outcome, keepsPayload: refusal != .tooLarge)
                    deadLetters.append(copy)
                }
            } else if outcome.outcome == .failed, let deadLetter = item.deadLetter {
                deadLetters.append(deadLetter)
            }
            outcomes.append(outcome)
        }
        let journal = JournalCodec.encode(
            entry: self.shards, outcomes: outcomes, lane: self.lane, laneEpoch: self.laneEpoch,
            sequence: self.sequence, dispatcher: self.rules.dispatcher)
        return Settlement(
            deadLetters: deadLetters, journal: journal.map { Self.journalRecord($0, self.lane, self.rules) },
            outcomes: outcomes)
    }

    /// A journal record as Kafka gets it.
    package static func journalRecord(_ bytes: ByteBuffer, _ lane: LaneID, _ rules: PublishingRules) -> OutgoingRecord {
        OutgoingRecord(topic: rules.journalTopic, partition: Int32(lane.rawValue), key: nil, value: bytes)
    }

    private static func reason(_ refusal: RecordRefusal) -> Reason {
        switch refusal {
        case .tooLarge: .payloadTooLarge
        case .unknownTopic, .forbiddenTopic: .topicNotAllowed
        case .invalid: .retriesExhausted
        }
    }

    private mutating func add(
        _ occurrence: FireOccurrence, shard: ShardID, epoch: Epoch, ticker: NodeID, now: WallInstant
    ) {
        let id = ActivationID(
            cluster: self.rules.cluster, kind: occurrence.kind, uid: occurrence.uid,
            scheduledTime: occurrence.scheduled)
        var outcome = OutcomeRecord(
            id: id, kind: occurrence.kind, uid: occurrence.uid, generation: occurrence.generation, shard: shard,
            epoch: epoch, scheduled: occurrence.scheduled, due: occurrence.due, settledAt: now,
            outcome: occurrence.outcome, reason: occurrence.reason, count: occurrence.count,
            through: occurrence.through, namespace: "", name: "", ticker: ticker)
        let template: FireTemplate
        do throws(WireError) {
            template = try FireTemplate(decoding: occurrence.template)
        } catch {
            // Nobody can tell what to send; it is settled all the same, and visible.
            if outcome.outcome == .dispatched {
                outcome.outcome = .failed
                outcome.reason = .retriesExhausted
                outcome.error = "the template cannot be read: \(error)"
            }
            self.items.append(Item(outcome: outcome))
            return
        }
        outcome.namespace = template.namespace
        outcome.name = template.name
        outcome.action = template.action
        outcome.labels = template.labels.map { OutcomeRecord.Label(name: $0.name, value: $0.value) }
        outcome.traceparent = template.traceparent
        guard outcome.outcome == .dispatched else {
            self.items.append(Item(outcome: outcome))
            return
        }
        if let expiry = EventFormat.expiry(of: occurrence, template), now > expiry {
            outcome.outcome = .skipped
            outcome.reason = .expired
            self.items.append(Item(outcome: outcome))
            return
        }
        self.send(
            EventFormat.Fire(
                id: id, occurrence: occurrence, template: template, lane: self.lane, sequence: self.sequence),
            outcome, now: now)
    }

    private mutating func send(_ fire: EventFormat.Fire, _ outcome: OutcomeRecord, now: WallInstant) {
        var outcome = outcome
        let payload = EventFormat.payload(of: fire.template)
        var hash = SHA256()
        hash.update(payload.readableBytesView)
        outcome.payload = OutcomeRecord.PayloadDigest(byteCount: payload.readableBytes, sha256: hash.finish())
        let topic = fire.template.topic.isEmpty ? self.rules.topics.defaultTopic : fire.template.topic
        let record = self.rules.format.record(of: fire, topic: topic, now: now)
        guard self.rules.topics.allows(topic) else {
            outcome.outcome = .failed
            outcome.reason = .topicNotAllowed
            outcome.error = "the topic \(topic) is not on the allow list"
            self.items.append(
                Item(outcome: outcome, deadLetter: self.deadLetter(record, outcome, keepsPayload: true)))
            return
        }
        self.items.append(Item(outcome: outcome, record: self.records.count))
        self.records.append(record)
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
