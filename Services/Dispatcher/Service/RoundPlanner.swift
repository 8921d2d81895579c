import DispatcherDomain
import EscapementModel
import NIOCore
import Observability
import WireProtocol

/// Decides for every fire of a round whether it is sent, and writes what is sent.
struct RoundPlanner: ~Copyable {
    private let matter: RoundMatter
    /// Topics that take no fires now; the empty name stands for all.
    private let closed: Set<String>
    /// A copy of its own: references to one text, counted for each record by all lanes, would keep the processors
    /// waiting for each other.
    private let defaultTopic: String
    private let now: InstantText
    private var blocks: RecordBlocks
    private var writer: FieldWriter
    private(set) var records: [OutgoingRecord] = []
    private(set) var owners: [Int] = []
    private(set) var topics: Set<String> = []
    private(set) var creators: [ActivationID: String] = [:]
    private(set) var items: [RoundPlan.Item] = []
    private(set) var errors: [String] = []
    private(set) var joined: [String] = []
    private(set) var letters: [RoundPlan.DeadLetter] = []

    init(_ matter: RoundMatter, line: WaitingLine, health: TopicHealth) {
        self.matter = matter
        self.now = InstantText(matter.now)
        var held = Set(line.last.keys)
        if let resumed = matter.resumed { held = held.filter { !resumed.drains($0, of: line) } }
        self.closed = held.union(health.unavailable)
        self.defaultTopic = String(decoding: Array(matter.rules.topics.defaultTopic.utf8), as: UTF8.self)
        // Grown step by step, they would be moved several times.
        let count = matter.round.offers.reduce(
            (matter.resumed?.fires.count ?? 0) + (matter.takenUp?.ends.count ?? 0)
        ) { $0 + $1.payload.occurrences.count }
        self.records.reserveCapacity(count)
        self.owners.reserveCapacity(count)
        self.items.reserveCapacity(count)
        self.writer = FieldWriter(capacity: count * Self.encodedSize)
        self.blocks = RecordBlocks(size: min(count * Self.headSize, RecordBlocks.usualSize))
    }

    /// Bytes of the journal for one fire that are known before it is sent, about.
    private static let encodedSize = 224
    /// Bytes of a record's key and headers, about.
    private static let headSize = 1024

    /// All that the journal says of each but how it ends.
    consuming func finish() -> ByteBuffer { self.writer.finish() }

    mutating func decide() {
        let matter = self.matter
        for (index, resumed) in (matter.resumed?.fires ?? []).enumerated() { self.resume(resumed, .resumed(index)) }
        for (index, offer) in matter.round.offers.enumerated() {
            offer.payload.occurrences.withUnsafeBufferPointer { occurrences in
                guard let first = occurrences.baseAddress else { return }
                for place in occurrences.indices { self.add(first + place, of: offer, .offered(index, place)) }
            }
        }
        for (index, end) in (matter.takenUp?.ends ?? []).enumerated() {
            switch end.decision {
            case .park(let fire):
                var item = self.item(fire, .takenUp(index))
                _ = self.begin(&item, fire)
                self.putAside(&item, fire, .deliveries, .delivery)
            case .settle(let fire, let outcome, let reason, let detail):
                self.settle(fire, .takenUp(index), outcome, reason, detail)
            case .drop: continue
            }
        }
    }

    private func isClosed(_ topic: String) -> Bool {
        !self.closed.isEmpty && (self.closed.contains(topic) || self.closed.contains(""))
    }

    // MARK: - Items

    private func item(
        _ occurrence: UnsafePointer<FireOccurrence>, _ origin: RoundMatter.Origin, attempts: UInt32 = 0
    ) -> RoundPlan.Item {
        RoundPlan.Item(
            origin: origin,
            id: ActivationID(
                cluster: self.matter.rules.cluster, kind: occurrence.pointee.kind, uid: occurrence.pointee.uid,
                scheduledTime: occurrence.pointee.scheduled, sha256: self.matter.rules.sha256),
            kind: occurrence.pointee.kind, outcome: occurrence.pointee.outcome, reason: occurrence.pointee.reason,
            due: occurrence.pointee.due, count: occurrence.pointee.count, attempts: attempts)
    }

    private func item(_ fire: ParkedFire, _ origin: RoundMatter.Origin) -> RoundPlan.Item {
        withUnsafePointer(to: fire.occurrence) { self.item($0, origin, attempts: fire.attempts) }
    }

