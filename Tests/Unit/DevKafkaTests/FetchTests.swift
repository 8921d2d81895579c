import DevKafka
import NIOCore
import Testing

@Suite struct FetchTests {
    @Test func `a fetch that waits is answered by the next record, or empty when its time is over`() async throws {
        try await RawClient.with { client async throws in
            #expect(try client.fetch(from: 0, wait: 1).byteCount == 0)
            let other = try RawConnection(port: await client.cluster.ports[0])
            let second = RawClient(cluster: client.cluster, folder: client.folder, connection: other)
            // On another connection, because one connection's requests wait for one another.
            try await client.cluster.order(Fault(.delay(milliseconds: 100), api: .produce))
            try second.sendProduce(RawBatch())
            #expect(try client.fetch(from: 0, wait: 20_000).byteCount == RawBatch().bytes.readableBytes)
        }
    }

    @Test func `whole batches are answered, one at least`() async throws {
        try await RawClient.with { client async throws in
            for value in ["a", "b", "c"] { #expect(try client.produce(RawBatch(values: [value])).code == 0) }
            let size = RawBatch().bytes.readableBytes
            #expect(try client.fetch(from: 0, byteCountMax: 1).byteCount == size)
            #expect(try client.fetch(from: 0, byteCountMax: Int32(2 * size + 1)).byteCount == 2 * size)
            #expect(try client.fetch(from: 1).byteCount == 2 * size)
            #expect(try client.fetch(from: 3).byteCount == 0)
            #expect(try client.fetch(from: 4).code == .code(.offsetOutOfRange))
            #expect(try client.fetch(from: -1).code == .code(.offsetOutOfRange))
        }
    }

    @Test func `any offset is found among many batches`() async throws {
        try await RawClient.with { client async throws in
            for number in 0..<300 { #expect(try client.produce(RawBatch(values: ["\(number)", "x"])).code == 0) }
            for offset in stride(from: 0, to: 600, by: 7) {
                let records = try await client.cluster.records("t", from: Int64(offset), limit: 1)
                #expect(records.map(\.offset) == [Int64(offset)])
                #expect(records[0].text == (offset % 2 == 0 ? "\(offset / 2)" : "x"))
            }
        }
    }

    @Test func `the first record from a time on is found`() async throws {
        try await RawClient.with { client async throws in
            #expect(try client.produce(RawBatch(values: ["a", "b"])).code == 0)
            func offset(at timestamp: Int64) throws -> Int64? {
                var body = ByteBuffer()
                body.writeMultipleIntegers(Int32(-1), Int32(1))
                body.string("t")
                body.writeMultipleIntegers(Int32(1), Int32(0), timestamp)
                var answer = try client.connection.call(2, 1, body)
                answer.moveReaderIndex(forwardBy: 4)
                _ = answer.takeString()
                answer.moveReaderIndex(forwardBy: 18)
                return answer.readInteger()
            }
            #expect(try offset(at: 1_600_000_000_000) == 0)
            #expect(try offset(at: 1_700_000_000_001) == -1)
            #expect(try offset(at: -2) == 0)
            #expect(try offset(at: -1) == 2)
        }
    }
}
