package import JSON
import NIOCore

/// A record as a consumer gets it, with the producer that wrote it.
package struct ConsumedRecord: Sendable {
    package var partition: Int32
    package var producerID: Int64
    package var producerEpoch: Int16
    package var record: StoredRecord

    package var offset: Int64 { self.record.offset }
    /// The value as text.
    package var text: String { self.record.value.map { String(buffer: $0) } ?? "" }

    package func header(_ name: String) -> String? {
        self.record.headers.last { $0.name == name }?.value.map { String(buffer: $0) }
    }

    package var json: JSONValue {
        [
            "partition": .integer(self.partition), "offset": .integer(self.offset),
            "timestamp": .integer(self.record.timestamp),
            "key": self.record.key.map { .string(String(buffer: $0)) } ?? .null,
            "value": self.record.value.map { .string(String(buffer: $0)) } ?? .null,
            "headers": .array(
                self.record.headers.map { header in
                    [.string(header.name), header.value.map { .string(String(buffer: $0)) } ?? .null]
                }),
            "producer": .integer(self.producerID), "epoch": .integer(self.producerEpoch),
        ]
    }
}

extension PartitionLog {
    /// Appends what a consumer of this isolation gets from `from` on.
    func collect(
        into records: inout [ConsumedRecord], partition: Int32, from: Int64, isCommittedOnly: Bool, limit: Int
    ) throws(StorageError) {
        let end = isCommittedOnly ? self.lastStableOffset : self.nextOffset
        guard from < end else { return }
        let aborted = isCommittedOnly ? self.producers.aborted(within: from..<end) : []
        var next = from
        while next < end, records.count < limit {
            var bytes = try self.read(from: next, before: end, byteCount: 1024 * 1024)
            guard bytes.readableBytes > 0 else { return }
            while let header = BatchHeader(bytes), let batch = bytes.readSlice(length: header.totalByteCount) {
                next = header.lastOffset + 1
                let isAborted = aborted.contains {
                    $0.producerID == header.producerID && header.isTransactional
                        && ($0.firstOffset...$0.lastOffset).contains(header.baseOffset)
                }
                if header.isControl || isAborted { continue }
                for record in StoredRecord.all(in: batch) ?? []
                where record.offset >= from && records.count < limit {
                    records.append(
                        ConsumedRecord(
                            partition: partition, producerID: header.producerID,
                            producerEpoch: header.producerEpoch, record: record))
                }
            }
        }
    }
}

extension Topic {
    var description: JSONValue {
        [
            "name": .string(self.name),
            "settings": .object(
                self.settings.given.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }),
            "partitions": .array(
                self.partitions.enumerated().map { index, partition in
                    [
                        "partition": .integer(index), "leader": .integer(partition.leader),
                        "leaderEpoch": .integer(partition.leaderEpoch),
                        "replicas": .array(partition.replicas.map { .integer($0) }),
                        "nextOffset": .integer(partition.log.nextOffset),
                        "lastStableOffset": .integer(partition.log.lastStableOffset),
                        "bytes": .integer(partition.log.byteCount),
                    ]
                }),
        ]
    }
}
