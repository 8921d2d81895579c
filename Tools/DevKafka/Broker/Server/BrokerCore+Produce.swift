import Logging
import NIOCore

extension BrokerCore {
    private struct Outcome {
        var index: Int32
        var code: ErrorCode
        var offset: Int64 = -1
    }

    func produce(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let transactionalID = request.version >= 3 ? try body.nullableString("transactional id") : nil
        let acks = try body.int16("acks")
        _ = try body.int32("timeout")
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            (
                try body.string("topic"),
                try body.array("partitions") { body throws(MalformedRequest) in
                    (try body.int32("partition"), try body.nullableBytes("records"))
                }
            )
        }
        var outcomes: [(String, [Outcome])] = []
        var isGood = true
        for (topic, partitions) in topics {
            var done: [Outcome] = []
            for (index, records) in partitions {
                let place = TopicPartition(topic, index)
                var outcome = Outcome(index: index, code: .none)
                if let code = request.injected?.take(for: topic) {
                    outcome.code = code
                } else if request.version < 3 {
                    outcome.code = .unsupportedForMessageFormat
                } else {
                    (outcome.code, outcome.offset) = self.append(
                        records ?? ByteBuffer(), to: place, acks: acks, transactionalID: transactionalID, request)
                }
                if outcome.code != .none {
                    isGood = false
                    self.logger.debug(
                        "produce refused", metadata: ["topic": "\(place)", "error": "\(outcome.code.name)"])
                }
                done.append(outcome)
            }
            outcomes.append((topic, done))
        }
        if acks == 0 {
            return answer(isGood ? .nothing : .close(reason: "a record without acknowledgement was refused"))
        }
        var writer = request.writer()
        writer.array(outcomes) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, outcome in
                writer.int32(outcome.index)
                writer.error(outcome.code)
                writer.int64(outcome.offset)
                if request.version >= 2 { writer.int64(-1) }
                if request.version >= 5 { writer.int64(outcome.code == .none ? 0 : -1) }
                if request.version >= 8 {
                    writer.int32(0)
                    writer.nullableString(nil)
                }
            }
        }
        if request.version >= 1 { writer.int32(0) }
        answer(.body(writer))
    }

    private func append(
        _ records: ByteBuffer, to place: TopicPartition, acks: Int16, transactionalID: String?, _ request: Request
    ) -> (ErrorCode, Int64) {
        guard [-1, 0, 1].contains(acks) else { return (.invalidRequiredAcks, -1) }
        let partition: Partition
        let settings: TopicSettings
        switch self.find(place, broker: request.broker) {
        case .failure(let refusal): return (refusal.code, -1)
        case .success(let (topic, found)): (partition, settings) = (found, topic.settings)
        }
        let replicasMin = settings.replicasMin ?? self.configuration.replicasMin(of: request.broker)
        if acks == -1, self.replicasUp(partition).count < replicasMin { return (.notEnoughReplicas, -1) }
        if records.readableBytes > settings.batchByteCountMax { return (.messageTooLarge, -1) }
        guard let header = BatchHeader(records), header.totalByteCount <= records.readableBytes else {
            return (.corruptMessage, -1)
        }
        if let code = Self.fault(in: header, records, version: request.version) { return (code, -1) }
        if header.isTransactional {
            guard let transactionalID else { return (.invalidRecord, -1) }
            if self.verifiesTransactions {
                let code = self.transactions.verdict(
                    id: transactionalID, producerID: header.producerID, epoch: header.producerEpoch, partition: place)
                // An old producer must learn that it is one, whatever the state of the new one's transaction.
                if code != .none { return (code, -1) }
            }
        }
        switch partition.log.producers.verdict(on: header) {
        case .refuse(let code): return (code, -1)
        case .duplicate(let offset): return (.none, offset)
        case .append: break
        }
        do throws(StorageError) {
            let offset = try partition.log.append(records, leaderEpoch: partition.leaderEpoch)
            self.wake(partition)
            return (.none, offset)
        } catch {
            self.logger.error("a log cannot be written", metadata: ["error": "\(error)"])
            return (.kafkaStorageError, -1)
        }
    }

    /// What a broker refuses about the bytes themselves.
    private static func fault(in header: BatchHeader, _ records: ByteBuffer, version: Int16) -> ErrorCode? {
        guard header.magic == 2 else { return .invalidRecord }
        guard header.isIntact(in: records) else { return .corruptMessage }
        // One batch a partition; nothing behind it.
        guard header.totalByteCount == records.readableBytes, !header.isControl, header.recordCount > 0,
            header.lastOffsetDelta == header.recordCount - 1
        else { return .invalidRecord }
        if header.producerID >= 0, header.baseSequence < 0 || header.producerEpoch < 0 { return .invalidRecord }
        if header.isTransactional, header.producerID < 0 { return .invalidRecord }
        if header.compression > 4 { return .invalidRecord }
        if header.compression == 4, version < 7 { return .unsupportedCompressionType }
        return nil
    }
}
