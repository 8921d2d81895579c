import Logging
import NIOCore

extension BrokerCore {
    /// Bytes of records in one answer, whatever the client asks for.
    private static let answerByteCountMax = 64 * 1024 * 1024

    private struct Wanted {
        var place: TopicPartition
        var leaderEpoch: Int32 = -1
        var offset: Int64
        var byteCountMax: Int
    }

    private struct Found {
        var partition: Int32
        var code: ErrorCode
        var highWatermark: Int64 = -1
        var lastStableOffset: Int64 = -1
        var aborted: [AbortedTransaction]?
        var records = ByteBuffer()
    }

    func fetch(_ request: Request, _ answer: @escaping Answer) throws(MalformedRequest) {
        var body = request.body
        _ = try body.int32("replica id")
        let longestWait = try body.int32("max wait")
        let byteCountMin = Int(try body.int32("min bytes"))
        let byteCountMax = request.version >= 3 ? Int(try body.int32("max bytes")) : Self.answerByteCountMax
        let isCommittedOnly = request.version >= 4 ? try body.int8("isolation level") == 1 : false
        let session = request.version >= 7 ? try body.int32("session id") : 0
        if request.version >= 7 { _ = try body.int32("session epoch") }
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            let topic = try body.string("topic")
            return (
                topic,
                try body.array("partitions") { body throws(MalformedRequest) in
                    let partition = try body.int32("partition")
                    let epoch = request.version >= 9 ? try body.int32("current leader epoch") : -1
                    let offset = try body.int64("fetch offset")
                    if request.version >= 5 { _ = try body.int64("log start offset") }
                    return Wanted(
                        place: TopicPartition(topic, partition), leaderEpoch: epoch, offset: offset,
                        byteCountMax: Int(try body.int32("partition max bytes")))
                }
            )
        }
        // Sessions are not kept: every answer says so, and the client then always names all partitions.
        if session != 0 {
            var writer = request.writer()
            writer.int32(0)
            writer.error(.fetchSessionIDNotFound)
            writer.int32(0)
            writer.array([Int]()) { _, _ in }
            return answer(.body(writer))
        }
        let limit = max(1, min(byteCountMax, Self.answerByteCountMax))
        let wait = FetchWait { mustAnswer in
            let found = self.collect(topics, limit: limit, isCommittedOnly: isCommittedOnly, request)
            let count = found.reduce(0) { $0 + $1.1.reduce(0) { $0 + $1.records.readableBytes } }
            let hasError = found.contains { $0.1.contains { $0.code != .none } }
            guard mustAnswer || hasError || count >= byteCountMin else { return false }
            answer(.body(Self.answer(found, byteCount: count, request)))
            return true
        }
        let partitions = topics.flatMap { $0.1 }.compactMap { wanted -> Partition? in
            guard let topic = self.topics[wanted.place.topic] else { return nil }
            let index = Int(wanted.place.partition)
            return topic.partitions.indices.contains(index) ? topic.partitions[index] : nil
        }
        wait.begin(partitions, loop: self.loop, milliseconds: Int64(longestWait))
    }

    private func collect(
        _ topics: [(String, [Wanted])], limit: Int, isCommittedOnly: Bool, _ request: Request
    ) -> [(String, [Found])] {
        var left = limit
        return topics.map { topic, partitions in
            (
                topic,
                partitions.map { wanted in
                    let found = self.collect(
                        wanted, byteCount: min(left, max(1, wanted.byteCountMax)), isFirst: left == limit,
                        isCommittedOnly: isCommittedOnly, request)
                    left -= found.records.readableBytes
                    return found
                }
            )
        }
    }

    private func collect(
        _ wanted: Wanted, byteCount: Int, isFirst: Bool, isCommittedOnly: Bool, _ request: Request
    ) -> Found {
        func failed(_ code: ErrorCode) -> Found { Found(partition: wanted.place.partition, code: code) }
        if let code = request.injected?.take(for: wanted.place.topic) { return failed(code) }
        if request.version < 4 { return failed(.unsupportedVersion) }
        let partition: Partition
        switch self.find(wanted.place, broker: request.broker) {
        case .failure(let refusal): return failed(refusal.code)
        case .success(let (_, found)): partition = found
        }
        if wanted.leaderEpoch >= 0, wanted.leaderEpoch != partition.leaderEpoch {
            return failed(wanted.leaderEpoch < partition.leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch)
        }
        let log = partition.log
        guard (log.startOffset...log.nextOffset).contains(wanted.offset) else { return failed(.offsetOutOfRange) }
        var found = Found(
            partition: wanted.place.partition, code: .none, highWatermark: log.nextOffset,
            lastStableOffset: log.lastStableOffset)
        let end = isCommittedOnly ? log.lastStableOffset : log.nextOffset
        // Without room left, only the first partition with records may go over the limit.
        if byteCount > 0 {
            do throws(StorageError) {
                let records = try log.read(from: wanted.offset, before: end, byteCount: byteCount)
                if isFirst || records.readableBytes <= byteCount { found.records = records }
            } catch {
                self.logger.error("a log cannot be read", metadata: ["error": "\(error)"])
                return failed(.kafkaStorageError)
            }
        }
        if isCommittedOnly {
            let upper = Self.offsetAfter(found.records) ?? wanted.offset
            found.aborted =
                wanted.offset < upper ? log.producers.aborted(within: wanted.offset..<upper) : []
        }
        return found
    }

    private static func offsetAfter(_ records: ByteBuffer) -> Int64? {
        var position = 0
        var after: Int64?
        while let header = BatchHeader(records, at: position) {
            after = header.lastOffset + 1
            position += header.totalByteCount
        }
        return after
    }

    private static func answer(_ found: [(String, [Found])], byteCount: Int, _ request: Request) -> FieldWriter {
        var writer = request.writer(reserving: byteCount + 512)
        if request.version >= 1 { writer.int32(0) }
        if request.version >= 7 {
            writer.error(.none)
            writer.int32(0)
        }
        writer.array(found) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, found in
                writer.int32(found.partition)
                writer.error(found.code)
                writer.int64(found.highWatermark)
                if request.version >= 4 { writer.int64(found.lastStableOffset) }
                if request.version >= 5 { writer.int64(found.code == .none ? 0 : -1) }
                if request.version >= 4 {
                    if let aborted = found.aborted {
                        writer.array(aborted) { writer, transaction in
                            writer.int64(transaction.producerID)
                            writer.int64(transaction.firstOffset)
                        }
                    } else {
                        writer.nullArray()
                    }
                }
                if request.version >= 11 { writer.int32(-1) }
                writer.bytes(found.records)
            }
        }
        return writer
    }

    // MARK: - Offsets by time

    func listOffsets(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        _ = try body.int32("replica id")
        let isCommittedOnly = request.version >= 2 ? try body.int8("isolation level") == 1 : false
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            (
                try body.string("topic"),
                try body.array("partitions") { body throws(MalformedRequest) in
                    let partition = try body.int32("partition")
                    let epoch = request.version >= 4 ? try body.int32("current leader epoch") : -1
                    let timestamp = try body.int64("timestamp")
                    if request.version == 0 { _ = try body.int32("max offsets") }
                    return (partition, epoch, timestamp)
                }
            )
        }
        var writer = request.writer()
        if request.version >= 2 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, wanted in
                let found = self.offset(
                    of: TopicPartition(topic.0, wanted.0), epoch: wanted.1, timestamp: wanted.2,
                    isCommittedOnly: isCommittedOnly, request)
                writer.int32(wanted.0)
                writer.error(found.code)
                if request.version == 0 {
                    writer.array(found.code == .none ? [found.offset] : []) { $0.int64($1) }
                } else {
                    writer.int64(found.timestamp)
                    writer.int64(found.offset)
                    if request.version >= 4 { writer.int32(found.epoch) }
                }
            }
        }
        answer(.body(writer))
    }

    private func offset(
        of place: TopicPartition, epoch: Int32, timestamp: Int64, isCommittedOnly: Bool, _ request: Request
    ) -> (code: ErrorCode, timestamp: Int64, offset: Int64, epoch: Int32) {
        if let code = request.injected?.take(for: place.topic) { return (code, -1, -1, -1) }
        let partition: Partition
        switch self.find(place, broker: request.broker) {
        case .failure(let refusal): return (refusal.code, -1, -1, -1)
        case .success(let (_, found)): partition = found
        }
        if epoch >= 0, epoch != partition.leaderEpoch {
            return (epoch < partition.leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch, -1, -1, -1)
        }
        let log = partition.log
        let end = isCommittedOnly ? log.lastStableOffset : log.nextOffset
        switch timestamp {
        case -1: return (.none, -1, end, partition.leaderEpoch)
        case -2: return (.none, -1, log.startOffset, partition.leaderEpoch)
        case 0...:
            do throws(StorageError) {
                guard let found = try log.firstOffset(from: timestamp), found.offset < end else {
                    return (.none, -1, -1, -1)
                }
                return (.none, found.timestamp, found.offset, partition.leaderEpoch)
            } catch {
                return (.kafkaStorageError, -1, -1, -1)
            }
        default: return (.unsupportedVersion, -1, -1, -1)
        }
    }
}
