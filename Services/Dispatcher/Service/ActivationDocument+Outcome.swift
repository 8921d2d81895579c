package import DispatcherDomain
package import EscapementModel
package import JSON

extension OutcomeRecord {
    /// The activation document, schema version 1.
    ///
    /// - Parameters:
    ///   - dispatcher: the node that wrote the journal entry.
    package func document(cluster: String, dispatcher: NodeID) -> JSONValue {
        let isSent = self.outcome == .dispatched
        var members: [JSONMember] = []
        members.reserveCapacity(28)
        func add(_ name: String, _ value: JSONValue) { members.append(JSONMember(name, value)) }
        let settledAt = self.settledAt.description
        add("@timestamp", .string(settledAt))
        add("schema_version", 1)
        add("activation_id", .string(self.id.description))
        add("cluster", .string(cluster))
        add("namespace", .string(self.namespace))
        add("schedule", .string(self.name))
        add("schedule_uid", .string(self.uid.uuid))
        add("generation", .integer(self.generation))
        add("kind", .string(self.kind.name))
        if !self.action.isEmpty { add("action", .string(self.action)) }
        if !self.labels.isEmpty {
            add("labels", .object(self.labels.map { JSONMember($0.name, .string($0.value)) }))
        }
        add("scheduled_at", .string(self.scheduled.description))
        if isSent { add("dispatched_at", .string(settledAt)) }
        if let lateness = self.lateness { add("lateness_ms", .integer(lateness.wholeMilliseconds)) }
        add("outcome", .string(self.outcome.name))
        add("reason", .string(self.reason.code))
        add("attempts", .integer(self.attempts))
        if !self.error.isEmpty { add("error", .string(self.error)) }
        if self.count != 1 {
            add("count", .integer(self.count))
            add("through_at", .string(self.through.description))
        }
        if let position = self.position {
            add(
                "kafka",
                [
                    "topic": .string(position.topic), "partition": .integer(position.partition),
                    "offset": .integer(position.offset),
                ])
        }
        add("shard", .integer(self.shard.rawValue))
        add("epoch", .integer(self.epoch.rawValue))
        add("ticker", .string(self.ticker.name))
        add("dispatcher", .string(dispatcher.name))
        if let payload = self.payload {
            add("payload_bytes", .integer(payload.byteCount))
            add("payload_sha256", .string(payload.sha256.hex))
            if let text = payload.text { add("payload", .string(text)) }
        }
        if let trace = self.traceID { add("trace_id", .string(trace)) }
        return .object(members)
    }

    /// The second part of the W3C trace context.
    private var traceID: String? {
        let parts = self.traceparent.utf8.split(separator: UInt8(ascii: "-"), maxSplits: 3)
        return parts.count >= 4 && parts[1].count == 32 ? String(Substring(parts[1])) : nil
    }
}
