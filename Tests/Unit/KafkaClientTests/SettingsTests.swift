import DevKafka
import KafkaClient
import Testing

@Suite struct SettingsTests {
    @Test func `all brokers are asked at once, and those that are silent fail alone`() async throws {
        try await KafkaFixture.with(brokers: 3) { kafka async throws in
            let settings = kafka.settings()
            let admin = try KafkaAdmin(
                settings: settings, logger: KafkaFixture.logger, health: kafka.monitor(settings))
            let brokers = [KafkaResource.broker(3), .broker(1), .broker(2)]
            let answers = await admin.settings(of: brokers, timeout: KafkaFixture.patience)
            #expect(try answers.map { try $0.get()["broker.id"] } == ["3", "1", "2"])

            for silent: Int32 in [2, 3] {
                try await kafka.cluster.order(Fault(.mute, api: .describeConfigs, broker: silent))
            }
            var codes: [KafkaErrorCode] = []
            let time = await ContinuousClock().measure {
                codes = await admin.settings(of: brokers, timeout: .seconds(2)).map { answer in
                    if case .failure(let error) = answer { error.code } else { .none }
                }
            }
            #expect(codes == [.timedOut, .none, .timedOut])
            #expect(time < .seconds(4), "they were waited for one after another")
            await admin.close()
        }
    }
}
