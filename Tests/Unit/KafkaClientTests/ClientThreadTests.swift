import Foundation
import KafkaClient
import Testing

@Suite struct ClientThreadTests {
    private func settings(_ more: KafkaClientSettings.Property...) -> KafkaClientSettings {
        KafkaClientSettings(properties: [.init("bootstrap.servers", "127.0.0.1:1")] + more)
    }

    private func monitor(_ settings: KafkaClientSettings) -> KafkaHealthMonitor {
        KafkaHealthMonitor(settings: settings) { _ in }
    }

    #if os(Linux)
    @Test func `clients that cannot be made leave no thread behind`() throws {
        func threadCount() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        }
        let settings = self.settings(.init("no.such.property", "1"))
        let health = self.monitor(settings)
        let before = try threadCount()
        for _ in 0..<200 {
            #expect(throws: KafkaError.self) {
                try KafkaConsumer(settings: settings, group: "g", logger: KafkaFixture.logger, health: health)
            }
            #expect(throws: KafkaError.self) {
                try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: health)
            }
            #expect(throws: KafkaError.self) {
                try KafkaTransactionalProducer(
                    settings: settings, transactionalID: "t", logger: KafkaFixture.logger, health: health)
            }
        }
        // Tests beside this one start some as well: far fewer than 200.
        #expect(try threadCount() < before + 200)
    }
    #endif

    @Test func `a client that was never asked anything is closed like any other`() async throws {
        let settings = self.settings()
        let consumer = try KafkaConsumer(
            settings: settings, group: "g", logger: KafkaFixture.logger, health: self.monitor(settings))
        await consumer.close()
        await #expect(throws: KafkaError(.destroyed)) { try await consumer.assign([:]) }
    }
}
