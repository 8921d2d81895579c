/// The transaction coordinator's decisions: one transaction for each `transactional.id`, and who may speak for it.
///
/// Normal path: `initialize` gives the next epoch and so fences whoever had the last one; `addPartitions`; `end`
/// decides; the shell writes a marker into each partition and calls `complete`. As with Kafka, the answer to `end`
/// comes when the decision is durable, and until the markers are written the id answers CONCURRENT_TRANSACTIONS.
/// Whoever finds a transaction open under an id aborts it first, with an epoch of its own.
///
/// Invariants: an epoch of an id is given out once; a decided transaction changes its mind never; only the current
/// producer id and epoch add to a transaction or end it.
struct TransactionTable {
    /// Kafka's `transaction.max.timeout.ms`.
    static let timeoutMillisecondsMax: Int64 = 900_000
    /// Ids remembered; more are refused.
    static let idsMax = 10_000

    enum Initialization: Equatable {
        case ready(producerID: Int64, epoch: Int16)
        /// The id's open transaction was decided to be aborted; write its markers, and let the client ask again.
        case abortFirst
        case refused(ErrorCode)
    }

    enum Ending: Equatable {
        /// Decided now: write the markers.
        case decided
        /// Was decided so before: the client asks a second time.
        case repeated
        case refused(ErrorCode)
    }

    private(set) var transactions: [String: Transaction] = [:]

    /// Takes over what a journal holds.
    mutating func restore(_ transaction: Transaction) { self.transactions[transaction.id] = transaction }

    /// - Parameters:
    ///   - expected: what the client believes to have, when it asks for the next epoch of its own.
    ///   - newProducerID: takes an unused one.
    mutating func initialize(
        _ id: String, timeoutMilliseconds: Int64, expected: (producerID: Int64, epoch: Int16)?,
        newProducerID: () -> Int64
    ) -> Initialization {
        guard timeoutMilliseconds > 0, timeoutMilliseconds <= Self.timeoutMillisecondsMax else {
            return .refused(.invalidTransactionTimeout)
        }
        guard var transaction = self.transactions[id] else {
            guard self.transactions.count < Self.idsMax else { return .refused(.coordinatorNotAvailable) }
            let transaction = Transaction(
                id: id, producerID: newProducerID(), epoch: 0, timeoutMilliseconds: timeoutMilliseconds)
            self.transactions[id] = transaction
            return .ready(producerID: transaction.producerID, epoch: 0)
        }
        if let expected {
            guard expected.producerID == transaction.producerID else { return .refused(.producerFenced) }
            if expected.epoch != transaction.epoch {
                // The answer to an earlier request of the same producer was lost.
                guard expected.epoch == transaction.lastEpoch, !transaction.isDecided, transaction.state != .ongoing
                else {
                    return .refused(.producerFenced)
                }
                return .ready(producerID: transaction.producerID, epoch: transaction.epoch)
            }
        }
        if transaction.isDecided { return .refused(.concurrentTransactions) }
        if transaction.state == .ongoing {
            self.abort(id)
            return .abortFirst
        }
        transaction.lastEpoch = expected == nil ? -1 : transaction.epoch
        if transaction.epoch >= Int16.max - 1 {
            transaction.producerID = newProducerID()
            transaction.epoch = 0
            transaction.lastEpoch = -1
        } else {
            transaction.epoch += 1
        }
        transaction.timeoutMilliseconds = timeoutMilliseconds
        transaction.state = .empty
        self.transactions[id] = transaction
        return .ready(producerID: transaction.producerID, epoch: transaction.epoch)
    }

    /// Adds partitions, beginning the transaction when there is none.
    mutating func add(
        partitions: [TopicPartition] = [], groups: [String] = [], to id: String, producerID: Int64, epoch: Int16,
        now: Int64
    ) -> ErrorCode {
        if let refusal = self.refusal(id, producerID: producerID, epoch: epoch) { return refusal }
        guard var transaction = self.transactions[id], !transaction.isDecided else { return .concurrentTransactions }
        if transaction.state != .ongoing {
            transaction.state = .ongoing
            transaction.startedAt = now
            transaction.partitions = []
            transaction.groups = []
        }
        transaction.partitions.formUnion(partitions)
        transaction.groups.formUnion(groups)
        self.transactions[id] = transaction
        return .none
    }

    mutating func end(_ id: String, producerID: Int64, epoch: Int16, isCommit: Bool) -> Ending {
        if let refusal = self.refusal(id, producerID: producerID, epoch: epoch) { return .refused(refusal) }
        guard var transaction = self.transactions[id] else { return .refused(.invalidProducerIDMapping) }
        switch transaction.state {
        case .ongoing:
            transaction.state = isCommit ? .prepareCommit : .prepareAbort
            self.transactions[id] = transaction
            return .decided
        case .prepareCommit: return .refused(isCommit ? .concurrentTransactions : .invalidTransactionState)
        case .prepareAbort: return .refused(isCommit ? .invalidTransactionState : .concurrentTransactions)
        case .completeCommit: return isCommit ? .repeated : .refused(.invalidTransactionState)
        case .completeAbort: return isCommit ? .refused(.invalidTransactionState) : .repeated
        case .empty: return .refused(.invalidTransactionState)
        }
    }

    /// All markers of a decided transaction are written.
    mutating func complete(_ id: String) {
        guard var transaction = self.transactions[id] else { return }
        switch transaction.state {
        case .prepareCommit: transaction.state = .completeCommit
        case .prepareAbort: transaction.state = .completeAbort
        case .empty, .ongoing, .completeCommit, .completeAbort: return
        }
        transaction.partitions = []
        transaction.groups = []
        self.transactions[id] = transaction
    }

    /// The ids whose transaction is open for longer than its time-out, in order.
    func expired(now: Int64) -> [String] {
        self.transactions.values.filter {
            $0.state == .ongoing && now - $0.startedAt >= $0.timeoutMilliseconds
        }.map(\.id).sorted()
    }

    /// Decides that an open transaction is aborted, and fences its producer.
    mutating func abort(_ id: String) {
        guard var transaction = self.transactions[id], transaction.state == .ongoing else { return }
        // The last epoch is never given out, so there is always one more.
        transaction.lastEpoch = -1
        transaction.epoch += 1
        transaction.state = .prepareAbort
        self.transactions[id] = transaction
    }

    /// Forgets the partitions of a topic that is deleted.
    mutating func forget(topic: String) {
        for var transaction in self.transactions.values {
            transaction.partitions = transaction.partitions.filter { $0.topic != topic }
            self.transactions[transaction.id] = transaction
        }
    }

    /// Whether a batch of this producer in this partition belongs to an open transaction.
    func verdict(id: String, producerID: Int64, epoch: Int16, partition: TopicPartition) -> ErrorCode {
        if let refusal = self.refusal(id, producerID: producerID, epoch: epoch) {
            return refusal == .producerFenced ? .invalidProducerEpoch : refusal
        }
        guard let transaction = self.transactions[id], transaction.state == .ongoing,
            transaction.partitions.contains(partition)
        else { return .invalidTransactionState }
        return .none
    }

    /// Why a producer may not speak for the id; `nil` when it may.
    func refusal(_ id: String, producerID: Int64, epoch: Int16) -> ErrorCode? {
        guard let transaction = self.transactions[id], transaction.producerID == producerID else {
            return .invalidProducerIDMapping
        }
        return transaction.epoch == epoch ? nil : .producerFenced
    }
}
