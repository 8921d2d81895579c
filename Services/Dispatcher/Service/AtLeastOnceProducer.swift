import DispatcherDomain
package import EscapementModel

/// Publishes a lane with an idempotent producer: fires until all are settled, then the journal.
///
/// A crash between the fires and the journal repeats the fires with the same ids: at least once.
package struct AtLeastOnceProducer: LaneProducer {
    /// Pauses between attempts while Kafka does not take records.
    package static let pauseMin = Duration.milliseconds(50)
    package static let pauseMax = Duration.seconds(2)

    private let producer: any RecordProducer
    private let clocks: any Clocks
    private let seed: UInt64

    /// - Parameter seed: of the jitter.
    package init(producer: any RecordProducer, clocks: any Clocks, seed: UInt64) {
        self.producer = producer
        self.clocks = clocks
        self.seed = seed
    }

    package func begin(confirm: @escaping LaneConfirmation) async throws(PublishError) {}

    package func append(_ record: OutgoingRecord) async throws(PublishError) -> Int64 {
        let fates = try await self.deliver([record], trouble: { _ in })
        switch fates[0] {
        case .delivered(_, let offset, _): return offset
        case .refused(let refusal, let detail, _): throw .journalRefused("\(refusal): \(detail)")
        case .parked: preconditionFailure("a record without a fallback was parked")
        }
    }

    package func publish(
        _ records: [OutgoingRecord], fallback: @Sendable (Int) -> OutgoingRecord?,
        settle: @Sendable ([RecordFate]) -> Settlement, trouble: @Sendable (String) -> Void
    ) async throws(PublishError) -> Settlement {
        let settlement = settle(try await self.deliver(records, fallback: fallback, trouble: trouble))
        // A dead letter that is itself refused is gone; the outcome in the journal remains.
        _ = try await self.deliver(settlement.deadLetters, trouble: trouble)
        for fate in try await self.deliver(settlement.journal, trouble: trouble) {
            if case .refused(let refusal, let detail, _) = fate { throw .journalRefused("\(refusal): \(detail)") }
        }
        return settlement
    }

    /// Produces until every record is delivered or refused.
    private func deliver(
        _ records: [OutgoingRecord], fallback: @Sendable (Int) -> OutgoingRecord? = { _ in nil },
        trouble: @Sendable (String) -> Void
    ) async throws(PublishError) -> [RecordFate] {
        var fates: [RecordFate?] = Array(repeating: nil, count: records.count)
        var waiting = Array(records.indices)
        var attempts: UInt32 = 0
        var diversion = Diversion()
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        var random = SplitMix64(seed: self.seed)
        while !waiting.isEmpty {
            attempts += 1
            let outgoing = waiting.map { index in
                diversion.indices.contains(index) ? fallback(index) ?? records[index] : records[index]
            }
            let deliveries = await self.producer.produce(outgoing)
            precondition(deliveries.count == waiting.count, "\(deliveries.count) reports for \(waiting.count) records")
            var left: [Int] = []
            for (index, delivery) in zip(waiting, deliveries) {
                switch delivery {
                case .delivered(let partition, let offset):
                    fates[index] =
                        diversion.indices.contains(index)
                        ? .parked : .delivered(partition: partition, offset: offset, attempts: attempts)
                case .refused(let refusal, let detail):
                    fates[index] = .refused(refusal, detail: detail, attempts: attempts)
                case .fenced(let detail):
                    throw .laneLost(detail)
                case .unavailable(let reason):
                    if left.isEmpty { trouble(reason) }
                    left.append(index)
                }
            }
            diversion.attempted(failed: left, of: waiting.count) { fallback($0) != nil }
            waiting = left
            if waiting.isEmpty { break }
            if Task.isCancelled { throw .stopped }
            do { try await self.clocks.sleep(for: backoff.next(using: &random)) } catch { throw .stopped }
        }
        return fates.compactMap { $0 }
    }
}
