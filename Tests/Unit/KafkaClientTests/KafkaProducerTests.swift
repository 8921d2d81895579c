import DevKafka
import Foundation
import KafkaClient
import Logging
import Testing

@Suite struct KafkaProducerTests {
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func settings(_ servers: String, _ more: [KafkaClientSettings.Property] = []) -> KafkaClientSettings {
        KafkaClientSettings(properties: [.init("bootstrap.servers", servers)] + more)
    }

    private func monitor(_ settings: KafkaClientSettings) -> KafkaHealthMonitor {
        KafkaHealthMonitor(settings: settings, change: { _ in })
    }

    /// Runs `body` with a broker that has the topic `t` of two partitions.
    private func withBroker(_ body: (DevKafkaCluster) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kafka-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let broker = try await DevKafkaCluster.start(
            ClusterConfiguration(dataFolder: folder.path), logger: self.logger)
        do {
            try await broker.createTopic("t", partitions: 2)
            try await body(broker)
        } catch {
            await broker.stop()
            throw error
        }
        await broker.stop()
        try FileManager.default.removeItem(at: folder)
    }

    private func batch(_ count: Int) -> KafkaRecordBatch {
        var batch = KafkaRecordBatch()
        for index in 0..<count {
            batch.append(topic: "t", partition: 1, key: "k".utf8, value: "v\(index)".utf8) { headers in
                headers.add("n", "\(index)")
            }
        }
        return batch
    }

    @Test func `a batch is reported record by record, in its order, and arrives with keys and headers`() async throws {
        try await self.withBroker { broker in
            let settings = self.settings(await broker.bootstrapServers)
            let producer = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
            let deliveries = await producer.produce(self.batch(100))
            #expect(deliveries.map(\.offset) == Array(0..<100))
            #expect(deliveries.allSatisfy { $0.isDelivered && $0.partition == 1 })
            let records = try await broker.records("t", partition: 1)
            #expect(records.map(\.text) == (0..<100).map { "v\($0)" })
            #expect(records.map { $0.header("n") } == (0..<100).map { "\($0)" })
            await producer.close()
        }
    }

    @Test func `a topic that is new to the producer is asked for at once`() async throws {
        try await self.withBroker { broker in
            try await broker.createTopic("fresh", partitions: 1)
            let settings = self.settings(await broker.bootstrapServers, [.init("debug", "metadata")])
            let lines = LogLines()
            let producer = try KafkaProducer(
                settings: settings, logger: Logger(label: "test", factory: { _ in lines }),
                health: self.monitor(settings))
            // Its connection is there afterwards.
            #expect(await producer.produce(self.batch(1))[0].isDelivered)
            #expect(!lines.all.contains { $0.contains("'fresh'") || $0.contains(" fresh") })
            var batch = KafkaRecordBatch()
            batch.append(topic: "fresh", key: "k".utf8, value: "v".utf8) { _ in }
            #expect(await producer.produce(batch)[0].isDelivered)
            let questions = lines.all.filter { $0.contains("Requesting metadata for") }
            #expect(questions.last?.contains("leader query") == true, "\(questions)")
            await producer.close()
        }
    }

    @Test func `requests whose answers are lost do not double a record`() async throws {
        try await self.withBroker { broker in
            let settings = self.settings(await broker.bootstrapServers)
            let producer = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
            try await broker.order(Fault(.dropAnswer, api: .produce, count: 2))
            #expect(await producer.produce(self.batch(10)).allSatisfy(\.isDelivered))
            #expect(try await broker.records("t").count == 10)
            await producer.close()
        }
    }

    @Test func `a property that does not exist is refused by name`() {
        let settings = self.settings("127.0.0.1:1", [.init("no.such.property", "1")])
        #expect(throws: KafkaError.self) {
            try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
        }
    }

    @Test func `a secret that is refused is not repeated`() {
        let settings = KafkaClientSettings(
            properties: [.init("bootstrap.servers", "127.0.0.1:1")],
            secrets: { [.init("ssl.key.passwords", "hunter2")] })
        do throws(KafkaError) {
            _ = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
            Issue.record("the property was taken")
        } catch {
            #expect(error.detail == "there is no property ssl.key.passwords")
        }
    }

    @Test func `a property that exists is told from one that does not, and its secret value is not repeated`() {
        let settings = KafkaClientSettings(
            properties: [.init("bootstrap.servers", "127.0.0.1:1")],
            secrets: { [.init("compression.codec", "hunter2")] })
        do throws(KafkaError) {
            _ = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
            Issue.record("the property was taken")
        } catch {
            #expect(error.detail == "the value of compression.codec is not accepted")
        }
    }

    @Test func `a secret that librdkafka quotes when it makes no client is not repeated`() {
        let settings = KafkaClientSettings(
            properties: [.init("bootstrap.servers", "127.0.0.1:1"), .init("security.protocol", "ssl")],
            secrets: {
                [.init("ssl.keystore.location", "/no/such/hunter2"), .init("ssl.keystore.password", "hunter2")]
            })
        do throws(KafkaError) {
            _ = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
            Issue.record("there is a key store")
        } catch {
            #expect(error.detail == "(a line that held a secret)")
        }
    }

    @Test func `a closed producer settles what still waits`() async throws {
        let settings = self.settings("127.0.0.1:1")
        let producer = try KafkaProducer(settings: settings, logger: self.logger, health: self.monitor(settings))
        async let deliveries = producer.produce(self.batch(5))
        await Task.yield()
        await producer.close()
        #expect(await deliveries.allSatisfy { !$0.isDelivered })
    }
}
