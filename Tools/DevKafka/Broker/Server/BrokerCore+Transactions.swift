import JSON
import Logging
import NIOCore

extension BrokerCore {
    /// Versions of the transaction calls before this one know no PRODUCER_FENCED.
    private static func inVersion(_ code: ErrorCode, _ request: Request, since version: Int16) -> ErrorCode {
        code == .producerFenced && request.version < version ? .invalidProducerEpoch : code
    }

    /// Why this broker changes nothing about a transaction now; `nil` when it does.
    private func transactionRefusal(_ id: String, _ request: Request) -> ErrorCode? {
        if let code = self.coordinatorRefusal(id, request) { return code }
        let up = self.brokers.count(where: \.isUp)
        return up < self.configuration.transactionReplicasMin ? .coordinatorNotAvailable : nil
    }

    func initProducerID(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.nullableString("transactional id")
        let timeout = Int64(try body.int32("transaction timeout"))
        let producerID = request.version >= 3 ? try body.int64("producer id") : -1
        let epoch = request.version >= 3 ? try body.int16("producer epoch") : -1
        try body.tags()
        var result = TransactionTable.Initialization.refused(.invalidRequest)
        if let id, !id.isEmpty {
            if let code = self.transactionRefusal(id, request) {
                result = .refused(code)
            } else {
                result = self.transactions.initialize(
                    id, timeoutMilliseconds: timeout, expected: producerID >= 0 ? (producerID, epoch) : nil,
                    newProducerID: { self.takeProducerID() })
                self.recordTransaction(id)
            }
        } else if let code = request.injected?.take() {
            result = .refused(code)
        } else if id == nil {
            result = .ready(producerID: self.takeProducerID(), epoch: 0)
        }
        if result == .abortFirst, let id { self.finishLater(id) }
        var writer = request.writer()
        writer.int32(0)
        switch result {
        case .ready(let producerID, let epoch):
            writer.error(.none)
            writer.int64(producerID)
            writer.int16(epoch)
        case .abortFirst, .refused:
            let code = if case .refused(let code) = result { code } else { ErrorCode.concurrentTransactions }
            writer.error(Self.inVersion(code, request, since: 4))
            writer.int64(-1)
            writer.int16(-1)
        }
        writer.tags()
        answer(.body(writer))
    }