    private mutating func begin(_ item: inout RoundPlan.Item, _ fire: ParkedFire) -> EventFormat.Fire? {
        withUnsafePointer(to: fire.occurrence) { self.begin(&item, $0, fire.shard, fire.epoch, fire.ticker) }
    }

    /// Writes what the journal says of it before anything is sent.
    ///
    /// - Returns: what to send; `nil` when the template is unreadable.
    private mutating func begin(
        _ item: inout RoundPlan.Item, _ occurrence: UnsafePointer<FireOccurrence>, _ shard: ShardID, _ epoch: Epoch,
        _ ticker: NodeID
    ) -> EventFormat.Fire? {
        item.encoded = self.writer.count..<self.writer.count
        JournalCodec.encode(occurrence, item.id, shard, epoch, ticker, into: &self.writer)
        do throws(WireError) {
            let spans = self.matter.rules.spans.flatMap { $0.isOn ? $0 : nil }
            let fire = try EventFormat.Fire(
                at: occurrence, id: item.id, trace: spans?.sending(item.id).header, lane: self.matter.lane,
                sequence: self.matter.round.sequence)
            if spans != nil, !fire.template.traceparent.isEmpty {
                self.creators[item.id] = fire.template.string(\.traceparent)
            }
            item.isCanary =
                fire.template.has(\.name, DispatcherMetrics.canaryName)
                && fire.template.has(\.namespace, DispatcherMetrics.canaryNamespace)
            JournalCodec.encode(fire, into: &self.writer)
            return fire
        } catch {
            // Nobody can tell what to send; it is settled all the same, and visible.
            if item.outcome == .dispatched {
                self.end(&item, .failed, .invalidTemplate, "the template cannot be read: \(error)")
            }
            return nil
        }
    }

    /// Notes the payload that is sent, or would have been.
    private mutating func note(_ fire: borrowing EventFormat.Fire) {
        let payloads = self.matter.rules.payloads
        if payloads == .none { return }
        let payload = EventFormat.payloadBytes(of: fire.template)
        JournalCodec.encode(
            payload: payload.count, self.digest(of: payload, fire.template),
            text: payloads.text(of: payload), into: &self.writer)
    }

    private func digest(of payload: UnsafeRawBufferPointer, _ template: FireTemplateView) -> SHA256Digest {
        if payload.count >= FireTemplate.digestedFrom, let digest = template.payloadDigest { return digest }
        return self.matter.rules.sha256.digest(payload)
    }

    private mutating func end(
        _ item: inout RoundPlan.Item, _ outcome: Outcome, _ reason: Reason, _ error: String = ""
    ) {
        item.outcome = outcome
        item.reason = reason
        item.error = nil
        self.note(error, in: &item)
    }

    private mutating func note(_ error: String, in item: inout RoundPlan.Item) {
        if error.isEmpty { return }
        item.error = self.errors.count
        self.errors.append(error)
    }

    /// Nothing more is written of it.
    private mutating func append(_ item: inout RoundPlan.Item) {
        item.encoded = item.encoded.lowerBound..<self.writer.count
        self.items.append(item)
    }

    private mutating func append(_ item: inout RoundPlan.Item, sending record: consuming OutgoingRecord) {
        item.record = self.records.count
        self.records.append(record)
        self.owners.append(self.items.count)
        self.append(&item)
    }

    // MARK: - Paths

    /// An occurrence of the round.
    private mutating func add(
        _ occurrence: UnsafePointer<FireOccurrence>, of offer: borrowing Lane<FireWork>.Offer,
        _ origin: RoundMatter.Origin
    ) {
        var item = self.item(occurrence, origin)
        guard let fire = self.begin(&item, occurrence, offer.shard, offer.epoch, offer.payload.ticker),
            case .dispatched = item.outcome
        else {
            self.append(&item)
            return
        }
        if self.isOver(fire) {
            self.expire(&item)
        } else if fire.template.web != nil {
            self.putAside(&item, self.matter.fire(origin), .deliveries, .delivery)
        } else {
            self.send(&item, fire)
        }
    }

    /// A fire of the line, whose topic takes fires again.
    private mutating func resume(_ resumed: RoundPlan.Resumed.Fire, _ origin: RoundMatter.Origin) {
        var item = self.item(resumed.fire, origin)
        let begun = self.begin(&item, resumed.fire)
        if let letter = resumed.fire.letter {
            self.resume(&item, letter, of: resumed, begun)
        } else if let fire = consume begun {
            if self.isOver(fire) {
                self.expire(&item)
            } else if let failure = resumed.failure {
                self.fail(&item, fire, topic: resumed.topic, failure)
            } else {
                self.send(&item, fire)
            }
        } else {
            self.append(&item)
        }
    }

