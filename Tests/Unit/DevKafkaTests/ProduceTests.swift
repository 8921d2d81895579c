import DevKafka
import Foundation
import NIOCore
import Testing

@Suite struct ProduceTests {
    @Test func `a batch that is sent twice is kept once and answered alike`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize(nil)
            #expect(producer.code == 0)
            var batch = RawBatch(producerID: producer.id, producerEpoch: 0, sequence: 0, values: ["a", "b"])
            #expect(try client.produce(batch) == .init(code: 0, offset: 0))
            #expect(try client.produce(batch) == .init(code: 0, offset: 0))
            batch.sequence = 2
            batch.values = ["c"]
            #expect(try client.produce(batch) == .init(code: 0, offset: 2))
            #expect(try client.fetch(from: 0).highWatermark == 3)
        }
    }

    @Test func `a gap in the sequence is refused, as is an old batch that is not known any more`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize(nil)
            var batch = RawBatch(producerID: producer.id, producerEpoch: 0, sequence: 0)
            for number in 0..<7 {
                batch.sequence = Int32(number)
                #expect(try client.produce(batch).code == 0)
            }
            batch.sequence = 8
            #expect(try client.produce(batch).code == .code(.outOfOrderSequenceNumber))
            batch.sequence = 1
            #expect(try client.produce(batch).code == .code(.outOfOrderSequenceNumber))
            batch.sequence = 2
            #expect(try client.produce(batch) == .init(code: 0, offset: 2), "the last five are known again")
            #expect(try client.fetch(from: 0).highWatermark == 7)
        }
    }

    @Test func `an older epoch is refused, and a newer one begins with sequence 0`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize(nil)
            #expect(try client.produce(RawBatch(producerID: producer.id, producerEpoch: 5, sequence: 0)).code == 0)
            #expect(
                try client.produce(RawBatch(producerID: producer.id, producerEpoch: 4, sequence: 0)).code
                    == .code(.invalidProducerEpoch))
            #expect(
                try client.produce(RawBatch(producerID: producer.id, producerEpoch: 6, sequence: 3)).code
                    == .code(.outOfOrderSequenceNumber))
            #expect(try client.produce(RawBatch(producerID: producer.id, producerEpoch: 6, sequence: 0)).code == 0)
        }
    }

    @Test func `sequences are known again after a restart`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize(nil)
            let batch = RawBatch(producerID: producer.id, producerEpoch: 0, sequence: 0)
            #expect(try client.produce(batch).offset == 0)
            let again = try await client.reopened()
            #expect(try again.produce(batch) == .init(code: 0, offset: 0))
            #expect(
                try again.produce(RawBatch(producerID: producer.id, producerEpoch: 0, sequence: 2)).code
                    == .code(.outOfOrderSequenceNumber))
            #expect(try again.initialize(nil).id > producer.id, "producer ids are not given out twice")
            await again.cluster.stop()
        }
    }

    @Test func `bytes that are no proper batch are refused and leave nothing`() async throws {
        try await RawClient.with { client async throws in
            #expect(try client.produce(RawBatch(isCorrupt: true)).code == .code(.corruptMessage))
            #expect(try client.produce(RawBatch(magic: 1)).code == .code(.invalidRecord))
            #expect(try client.produce(RawBatch(claimedCount: 7)).code == .code(.invalidRecord))
            #expect(try client.produce(RawBatch(attributes: 0x20)).code == .code(.invalidRecord), "a control batch")
            #expect(try client.produce(RawBatch(attributes: 0x10)).code == .code(.invalidRecord), "no transaction")
            #expect(try client.produce(RawBatch(attributes: 0x04)).code == 0, "zstd is known in this version")
            #expect(try client.produce(bytes: ByteBuffer(bytes: [1, 2, 3])).code == .code(.corruptMessage))
            var twice = RawBatch().bytes
            twice.writeImmutableBuffer(RawBatch().bytes)
            #expect(try client.produce(bytes: twice).code == .code(.invalidRecord))
            #expect(
                try client.produce(bytes: RawBatch().bytes, topic: "other").code == .code(.unknownTopicOrPartition))
            #expect(try client.fetch(from: 0).highWatermark == 1)
        }
    }

    @Test func `a request that does not parse closes the connection and harms nobody`() async throws {
        try await RawClient.with { client async throws in
            for request in [[], [0], [0, 0, 0, 7, 0, 0, 0, 1], [0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff]] as [[UInt8]]
            {
                let connection = try RawConnection(port: await client.cluster.ports[0])
                #expect(throws: RawConnection.Closed.self) { try connection.exchange(ByteBuffer(bytes: request)) }
            }
            let huge = try RawConnection(port: await client.cluster.ports[0])
            try huge.send(ByteBuffer(integer: Int32.max))
            #expect(throws: RawConnection.Closed.self) { try huge.receive(4) }
            #expect(try client.produce(RawBatch()).code == 0)
        }
    }

    @Test func `a torn end of the log is cut off and the rest is kept`() async throws {
        try await RawClient.with { client async throws in
            for value in ["a", "b"] { #expect(try client.produce(RawBatch(values: [value])).code == 0) }
            await client.cluster.stop()
            // What a process leaves that is killed while it writes: the beginning of a batch.
            let file = try #require(FileHandle(forUpdatingAtPath: client.logFile))
            try file.seekToEnd()
            try file.write(contentsOf: RawBatch().bytes.getBytes(at: 0, length: 65) ?? [])
            try file.close()
            let again = try await RawClient.open(client.folder)
            #expect(try await again.cluster.records("t").map(\.text) == ["a", "b"])
            #expect(try again.produce(RawBatch(values: ["c"])) == .init(code: 0, offset: 2))
            await again.cluster.stop()
        }
    }
}
