import CRDKafka

/// Whose settings are asked for.
package enum KafkaResource: Hashable, Sendable {
    case topic(String)
    case broker(Int32)
}

extension KafkaAdmin {
    /// The settings in effect, by name; sensitive ones are left out.
    ///
    /// - Throws: also when the right to describe settings is missing.
    package func settings(of resource: KafkaResource, timeout: Duration) async throws(KafkaError) -> [String: String] {
        try await self.settings(of: [resource], timeout: timeout)[0].get()
    }

    /// The same of several, in their order. All are asked for at once, each in a request of its own: a broker tells
    /// nobody's settings but its own. One that does not answer fails alone, after `timeout`.
    package func settings(
        of resources: [KafkaResource], timeout: Duration
    ) async -> [Result<[String: String], KafkaError>] {
        let milliseconds = Self.milliseconds(timeout)
        do throws(KafkaError) {
            return try await self.worker.run { () throws(KafkaError) in
                let questions = resources.map { resource in
                    Result { () throws(KafkaError) in try SettingsQuestion(resource, self.handle, milliseconds) }
                }
                return questions.map { question in
                    Result { () throws(KafkaError) in try question.get().answer() }
                }
            }
        } catch {
            return resources.map { _ in .failure(error) }
        }
    }
}

/// One request for settings that is under way; its answer arrives in a queue of its own.
private final class SettingsQuestion {
    private let queue: OpaquePointer
    private let milliseconds: Int32

    /// Asks.
    init(_ resource: KafkaResource, _ handle: KafkaHandle, _ milliseconds: Int32) throws(KafkaError) {
        let (type, name) =
            switch resource {
            case .topic(let name): (RD_KAFKA_RESOURCE_TOPIC, name)
            case .broker(let id): (RD_KAFKA_RESOURCE_BROKER, "\(id)")
            }
        guard let asked = rd_kafka_ConfigResource_new(type, name) else { throw KafkaError(.fatal, detail: "no memory") }
        defer { rd_kafka_ConfigResource_destroy(asked) }
        guard let queue = rd_kafka_queue_new(handle.pointer) else { throw KafkaError(.fatal, detail: "no memory") }
        self.queue = queue
        self.milliseconds = milliseconds
        let options = rd_kafka_AdminOptions_new(handle.pointer, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var reason = [CChar](repeating: 0, count: 512)
        rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, &reason, reason.count)
        var resources: [OpaquePointer?] = [asked]
        rd_kafka_DescribeConfigs(handle.pointer, &resources, 1, options, queue)
    }

    deinit { rd_kafka_queue_destroy(self.queue) }

    /// Waits for the answer: librdkafka gives one within the time limit, counted from the question, whatever happens.
    func answer() throws(KafkaError) -> [String: String] {
        guard let event = rd_kafka_queue_poll(self.queue, self.milliseconds + 1000) else { throw KafkaError(.timedOut) }
        defer { rd_kafka_event_destroy(event) }
        let code = KafkaErrorCode(rd_kafka_event_error(event))
        guard code == .none, let result = rd_kafka_event_DescribeConfigs_result(event) else {
            throw KafkaError(code, detail: String(cString: rd_kafka_event_error_string(event)))
        }
        var count = 0
        guard let answers = rd_kafka_DescribeConfigs_result_resources(result, &count), count == 1,
            let answer = answers[0]
        else { throw KafkaError(.invalidRecord, detail: "the broker answered for \(count) resources instead of one") }
        let refusal = KafkaErrorCode(rd_kafka_ConfigResource_error(answer))
        guard refusal == .none else {
            throw KafkaError(
                refusal, detail: rd_kafka_ConfigResource_error_string(answer).map { String(cString: $0) } ?? "")
        }
        var entryCount = 0
        guard let entries = rd_kafka_ConfigResource_configs(answer, &entryCount) else { return [:] }
        var settings: [String: String] = [:]
        for index in 0..<entryCount {
            guard let entry = entries[index], let name = rd_kafka_ConfigEntry_name(entry),
                let value = rd_kafka_ConfigEntry_value(entry)
            else { continue }
            settings[String(cString: name)] = String(cString: value)
        }
        return settings
    }
}
