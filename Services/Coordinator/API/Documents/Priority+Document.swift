import EscapementModel
import JSON

extension Priority {
    /// Of what a stored document describes. What does not say is normal: so are those from before there were priorities.
    init(ofDocument document: JSONValue) {
        self = document["priority"]?.stringValue.flatMap { Priority(word: $0) } ?? .normal
    }

    /// As stored documents have it: left out when normal.
    var stored: JSONValue? { self == .normal ? nil : .string(self.word) }
}
