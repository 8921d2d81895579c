package import JSON

extension Fault {
    /// Reads an order: `{"kind": "error", "api": "Produce", "error": "NOT_LEADER_OR_FOLLOWER", "count": 3}`.
    ///
    /// - Throws: `AdminError` naming the member and what it may be.
    package init(json: JSONValue) throws(AdminError) {
        guard let members = json.objectValue else { throw AdminError("a fault is an object, not \(json.kindName)") }
        let known = ["kind", "api", "error", "milliseconds", "broker", "client", "topic", "count"]
        if let unknown = members.first(where: { !known.contains($0.name) }) {
            throw AdminError("\(unknown.name) is unknown; a fault has \(known.joined(separator: ", "))")
        }
        let milliseconds = json["milliseconds"]?.integerValue ?? 0
        let effect: Effect
        switch json["kind"]?.stringValue {
        case "error":
            guard let code = (json["error"]?.stringValue).flatMap(ErrorCode.init(named:)) else {
                throw AdminError("error must be the name of a Kafka error, such as NOT_LEADER_OR_FOLLOWER")
            }
            effect = .error(code)
        case "delay": effect = .delay(milliseconds: milliseconds)
        case "delay-answer": effect = .delayAnswer(milliseconds: milliseconds)
        case "duplicate": effect = .duplicate(afterMilliseconds: milliseconds)
        case "drop-answer": effect = .dropAnswer
        case "mute": effect = .mute
        case "disconnect": effect = .disconnect
        default:
            throw AdminError(
                "kind must be one of error, delay, delay-answer, duplicate, drop-answer, mute, disconnect")
        }
        var api: APIKey?
        if let name = json["api"]?.stringValue {
            guard let key = APIKey(named: name) else {
                throw AdminError("api must be one of \(APIKey.allCases.map(\.name).joined(separator: ", "))")
            }
            api = key
        }
        let count = json["count"]?.integerValue ?? 1
        guard count > 0 else { throw AdminError("count must be positive") }
        self.init(
            effect, api: api, broker: json["broker"]?.integerValue.map { Int32(clamping: $0) },
            clientIDPrefix: json["client"]?.stringValue, topic: json["topic"]?.stringValue, count: Int(count))
    }

    package var json: JSONValue {
        var kind = ""
        var milliseconds: Int64?
        var error: String?
        switch self.effect {
        case .error(let code): (kind, error) = ("error", code.name)
        case .delay(let value): (kind, milliseconds) = ("delay", value)
        case .delayAnswer(let value): (kind, milliseconds) = ("delay-answer", value)
        case .duplicate(let value): (kind, milliseconds) = ("duplicate", value)
        case .dropAnswer: kind = "drop-answer"
        case .mute: kind = "mute"
        case .disconnect: kind = "disconnect"
        }
        return .record([
            "kind": .string(kind), "api": self.api.map { .string($0.name) }, "error": error.map { .string($0) },
            "milliseconds": milliseconds.map { .integer($0) }, "broker": self.broker.map { .integer($0) },
            "client": self.clientIDPrefix.map { .string($0) }, "topic": self.topic.map { .string($0) },
            "count": .integer(self.count),
        ])
    }
}
