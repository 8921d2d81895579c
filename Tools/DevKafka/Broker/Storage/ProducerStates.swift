/// What a partition knows of the producers that wrote to it: epochs, sequences, open and aborted transactions.
///
/// Rebuilt from the log: every change comes from a batch in it. The rules are those of Kafka's
/// `ProducerStateManager`: an older epoch is refused, a new epoch begins with sequence 0, the last five batches of
/// a producer are known again, and anything else must follow without a gap.
struct ProducerStates {
    /// Batches of a producer that are known again when they are sent twice, as many as it may have in flight.
    static let batchesMax = 5
    /// Producers remembered. The one that wrote least recently is forgotten first, unless it has a transaction.
    static let producersMax = 4096

    struct Batch: Equatable {
        var firstSequence: Int32
        var lastSequence: Int32
        var baseOffset: Int64
    }

    struct Producer: Equatable {
        var epoch: Int16
        /// The latest last.
        var batches: [Batch] = []
        /// Where its open transaction begins in this partition.
        var transactionStart: Int64?
        var lastOffset: Int64 = 0
    }

    enum Verdict: Equatable {
        case append
        /// It is there already, at this offset.
        case duplicate(baseOffset: Int64)
        case refuse(ErrorCode)
    }

    private(set) var producers: [Int64: Producer] = [:]
    /// In the order of their markers.
    private(set) var aborted: [AbortedTransaction] = []
    private var open: [Int64: Int64] = [:]

    /// Where the first open transaction begins; `nil` without one.
    var firstOpenOffset: Int64? { self.open.values.min() }

    /// Whether a batch that a client sends may be appended.
    func verdict(on batch: BatchHeader) -> Verdict {
        guard batch.producerID >= 0, let producer = self.producers[batch.producerID] else { return .append }
        if batch.producerEpoch < producer.epoch { return .refuse(.invalidProducerEpoch) }
        if batch.producerEpoch > producer.epoch {
            return batch.baseSequence == 0 ? .append : .refuse(.outOfOrderSequenceNumber)
        }
        if let known = producer.batches.first(where: {
            $0.firstSequence == batch.baseSequence && $0.lastSequence == batch.lastSequence
        }) {
            return .duplicate(baseOffset: known.baseOffset)
        }
        guard let last = producer.batches.last?.lastSequence else {
            // Only a marker has been seen of this epoch.
            return batch.baseSequence == 0 ? .append : .refuse(.outOfOrderSequenceNumber)
        }
        let expected = last == .max ? 0 : last + 1
        return batch.baseSequence == expected ? .append : .refuse(.outOfOrderSequenceNumber)
    }

    /// Notes a batch of records that is in the log.
    mutating func append(_ batch: BatchHeader) {
        guard batch.producerID >= 0 else { return }
        var producer = self.producers[batch.producerID] ?? Producer(epoch: batch.producerEpoch)
        if producer.epoch != batch.producerEpoch {
            producer.epoch = batch.producerEpoch
            producer.batches = []
        }
        if producer.batches.count == Self.batchesMax { producer.batches.removeFirst() }
        producer.batches.append(
            Batch(
                firstSequence: batch.baseSequence, lastSequence: batch.lastSequence, baseOffset: batch.baseOffset))
        producer.lastOffset = batch.lastOffset
        if batch.isTransactional, producer.transactionStart == nil {
            producer.transactionStart = batch.baseOffset
            self.open[batch.producerID] = batch.baseOffset
        }
        self.producers[batch.producerID] = producer
        if self.producers.count > Self.producersMax { self.forgetOne() }
    }

    /// Notes a transaction marker that is in the log.
    mutating func end(producerID: Int64, epoch: Int16, markerOffset: Int64, isCommit: Bool) {
        var producer = self.producers[producerID] ?? Producer(epoch: epoch)
        if producer.epoch != epoch {
            producer.epoch = epoch
            producer.batches = []
        }
        if let start = producer.transactionStart, !isCommit {
            self.aborted.append(
                AbortedTransaction(producerID: producerID, firstOffset: start, lastOffset: markerOffset))
        }
        producer.transactionStart = nil
        producer.lastOffset = markerOffset
        self.open[producerID] = nil
        self.producers[producerID] = producer
    }

    /// The aborted transactions that a reader of the offsets in `range` must know. O(log of aborted + answer)
    /// for readers near the end, because markers are in order.
    func aborted(within range: Range<Int64>) -> [AbortedTransaction] {
        var low = 0
        var high = self.aborted.count
        while low < high {
            let middle = (low + high) / 2
            if self.aborted[middle].lastOffset < range.lowerBound { low = middle + 1 } else { high = middle }
        }
        return self.aborted[low...].filter { $0.firstOffset < range.upperBound }
    }

    private mutating func forgetOne() {
        let idle = self.producers.filter { $0.value.transactionStart == nil }
        if let oldest = idle.min(by: { $0.value.lastOffset < $1.value.lastOffset }) {
            self.producers[oldest.key] = nil
        }
    }
}
