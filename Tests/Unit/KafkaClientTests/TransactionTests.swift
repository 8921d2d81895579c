import DevKafka
import KafkaClient
import Testing

@Suite struct TransactionTests {
    @Test func `committed records are seen by all, aborted ones only by readers of uncommitted records`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try await kafka.transactional("lane-1")
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch("t", "a", "b")).allSatisfy(\.isDelivered))
            try await producer.commit(timeout: KafkaFixture.patience)
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch("t", "c")).allSatisfy(\.isDelivered))
            try await producer.abort(timeout: KafkaFixture.patience)
            #expect(producer.doubt != nil, "after an abort the producer is replaced")
            await producer.close()
            let next = try await kafka.transactional("lane-1")
            try await next.begin()
            #expect(await next.produce(KafkaRecordBatch("t", "d")).allSatisfy(\.isDelivered))
            try await next.commit(timeout: KafkaFixture.patience)
            #expect(next.doubt == nil, "a prompt commit leaves no doubt")
            await next.close()

            #expect(try await kafka.consume("t", until: "d") == ["a", "b", "d"])
            #expect(
                try await kafka.consume("t", until: "d", isolation: "read_uncommitted") == ["a", "b", "c", "d"])
            let again = try await kafka.restarted()
            #expect(try await again.consume("t", until: "d") == ["a", "b", "d"], "the aborted index is rebuilt")
            await again.cluster.stop()
        }
    }

    @Test func `a reader of committed records stops before an open transaction`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let open = try await kafka.transactional("open")
            try await open.begin()
            #expect(await open.produce(KafkaRecordBatch("t", "held")).allSatisfy(\.isDelivered))
            let plain = try kafka.producer()
            #expect(await plain.produce(KafkaRecordBatch("t", "behind")).allSatisfy(\.isDelivered))
            #expect(try await kafka.cluster.records("t").map(\.text) == [])
            #expect(try await kafka.cluster.records("t", isCommittedOnly: false).map(\.text) == ["held", "behind"])
            try await open.commit(timeout: KafkaFixture.patience)
            #expect(try await kafka.consume("t", until: "behind") == ["held", "behind"])
            await open.close()
            await plain.close()
        }
    }

    @Test func `a newer producer of the same id fences the older one and aborts its transaction`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let zombie = try await kafka.transactional("lane-1")
            try await zombie.begin()
            #expect(await zombie.produce(KafkaRecordBatch("t", "zombie")).allSatisfy(\.isDelivered))
            let owner = try await kafka.transactional("lane-1")
            let late = await zombie.produce(KafkaRecordBatch("t", "late"))
            #expect(late.allSatisfy { !$0.isDelivered }, "\(late)")
            let failure = await #expect(throws: KafkaError.self) {
                try await zombie.commit(timeout: KafkaFixture.patience)
            }
            #expect(failure?.isFenced == true || zombie.isFenced, "\(String(describing: failure))")
            try await owner.begin()
            #expect(await owner.produce(KafkaRecordBatch("t", "owner")).allSatisfy(\.isDelivered))
            try await owner.commit(timeout: KafkaFixture.patience)
            #expect(try await kafka.consume("t", until: "owner") == ["owner"])
            await zombie.close()
            await owner.close()
        }
    }

    @Test func `a transaction that takes too long is aborted and its producer fenced`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let slow = try await kafka.transactional(
                "lane-1",
                more: [
                    .init("transaction.timeout.ms", "1000"), .init("message.timeout.ms", "1000"),
                    .init("socket.timeout.ms", "1000"),
                ])
            try await slow.begin()
            #expect(await slow.produce(KafkaRecordBatch("t", "slow")).allSatisfy(\.isDelivered))
            while try await kafka.cluster.transactionStates()["lane-1"] == "ongoing" { await Task.yield() }
            let failure = await #expect(throws: KafkaError.self) {
                try await slow.commit(timeout: KafkaFixture.patience)
            }
            #expect(failure?.isFenced == true || slow.isFenced, "\(String(describing: failure))")
            #expect(try await kafka.cluster.records("t").isEmpty)
            await slow.close()
        }
    }

    @Test func `a commit whose answer was lost succeeds once and leaves a doubt`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try await kafka.transactional("lane-1")
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            try await kafka.cluster.order(Fault(.dropAnswer, api: .endTransaction))
            try await producer.commit(timeout: KafkaFixture.patience)
            #expect(try await kafka.cluster.pendingFaultCount == 0)
            #expect(producer.doubt?.hasPrefix("FAIL") == true, "\(producer.doubt ?? "no doubt")")
            #expect(try await kafka.consume("t", until: "a") == ["a"])
            await producer.close()
        }
    }

    @Test func `a commit that is delayed beyond the socket time-out leaves a doubt`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try await kafka.transactional("lane-1", more: [.init("socket.timeout.ms", "1000")])
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            try await kafka.cluster.order(Fault(.delay(milliseconds: 1600), api: .endTransaction))
            try await producer.commit(timeout: KafkaFixture.patience)
            #expect(producer.doubt != nil)
            #expect(try await kafka.consume("t", until: "a") == ["a"])
            await producer.close()
        }
    }

    @Test func `markers that come late hold the next transaction up and lose nothing`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            try await kafka.cluster.setMarkerDelay(milliseconds: 100)
            let producer = try await kafka.transactional("lane-1")
            for value in ["a", "b", "c"] {
                try await producer.begin()
                #expect(await producer.produce(KafkaRecordBatch("t", value)).allSatisfy(\.isDelivered))
                try await producer.commit(timeout: KafkaFixture.patience)
            }
            #expect(try await kafka.consume("t", until: "c") == ["a", "b", "c"])
            await producer.close()
        }
    }
}
