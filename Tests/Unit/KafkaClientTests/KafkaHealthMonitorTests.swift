import KafkaClient
import Synchronization
import Testing

@Suite struct KafkaHealthMonitorTests {
    private final class Changes: Sendable {
        private let list = Mutex<[String?]>([])
        var all: [String?] { self.list.withLock { $0 } }
        func add(_ reason: String?) { self.list.withLock { $0.append(reason) } }
    }

    private let changes = Changes()
    private let monitor: KafkaHealthMonitor

    init() {
        let changes = self.changes
        self.monitor = KafkaHealthMonitor(
            settings: KafkaClientSettings(properties: [
                .init("bootstrap.servers", "kafka:9092"), .init("sasl.username", "escapement"),
                .init("sasl.mechanism", "SCRAM-SHA-512"),
            ]), change: { changes.add($0) })
    }

    @Test func `the reason nearest to the cause stays until something succeeds`() {
        self.monitor.failed(.allBrokersDown, "1/1 brokers are down")
        self.monitor.failed(.transport, "sasl_ssl://kafka:9092/1: Connect to kafka:9092 failed: refused (after 1ms)")
        self.monitor.failed(.saslAuthenticationFailed, "sasl_ssl://kafka:9092/1: credentials are wrong")
        self.monitor.failed(.allBrokersDown, "1/1 brokers are down")
        #expect(
            self.monitor.reason
                == "SASL authentication failed for user escapement (mechanism SCRAM-SHA-512): credentials are wrong")
        self.monitor.succeeded()
        #expect(self.monitor.reason == nil)
        #expect(self.changes.all.count == 4)
    }

    @Test func `an outage in ever other words is one change`() {
        self.monitor.failed(.transport, "Connect to kafka:9092 failed: refused")
        self.monitor.failed(.transport, "Local: Broker transport failure")
        self.monitor.failed(.transport, "Disconnected")
        #expect(self.changes.all == ["no broker reachable at kafka:9092: Connect to kafka:9092 failed: refused"])
    }

    @Test(arguments: [
        KafkaErrorCode.topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
        .transactionalIDAuthorizationFailed,
    ]) func `a missing right is a reason`(code: KafkaErrorCode) {
        self.monitor.failed(.timedOut, "timed out")
        self.monitor.failed(code, "Failed to acquire a producer id: \(code.text)")
        #expect(self.monitor.reason?.hasPrefix("the Kafka user escapement lacks a right: Failed to acquire") == true)
        self.monitor.succeeded(isAllowed: false)
        #expect(self.monitor.reason != nil, "what needs no right says nothing about it")
        self.monitor.succeeded()
        #expect(self.monitor.reason == nil)
    }

    @Test func `an outage ends with any answer`() {
        self.monitor.failed(.transport, "Connect to kafka:9092 failed: refused")
        self.monitor.succeeded(isAllowed: false)
        #expect(self.monitor.reason == nil)
    }

    @Test func `errors of records say nothing about the brokers`() {
        self.monitor.failed(.messageTooLarge, "too large")
        #expect(self.monitor.reason == nil)
        #expect(self.changes.all.isEmpty)
    }
}
