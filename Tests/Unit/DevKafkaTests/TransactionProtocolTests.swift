import DevKafka
import Testing

@Suite struct TransactionProtocolTests {
    private static func batch(_ producer: RawClient.Producer, _ sequence: Int32) -> RawBatch {
        RawBatch(attributes: 0x10, producerID: producer.id, producerEpoch: producer.epoch, sequence: sequence)
    }

    @Test func `the last stable offset waits for the open transaction and the aborted ones are listed`() async throws {
        try await RawClient.with { client async throws in
            let first = try client.initialize("x")
            #expect(try client.addPartition("x", first) == 0)
            #expect(try client.produce(Self.batch(first, 0), transactionalID: "x").code == 0)
            var fetched = try client.fetch(from: 0)
            #expect(fetched.highWatermark == 1 && fetched.lastStableOffset == 0 && fetched.byteCount == 0)
            #expect(try client.fetch(from: 0, committed: false).byteCount > 0)
            #expect(try client.end("x", first, commit: false) == 0)
            fetched = try client.fetch(from: 0)
            #expect(fetched.highWatermark == 2 && fetched.lastStableOffset == 2)
            #expect(fetched.aborted == [0])
            #expect(try client.fetch(from: 0, committed: false).aborted == nil)
            #expect(try client.fetch(from: 2).aborted == [])

            let again = try await client.reopened()
            #expect(try again.fetch(from: 0).aborted == [0])
            await again.cluster.stop()
        }
    }

    @Test func `an id's next epoch fences the one before, with the code of the request's version`() async throws {
        try await RawClient.with { client async throws in
            let old = try client.initialize("x")
            #expect(try client.addPartition("x", old) == 0)
            #expect(try client.produce(Self.batch(old, 0), transactionalID: "x").code == 0)
            let new = try client.initialize("x")
            // One epoch to end the old transaction with, one for the new producer.
            #expect(new.id == old.id && new.epoch == old.epoch + 2)
            #expect(try client.fetch(from: 0).aborted == [0])
            #expect(try client.produce(Self.batch(old, 1), transactionalID: "x").code == .code(.invalidProducerEpoch))
            #expect(try client.addPartition("x", old) == .code(.producerFenced))
            #expect(try client.addPartition("x", old, version: 0) == .code(.invalidProducerEpoch))
            #expect(try client.end("x", old, commit: true) == .code(.producerFenced))
            #expect(try client.end("x", old, commit: true, version: 1) == .code(.invalidProducerEpoch))
        }
    }

    @Test func `fencing outlives a restart`() async throws {
        try await RawClient.with { client async throws in
            let old = try client.initialize("x")
            let new = try client.initialize("x")
            #expect(new.epoch == old.epoch + 1)
            #expect(try client.addPartition("x", new) == 0)
            #expect(try client.produce(Self.batch(new, 0), transactionalID: "x").code == 0)
            let again = try await client.reopened()
            #expect(try again.end("x", old, commit: true) == .code(.producerFenced))
            #expect(try again.end("x", new, commit: true) == 0)
            #expect(try await again.cluster.records("t").count == 1)
            await again.cluster.stop()
        }
    }

    @Test func `records outside a transaction are refused, unless the broker is as old ones are`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize("x")
            #expect(
                try client.produce(Self.batch(producer, 0), transactionalID: "x").code
                    == .code(.invalidTransactionState))
            #expect(try client.addPartition("x", producer) == 0)
            #expect(try client.produce(Self.batch(producer, 0), transactionalID: "x").code == 0)
            #expect(try client.end("x", producer, commit: true) == 0)
            #expect(
                try client.produce(Self.batch(producer, 1), transactionalID: "x").code
                    == .code(.invalidTransactionState), "it came after the end of its transaction")
            try await client.cluster.setTransactionVerification(false)
            #expect(try client.produce(Self.batch(producer, 1), transactionalID: "x").code == 0)
            #expect(try client.fetch(from: 0).lastStableOffset == 2, "a hanging transaction, as it used to be")
        }
    }

    @Test func `an end is repeated with the same outcome only`() async throws {
        try await RawClient.with { client async throws in
            let producer = try client.initialize("x")
            #expect(try client.end("x", producer, commit: true) == .code(.invalidTransactionState), "none is open")
            #expect(try client.addPartition("x", producer) == 0)
            #expect(try client.end("x", producer, commit: true) == 0)
            #expect(try client.end("x", producer, commit: true) == 0)
            #expect(try client.end("x", producer, commit: false) == .code(.invalidTransactionState))
            var other = producer
            other.id += 1
            #expect(try client.end("x", other, commit: true) == .code(.invalidProducerIDMapping))
        }
    }

    @Test func `until the markers are written the id is busy`() async throws {
        try await RawClient.with { client async throws in
            try await client.cluster.setMarkerDelay(milliseconds: 50)
            let producer = try client.initialize("x")
            #expect(try client.addPartition("x", producer) == 0)
            #expect(try client.produce(Self.batch(producer, 0), transactionalID: "x").code == 0)
            #expect(try client.end("x", producer, commit: true) == 0)
            var code = try client.addPartition("x", producer)
            #expect(code == .code(.concurrentTransactions))
            while code == .code(.concurrentTransactions) { code = try client.addPartition("x", producer) }
            #expect(code == 0)
            #expect(try client.fetch(from: 0).lastStableOffset == 2)
        }
    }

    @Test func `a decided transaction is finished after a restart`() async throws {
        try await RawClient.with { client async throws in
            try await client.cluster.setMarkerDelay(milliseconds: 3_600_000)
            let producer = try client.initialize("x")
            #expect(try client.addPartition("x", producer) == 0)
            #expect(try client.produce(Self.batch(producer, 0), transactionalID: "x").code == 0)
            #expect(try client.end("x", producer, commit: true) == 0)
            #expect(try client.fetch(from: 0).lastStableOffset == 0)
            let again = try await client.reopened()
            #expect(try again.fetch(from: 0).lastStableOffset == 2)
            #expect(try await again.cluster.records("t").count == 1)
            await again.cluster.stop()
        }
    }

    @Test func `an impossible time-out is refused`() async throws {
        try await RawClient.with { client async throws in
            for timeout: Int32 in [0, 900_001] {
                let refused = try client.initialize("x", timeout: timeout)
                #expect(refused.code == .code(.invalidTransactionTimeout))
            }
        }
    }
}
