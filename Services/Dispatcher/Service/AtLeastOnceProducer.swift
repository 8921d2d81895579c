import DispatcherDomain
package import EscapementModel

/// Publishes a lane with an idempotent producer: fires until all are settled, then the journal.
///
/// A crash between the fires and the journal repeats the fires with the same ids: at least once.
package struct AtLeastOnceProducer: LaneProducer {
    /// Pauses between attempts while Kafka does not take records.
    package static let pauseMin = Duration.milliseconds(50)
    package static let pauseMax = Duration.seconds(2)

    /// Publishes of one lane under way: while one waits for Kafka the next are on their way.
    package static let inFlightMax = 4

    private let producer: any RecordProducer
    private let clocks: any Clocks
    private let seed: UInt64

    /// - Parameter seed: of the jitter.
    package init(producer: any RecordProducer, clocks: any Clocks, seed: UInt64) {
        self.producer = producer
        self.clocks = clocks
        self.seed = seed
    }

    package var inFlightMax: Int { Self.inFlightMax }

    package func begin(
        confirm: @escaping LaneConfirmation, trouble: @escaping @Sendable (String) -> Void
    ) async throws(PublishError) {}

    package func append(_ record: OutgoingRecord) async throws(PublishError) -> Int64 {
        let fates = try await self.deliver(Publication([record], settle: { _ in preconditionFailure("never asked") }))
        switch fates[0] {
        case .delivered(_, let offset, _): return offset
        case .refused(let refusal, let detail, _): throw .journalRefused("\(refusal): \(detail)")
        case .parked: preconditionFailure("a record without a fallback was parked")
        }
    }

    package func publish(_ publication: Publication) async throws(PublishError) -> Settlement {
        let fates = try await self.deliver(publication)
        publication.handedOver()
        // Journal entries follow each other as their rounds do.
        guard await publication.turn() else { throw .stopped }
        var settlement = publication.settle(fates)
        var following = publication
        following.handedOver = {}
        if !settlement.deadLetters.isEmpty {
            let letters = try await self.deliverLetters(of: settlement, following)
            if let settle = publication.settleLetters, letters.contains(where: { $0 != .written }) {
                settlement = settle(fates, letters)
            } else {
                settlement.lostLetters += letters.compactMap {
                    if case .lost(let reason) = $0 { reason } else { nil }
                }
            }
        }
        following.records = settlement.journal
        following.fallback = { _ in .none }
        for fate in try await self.deliver(following) {
            if case .refused(let refusal, let detail, _) = fate { throw .journalRefused("\(refusal): \(detail)") }
        }
        return settlement
    }

    /// Writes dead letters, or puts them where they wait for their topic.
    private func deliverLetters(
        of settlement: Settlement, _ publication: Publication
    ) async throws(PublishError) -> [LetterFate] {
        let waiting = settlement.waitingLetters
        var publication = publication
        var fates = settlement.deadLetters.map { _ in LetterFate.written }
        var left = Array(fates.indices)
        let canWait = waiting.count == fates.count
        if !canWait || !publication.lettersWait() {
            publication.records = settlement.deadLetters
            publication.fallback = { canWait ? .other(waiting[$0]) : .stays }
            left = []
            for (index, fate) in try await self.deliver(publication).enumerated() {
                switch fate {
                case .delivered: continue
                case .parked(let offset):
                    fates[index] = offset.map { LetterFate.waits(offset: $0) } ?? .lost("the topic is away")
                // The right, or the topic, may come back.
                case .refused(.forbiddenTopic, _, _) where canWait, .refused(.unknownTopic, _, _) where canWait:
                    left.append(index)
                case .refused(let refusal, let detail, _): fates[index] = .lost("\(refusal): \(detail)")
                }
            }
        }
        guard !left.isEmpty else { return fates }
        publication.records = left.map { waiting[$0] }
        publication.fallback = { _ in .none }
        for (index, fate) in zip(left, try await self.deliver(publication)) {
            switch fate {
            case .delivered(_, let offset, _): fates[index] = .waits(offset: offset)
            case .refused(let refusal, let detail, _): fates[index] = .lost("\(refusal): \(detail)")
            case .parked: preconditionFailure("a record without a fallback was parked")
            }
        }
        return fates
    }

    /// By sending it: should the topic take it, the fire is there twice, with one id.
    package func tries(_ record: OutgoingRecord) async -> TopicTrial {
        TopicTrial(await self.producer.produce([record], handedOver: {}).first)
    }

    /// Produces until every record is delivered, refused or put aside. What was not taken is sent again only when it is
    /// this publish's turn, so that no later one comes between.
    private func deliver(_ publication: Publication) async throws(PublishError) -> [RecordFate] {
        let records = publication.records
        var fates: [Int: RecordFate] = [:]
        var attempts: UInt32 = 0
        var diversion = Diversion()
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        var random = SplitMix64(seed: self.seed)
        while true {
            attempts += 1
            var sending = Sending(publication, except: fates, diversion)
            for index in sending.staying { fates[index] = .parked(offset: nil) }
            let deliveries =
                sending.records.isEmpty
                ? [] : await self.producer.produce(sending.records, handedOver: publication.handedOver)
            precondition(
                deliveries.count == sending.records.count,
                "\(deliveries.count) reports for \(sending.records.count) records")
            if attempts == 1, fates.isEmpty, let all = RecordFate.allDelivered(deliveries) { return all }
            var failure: String?
            for (place, delivery) in deliveries.enumerated() {
                let index = sending.index(at: place)
                switch delivery {
                case .delivered(let partition, let offset):
                    sending.wasTaken(place)
                    guard let index else { continue }
                    fates[index] =
                        sending.isDiverted(place)
                        ? .parked(offset: offset)
                        : .delivered(partition: partition, offset: offset, attempts: attempts)
                case .refused(let refusal, let detail):
                    if let index { fates[index] = .refused(refusal, detail: detail, attempts: attempts) }
                case .fenced(let detail):
                    throw .laneLost(detail)
                case .unavailable(let reason):
                    sending.wasNotTaken(place)
                    failure = failure ?? reason
                }
            }
            guard let failure else { return records.indices.compactMap { fates[$0] } }
            publication.trouble(failure)
            await sending.conclude(publication, &diversion)
            guard await publication.turn() else { throw .stopped }
            if Task.isCancelled { throw .stopped }
            do { try await self.clocks.sleep(for: backoff.next(using: &random)) } catch { throw .stopped }
        }
    }
}
