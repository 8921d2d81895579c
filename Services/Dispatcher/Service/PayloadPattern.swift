import EscapementModel
package import NIOCore
import WireProtocol

/// Replaces words in double braces, such as `{{scheduledAt}}`, in a payload or a header value.
///
/// All values are made of letters, digits and `.:_-/`, so they need no escaping in JSON. Anything in double braces
/// that is not a known word is an error: half-replaced payloads are worse than none.
package struct PayloadPattern: Sendable {
    /// What the words stand for, at one fire.
    package struct Words: Sendable {
        package var id: String
        package var scheduledAt: String
        package var firedAt: String
        package var attempt: String
        package var schedule: String
        package var namespace: String
        package var kind: String
        package var generation: String
        /// Empty where there is none, as for timers and triggers.
        package var previousAt: String
        /// Likewise.
        package var nextAt: String

        package subscript(word: Substring) -> String? {
            switch word {
            case "id": self.id
            case "scheduledAt": self.scheduledAt
            case "firedAt": self.firedAt
            case "attempt": self.attempt
            case "schedule": self.schedule
            case "namespace": self.namespace
            case "kind": self.kind
            case "generation": self.generation
            case FireTemplate.neighbourWords.previous[...]: self.previousAt
            case FireTemplate.neighbourWords.next[...]: self.nextAt
            default: nil
            }
        }
    }

    /// A word that does not exist.
    package struct UnknownWord: Error, Equatable, CustomStringConvertible {
        package var word: String

        package var description: String { "the payload names '{{\(self.word)}}', which is no word of a fire" }
    }

    /// Bytes of a text between braces that are shown.
    private static let wordMax = 64

    /// `text` with all words replaced. Braces that are never closed stay as they are.
    package static func expand(_ text: String, _ words: Words) throws(UnknownWord) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            guard let close = rest[open.upperBound...].firstRange(of: "}}") else { break }
            let word = rest[open.upperBound..<close.lowerBound]
            guard let value = words[word] else { throw UnknownWord(word: word.prefix(bytes: self.wordMax)) }
            result += rest[..<open.lowerBound]
            result += value
            rest = rest[close.upperBound...]
        }
        return result + rest
    }

    /// As for text; bytes that are not UTF-8 hold no words and stay.
    package static func expand(_ payload: ByteBuffer, _ words: Words) throws(UnknownWord) -> ByteBuffer {
        guard let text = String(validating: payload.readableBytesView, as: UTF8.self) else { return payload }
        return ByteBuffer(string: try self.expand(text, words))
    }
}