    func addPartitionsToTransaction(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("transactional id")
        let producerID = try body.int64("producer id")
        let epoch = try body.int16("producer epoch")
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            (
                try body.string("topic"),
                try body.array("partitions") { body throws(MalformedRequest) in try body.int32("partition") }
            )
        }
        let places = topics.flatMap { topic, partitions in partitions.map { TopicPartition(topic, $0) } }
        // One that is refused keeps the others from being tried.
        let culprits = places.reduce(into: [TopicPartition: ErrorCode]()) { culprits, place in
            let isKnown = self.topics[place.topic]?.partitions.indices.contains(Int(place.partition)) == true
            culprits[place] = request.injected?.takeOwn(of: place.topic) ?? (isKnown ? nil : .unknownTopicOrPartition)
        }
        var codes: [TopicPartition: ErrorCode] = [:]
        if let code = self.transactionRefusal(id, request) {
            for place in places { codes[place] = code }
        } else if !culprits.isEmpty {
            for place in places { codes[place] = culprits[place] ?? .operationNotAttempted }
        } else {
            let code = self.transactions.add(
                partitions: places, to: id, producerID: producerID, epoch: epoch, now: self.wallNow)
            if code == .none { self.recordTransaction(id) }
            for place in places { codes[place] = Self.inVersion(code, request, since: 2) }
        }
        var writer = request.writer()
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, partition in
                writer.int32(partition)
                writer.error(codes[TopicPartition(topic.0, partition)] ?? .unknownServerError)
            }
        }
        answer(.body(writer))
    }

    func addOffsetsToTransaction(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("transactional id")
        let producerID = try body.int64("producer id")
        let epoch = try body.int16("producer epoch")
        let group = try body.string("group id")
        var code = self.transactionRefusal(id, request) ?? .none
        if code == .none {
            code = self.transactions.add(
                groups: [group], to: id, producerID: producerID, epoch: epoch, now: self.wallNow)
            if code == .none { self.recordTransaction(id) }
        }
        var writer = request.writer()
        writer.int32(0)
        writer.error(Self.inVersion(code, request, since: 2))
        answer(.body(writer))
    }

    func endTransaction(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("transactional id")
        let producerID = try body.int64("producer id")
        let epoch = try body.int16("producer epoch")
        let isCommit = try body.bool("committed")
        var code = self.transactionRefusal(id, request) ?? .none
        if code == .none {
            switch self.transactions.end(id, producerID: producerID, epoch: epoch, isCommit: isCommit) {
            case .refused(let refusal): code = refusal
            case .repeated: break
            case .decided:
                self.recordTransaction(id)
                self.finishLater(id)
            }
        }
        var writer = request.writer()
        writer.int32(0)
        writer.error(Self.inVersion(code, request, since: 2))
        answer(.body(writer))
    }

    func transactionOffsetCommit(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("transactional id")
        let group = try body.string("group id")
        let producerID = try body.int64("producer id")
        let epoch = try body.int16("producer epoch")
        let generation = request.version >= 3 ? try body.int32("generation") : -1
        let member = request.version >= 3 ? try body.string("member id") : ""
        if request.version >= 3 { _ = try body.nullableString("group instance id") }
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            let topic = try body.string("topic")
            let partitions = try body.array("partitions") { body throws(MalformedRequest) in
                let partition = try body.int32("partition")
                var offset = OffsetTable.Offset(offset: try body.int64("offset"))
                if request.version >= 2 { offset.leaderEpoch = try body.int32("leader epoch") }
                offset.metadata = try body.nullableString("metadata") ?? ""
                try body.tags()
                return (partition, offset)
            }
            try body.tags()
            return (topic, partitions)
        }
        try body.tags()
        var code = self.coordinatorRefusal(group, request) ?? .none
        if code == .none {
            code = self.transactions.refusal(id, producerID: producerID, epoch: epoch) ?? .none
            if code == .producerFenced { code = .invalidProducerEpoch }
        }
        if code == .none {
            let transaction = self.transactions.transactions[id]
            if transaction?.state != .ongoing || transaction?.groups.contains(group) != true {
                code = .invalidTransactionState
            }
        }
        if code == .none {
            code =
                self.groups[group]?.commitRefusal(memberID: member, generation: generation, isTransactional: true)
                ?? .none
        }
        var writer = request.writer()
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, entry in
                let (partition, offset) = entry
                var result = code
                if result == .none, offset.metadata.utf8.count > OffsetTable.metadataByteCountMax {
                    result = .offsetMetadataTooLarge
                }
                if result == .none {
                    let place = TopicPartition(topic.0, partition)
                    self.offsets.addPending(offset, of: place, group: group, producerID: producerID)
                    self.record(OffsetTable.json(offset, of: place, group: group, producerID: producerID))
                }
                writer.int32(partition)
                writer.error(result)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
        answer(.body(writer))
    }

    // MARK: - Ending

    func recordTransaction(_ id: String) {
        if let transaction = self.transactions.transactions[id] { self.record(transaction.json) }
    }

    /// Writes the markers of a decided transaction, now or after the delay on order.
    func finishLater(_ id: String) {
        self.schedule(milliseconds: self.markerDelayMilliseconds) { self.finish(id) }
    }

    /// Writes a marker into every partition of a decided transaction, settles its offsets and completes it.
    /// After a restart a partition may get its marker a second time, which changes nothing.
    func finish(_ id: String) {
        guard let transaction = self.transactions.transactions[id], transaction.isDecided else { return }
        let isCommit = transaction.state == .prepareCommit
        let marker = ControlBatch(
            isCommit: isCommit, producerID: transaction.producerID, producerEpoch: transaction.epoch,
            coordinatorEpoch: 0)
        for place in transaction.partitions.sorted() {
            guard let topic = self.topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) else {
                continue
            }
            let partition = topic.partitions[Int(place.partition)]
            do throws(StorageError) {
                let batch = marker.encoded(timestamp: self.wallNow, leaderEpoch: partition.leaderEpoch)
                _ = try partition.log.append(batch, leaderEpoch: partition.leaderEpoch)
            } catch {
                // Left decided: the next start writes all markers.
                return self.logger.error("a marker cannot be written", metadata: ["error": "\(error)"])
            }
        }
        let pending = self.offsets.takePending(of: transaction.producerID)
        if isCommit {
            for (group, offsets) in pending {
                for (place, offset) in offsets {
                    self.offsets.commit(offset, of: place, group: group)
                    self.record(OffsetTable.json(offset, of: place, group: group))
                }
            }
        }
        if !pending.isEmpty {
            self.record(["type": "pending-gone", "producer": .integer(transaction.producerID)])
        }
        self.transactions.complete(id)
        self.recordTransaction(id)
        // Readers last: what they see is settled.
        for place in transaction.partitions.sorted() {
            if let topic = self.topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) {
                self.wake(topic.partitions[Int(place.partition)])
            }
        }
    }
}