    /// A dead letter of the line.
    private mutating func resume(
        _ item: inout RoundPlan.Item, _ letter: ParkedFire.Letter, of resumed: RoundPlan.Resumed.Fire,
        _ fire: consuming EventFormat.Fire?
    ) {
        item.role = .letter
        guard resumed.failure == nil, let fire else {
            self.note(resumed.failure?.detail ?? "the template cannot be read", in: &item)
            self.append(&item)
            return
        }
        self.topics.insert(resumed.topic)
        let record = self.matter.deadLetter(
            self.matter.plain(fire, topic: letter.topic), resumed.fire, letter.reason, letter.error,
            keepsPayload: letter.keepsPayload
        ).record
        self.append(&item, sending: record)
    }

    private func isOver(_ fire: borrowing EventFormat.Fire) -> Bool {
        EventFormat.expiry(of: fire.due, fire.template).map { self.matter.now > $0 } == true
    }

    private mutating func expire(_ item: inout RoundPlan.Item) {
        self.end(&item, .skipped, .expired)
        self.append(&item)
    }

    /// One of the round joins the line while its topic takes no fires; the turn of one of the line has come.
    private mutating func send(_ item: inout RoundPlan.Item, _ fire: borrowing EventFormat.Fire) {
        self.note(fire)
        // The default topic is allowed; most fires go there, and need not ask.
        let isDefault = fire.template.topic.isEmpty
        let topic = isDefault ? self.defaultTopic : fire.template.string(\.topic)
        let record: OutgoingRecord
        do throws(FormatError) {
            guard isDefault || self.matter.rules.topics.allows(topic) else {
                throw FormatError(.topicNotAllowed, "the topic \(topic) is not on the allow list")
            }
            record = try self.matter.rules.format.record(
                of: fire, topic: topic, attempt: item.attempts + 1, now: self.now, in: &self.blocks)
        } catch {
            self.fail(&item, fire, topic: topic, error)
            return
        }
        if case .offered = item.origin, self.isClosed(topic) {
            if self.joined.last != topic { self.joined.append(topic) }
            self.putAside(&item, self.matter.fire(item.origin), .waiting, .joins(self.joined.count - 1))
            return
        }
        if self.records.last?.topic != topic { self.topics.insert(topic) }
        self.append(&item, sending: record)
    }

    private mutating func putAside(
        _ item: inout RoundPlan.Item, _ fire: ParkedFire, _ queue: ParkedQueue, _ role: RoundPlan.Item.Role
    ) {
        item.role = role
        self.append(
            &item, sending: RoundPlan.parkedRecord(fire, queue, self.matter.lane, self.matter.rules))
    }

    /// The end of a fire that went to an HTTP target.
    private mutating func settle(
        _ fire: ParkedFire, _ origin: RoundMatter.Origin, _ outcome: Outcome, _ reason: Reason, _ detail: String
    ) {
        var item = self.item(fire, origin)
        let begun = self.begin(&item, fire)
        self.end(&item, outcome, reason, detail)
        guard let event = begun else {
            self.append(&item)
            return
        }
        self.note(event)
        if outcome == .failed, !(event.template.retry.dropsExhausted && reason == .retriesExhausted) {
            self.bury(&item, event, fire, topic: "", detail)
        }
        self.append(&item)
    }

    private mutating func fail(
        _ item: inout RoundPlan.Item, _ fire: borrowing EventFormat.Fire, topic: String, _ error: FormatError
    ) {
        self.end(&item, .failed, error.reason, error.detail)
        self.bury(&item, fire, self.matter.fire(item.origin), topic: topic, error.detail)
        self.append(&item)
    }

    /// Leaves a copy in the dead letters.
    private mutating func bury(
        _ item: inout RoundPlan.Item, _ fire: borrowing EventFormat.Fire, _ waiting: ParkedFire, topic: String,
        _ error: String
    ) {
        item.deadLetter = self.letters.count
        self.letters.append(
            self.matter.deadLetter(
                self.matter.plain(fire, topic: topic), waiting, item.reason, error, keepsPayload: true))
    }
}
