import ArgumentParser
import EscapementModel
import JSON

/// What is published, as flags of schedules and timers.
struct TargetFlags: ParsableArguments {
    @Option(help: "/namespace/action or /namespace/package/action.")
    var action: String?

    @Option(help: "The Kafka topic; the dispatcher's default without it.")
    var topic: String?

    @Option(help: "The record's key; namespace/name without it.")
    var key: String?

    @Option(help: "cloudevents-binary or cloudevents-structured.")
    var format: String?

    @Option(name: .customLong("content-type"), help: "Media type of the payload.")
    var contentType: String?

    @Option(help: "The payload: JSON, or text with a content type that is not JSON.")
    var payload: String?

    @Option(name: .customLong("payload-file"), help: "A file with the payload; - is standard input.")
    var payloadFile: String?

    @Option(name: .customLong("label"), help: "A label, name=value; may be repeated.")
    var labels: [String] = []

    func validate() throws {
        if self.payload != nil, self.payloadFile != nil {
            throw ValidationError("--payload and --payload-file exclude each other")
        }
        for label in self.labels where !label.contains("=") {
            throw ValidationError("--label '\(label)' is not name=value")
        }
    }

    /// The members that were given; `nil` for none.
    func target() throws -> JSONValue? {
        let target = JSONValue.record([
            "action": self.action.map { .string($0) }, "topic": self.topic.map { .string($0) },
            "key": self.key.map { .string($0) }, "format": self.format.map { .string($0) },
            "contentType": self.contentType.map { .string($0) }, "payload": try self.readPayload(),
        ])
        return target == .object([]) ? nil : target
    }

    func labelMembers() -> JSONValue? {
        if self.labels.isEmpty { return nil }
        return .object(
            self.labels.map { label in
                let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return JSONMember(String(parts[0]), .string(String(parts[1])))
            })
    }

    private func readPayload() throws -> JSONValue? {
        var text = self.payload
        if let file = self.payloadFile { text = try DevFiles.read(file == "-" ? "/dev/stdin" : file) }
        guard let text else { return nil }
        if let type = self.contentType, !type.contains("json") { return .string(text) }
        do {
            return try JSONParser.parse(text)
        } catch {
            throw ClientFailure(
                ExitStatus.invalid, "escapement: the payload is not JSON: \(error)",
                "Quote it for the shell ('{\"order\": 1}'), or say --content-type text/plain for text.")
        }
    }
}
