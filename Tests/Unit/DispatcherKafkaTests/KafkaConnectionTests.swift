import DispatcherKafka
import EscapementModel
import Observability
import ServiceConfiguration
import Testing

/// What the start refuses. No broker listens: none is waited for.
@Suite struct KafkaConnectionTests {
    private func problems(_ property: String, _ value: String, _ mode: DeliveryMode) -> [ConfigurationProblem] {
        self.problems([(property, value)], mode)
    }

    private func problems(
        login: KafkaSettings.Mechanism? = nil, _ properties: [(name: String, value: String)], _ mode: DeliveryMode
    ) -> [ConfigurationProblem] {
        let observability = Observability(
            identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: KafkaFixture.cluster, revision: ""))
        let connection = KafkaConnection(
            KafkaSettings(
                bootstrapServers: ["127.0.0.1:1"], clientID: "test",
                securityProtocol: login == nil ? .plaintext : .saslPlaintext,
                login: login.map { .init(mechanism: $0, credentials: nil) },
                properties: properties.map { .init(name: $0.name, value: Secret($0.value)) }),
            clocks: SystemClocks(), health: observability.health, logger: KafkaFixture.logger)
        do throws(ConfigurationRefusal) {
            try connection.check(mode, cluster: KafkaFixture.cluster)
            return []
        } catch {
            return error.problems
        }
    }

    @Test(arguments: [("socket.timeout.ms", "60000"), ("message.timeout.ms", "60000")])
    func `a timeout above the transaction's is refused in exactly-once mode alone`(property: String, value: String) {
        let problems = self.problems(property, value, .exactlyOnce)
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains("`\(property)` must be set <=") == true, "\(problems)")
        #expect(problems.first?.remedy == "lower or unset it: transaction.timeout.ms is fixed at 20000")
        #expect(self.problems(property, value, .atLeastOnce) == [])
    }

    @Test(arguments: [("socket.timeout.ms", "20100"), ("message.timeout.ms", "20000")])
    func `a timeout at the transaction's limit is taken`(property: String, value: String) {
        #expect(self.problems(property, value, .exactlyOnce) == [])
    }

    @Test(arguments: [("linger.ms", "10000"), ("session.timeout.ms", "600000")], DeliveryMode.allCases)
    func `what a lane's producer or the recorder's consumer refuses is refused in every mode`(
        property: (name: String, value: String), mode: DeliveryMode
    ) {
        let problems = self.problems(property.name, property.value, mode)
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains("`\(property.name)`") == true, "\(problems)")
        #expect(problems.first?.remedy == "correct or unset it, see docs/configuration.md")
    }

    @Test(arguments: DeliveryMode.allCases)
    func `a property that does not exist is named, without its value`(mode: DeliveryMode) {
        let problems = self.problems("socket.timeout.mss", "hunter2", mode)
        #expect(problems.count == 1)
        #expect(problems.first?.message.hasSuffix("there is no property socket.timeout.mss") == true, "\(problems)")
        #expect(problems.first?.remedy == "correct or unset it, see docs/configuration.md")
        #expect(!"\(problems)".contains("hunter2"))
    }

    /// The command gets no ticket, but names what the usual one names. Debian's librdkafka is built with GSSAPI.
    @Test(arguments: DeliveryMode.allCases)
    func `GSSAPI is taken with a keytab, and without one refused by its name`(mode: DeliveryMode) {
        let properties = [
            (name: "sasl.kerberos.principal", value: "escapement@EXAMPLE.ORG"), ("sasl.kerberos.service.name", "kafka"),
            ("sasl.kerberos.kinit.cmd", ": \"%{sasl.kerberos.keytab}\" %{sasl.kerberos.principal}"),
        ]
        let keytab = (name: "sasl.kerberos.keytab", value: "/run/secrets/kafka.keytab")
        #expect(self.problems(login: .gssapi, properties + [keytab], mode) == [])
        let problems = self.problems(login: .gssapi, properties, mode)
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains(#"not available: "sasl.kerberos.keytab""#) == true, "\(problems)")
    }

    /// There is no build without GSSAPI here: one without any mechanism of this name is as good.
    @Test(arguments: DeliveryMode.allCases)
    func `a mechanism that librdkafka is built without is refused by name with the remedy`(mode: DeliveryMode) {
        let problems = self.problems(login: .gssapi, [("sasl.mechanism", "DIGEST-MD5")], mode)
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains("SASL mechanism: DIGEST-MD5") == true, "\(problems)")
        #expect(problems.first?.name == "KAFKA_SASL_MECHANISM")
    }
}
