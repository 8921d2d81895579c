/// One fault of a document: where it is, what kind it is, and what to do about it.
///
/// Readers of documents collect every fault before they answer, so that a person mends a document once.
package struct DocumentProblem: Error, Hashable, Sendable {
    /// A JSON pointer (RFC 6901) into the document; empty for the whole of it.
    package var pointer: String
    /// A word of the API: `INVALID_TYPE`, `UNKNOWN_FIELD`, `CRON_FIELD_RANGE`.
    package var code: String
    /// A sentence for people. May repeat short values of the document, never a payload.
    package var detail: String

    package init(pointer: String, code: String, detail: String) {
        self.pointer = pointer
        self.code = code
        self.detail = detail
    }
}

extension DocumentProblem: CustomStringConvertible {
    package var description: String { "\(self.pointer): \(self.detail) (\(self.code))" }
}

/// The codes that readers of documents use; the calendar engine adds its own.
package enum ProblemCode {
    package static let missingField = "MISSING_FIELD"
    package static let unknownField = "UNKNOWN_FIELD"
    package static let invalidType = "INVALID_TYPE"
    package static let invalidValue = "INVALID_VALUE"
    package static let invalidDuration = "INVALID_DURATION"
    package static let invalidInstant = "INVALID_INSTANT"
    package static let invalidName = "INVALID_NAME"
    package static let outOfRange = "OUT_OF_RANGE"
    package static let tooMany = "TOO_MANY"
    package static let conflictingFields = "CONFLICTING_FIELDS"
    package static let immutable = "IMMUTABLE"
}
