package import JSON

/// The JSON of `target`: what is published when a schedule or timer fires.
///
/// `{"action": "/guest/reports/nightly", "topic": "escapement.fires", "format": "cloudevents-binary",
/// "key": "schedule", "contentType": "application/json", "headers": {...}, "payload": {...},
/// "template": false}`, every member optional. Instead of Kafka's members `http`, `{"url": "https://…", "secret":
/// "name"}`, or `openwhisk`, `{"trigger": "/guest/nightly"}` or `{"action": "/guest/reports/nightly"}`.
package struct TargetDocument: Hashable, Sendable {
    /// `/namespace/package/action`; empty for none.
    package var action: String
    /// Empty for the dispatcher's default topic.
    package var topic: String
    /// Empty for the dispatcher's default format.
    package var format: String
    /// Empty for `namespace/name`; the word `schedule` means the same.
    package var key: String
    package var contentType: String
    /// As it was written; `nil` when there is none.
    package var payload: JSONValue?
    /// Header names and values, in the order of the document.
    package var headers: [JSONMember]
    /// Whether words in double braces are replaced at each fire.
    package var isPattern: Bool
    /// Where it goes instead of Kafka.
    package var web: WebTarget?

    package init(
        action: String = "", topic: String = "", format: String = "", key: String = "",
        contentType: String = Self.defaultContentType, payload: JSONValue? = nil, headers: [JSONMember] = [],
        isPattern: Bool = false, web: WebTarget? = nil
    ) {
        self.action = action
        self.topic = topic
        self.format = format
        self.key = key
        self.contentType = contentType
        self.payload = payload
        self.headers = headers
        self.isPattern = isPattern
        self.web = web
    }

    package static let defaultContentType = "application/json"
    /// Bytes of a payload: what a Kafka broker takes in one record by default.
    package static let payloadMax = 1_048_576
    /// Bytes of a record key.
    package static let keyMax = 1024
    /// Bytes of an action's name.
    package static let actionMax = 400

    /// The bytes to publish: a string of a content type that is not JSON stands for its own text, any
    /// other payload for its JSON, numbers as they were written. Never empty, because a record without a
    /// value is a deletion on a compacted topic.
    package var payloadBytes: [UInt8] {
        guard let payload = self.payload else { return Array("{}".utf8) }
        if !self.isJSON, case .string(let text) = payload, !text.isEmpty { return Array(text.utf8) }
        return payload.bytes
    }

    private var isJSON: Bool {
        let type = self.contentType.split(separator: ";").first.map(String.init) ?? ""
        return type == "application/json" || type.hasSuffix("+json")
    }

    /// Reads `value`; `nil` gives the defaults. `cluster` names topics that belong to the product.
    package static func read(
        _ value: JSONValue?, cluster: String, at pointer: String = "/target"
    ) -> (target: TargetDocument, problems: [DocumentProblem]) {
        var target = TargetDocument()
        guard let value else { return (target, []) }
        var reader = ObjectReader(value, at: pointer)
        if !reader.problems.isEmpty { return (target, reader.problems) }
        if let action = reader.string("action") {
            if let fault = self.actionFault(action) { reader.note("action", ProblemCode.invalidName, fault) }
            target.action = action
        }
        if let topic = reader.string("topic") {
            if let fault = TopicRules.fault(in: topic) {
                reader.note("topic", ProblemCode.invalidName, fault)
            } else if TopicRules.isReserved(topic, cluster: cluster) {
                reader.note("topic", TopicRules.notAllowed, "'\(topic)' is an internal topic; publish elsewhere")
            }
            target.topic = topic
        }
        let formats: KeyValuePairs<String, String> = [
            "cloudevents-binary": "cloudevents-binary", "cloudevents-structured": "cloudevents-structured",
            "plain": "plain", "openwhisk": "openwhisk",
        ]
        target.format = reader.word("format", formats) ?? ""
        if let key = reader.string("key") {
            if key.isEmpty || key.utf8.count > self.keyMax || key.contains(where: { $0.isNewline || $0 == "\0" }) {
                reader.note("key", ProblemCode.invalidValue, "must be one line of 1 to \(self.keyMax) bytes")
            }
            target.key = key
        }
        if let type = reader.string("contentType") {
            if !self.isMediaType(type) {
                reader.note("contentType", ProblemCode.invalidValue, "must be a media type such as application/json")
            }
            target.contentType = type
        }
        target.headers = WebTarget.headers(&reader)
        target.isPattern = reader.boolean("template") ?? false
        target.web = WebTarget.read(&reader)
        switch target.web {
        case .trigger, .action:
            if !target.headers.isEmpty {
                reader.note(
                    "headers", ProblemCode.invalidValue,
                    "go to Kafka and to 'http'; OpenWhisk takes none, leave them out")
            }
        case .hook, nil: break
        }
        target.payload = reader.value("payload")
        if target.payload == nil, case .null? = value["payload"] { target.payload = .null }
        let size = target.payloadBytes.count
        if size > self.payloadMax {
            reader.note(
                "payload", self.payloadTooLarge, "has \(size) bytes, at most \(self.payloadMax) are allowed")
        }
        return (target, reader.finish())
    }

    package static let payloadTooLarge = "PAYLOAD_TOO_LARGE"

    /// Writes what was given, in one order, defaults left out.
    package func write() -> JSONValue {
        .record([
            "action": self.action.isEmpty ? nil : .string(self.action),
            "topic": self.topic.isEmpty ? nil : .string(self.topic),
            "format": self.format.isEmpty ? nil : .string(self.format),
            "key": self.key.isEmpty ? nil : .string(self.key),
            "contentType": .string(self.contentType),
            "headers": self.headers.isEmpty ? nil : .object(self.headers),
            "template": self.isPattern ? true : nil,
            "http": self.web?.httpDocument, "openwhisk": self.web?.openWhiskDocument,
            "payload": self.payload,
        ])
    }

    /// `/namespace/name` or `/namespace/package/name`, in OpenWhisk's letters.
    static func actionFault(_ action: String) -> String? {
        guard action.utf8.count <= self.actionMax else { return "must have at most \(self.actionMax) bytes" }
        let parts = action.split(separator: "/", omittingEmptySubsequences: false)
        guard action.hasPrefix("/"), parts.count == 3 || parts.count == 4 else {
            return "must be /namespace/name or /namespace/package/name"
        }
        for part in parts.dropFirst() {
            let fine = part.unicodeScalars.allSatisfy {
                $0.properties.isAlphabetic || ("0"..."9").contains($0) || "_@ .-".unicodeScalars.contains($0)
            }
            if part.isEmpty || !fine || part.hasPrefix(" ") || part.hasSuffix(" ") {
                return "has the part '\(ObjectReader.clipped(String(part)))', which is not a name"
            }
        }
        return nil
    }

    private static func isMediaType(_ text: String) -> Bool {
        guard text.utf8.count <= 128, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return false }
        let type = text.split(separator: ";", maxSplits: 1).first.map(String.init) ?? ""
        let parts = type.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2
            && parts.allSatisfy { part in
                !part.isEmpty
                    && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "!#$&^_.+-".contains($0)) }
            }
    }
}
