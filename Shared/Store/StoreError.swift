/// Why the store could not do what was asked. Outcomes that are ordinary (lost the claim, name taken)
/// are return values, not errors.
package struct StoreError: Error, Sendable {
    package enum Code: Hashable, Sendable {
        /// No connection, time-out, or the answer was lost: the write may or may not have happened.
        /// Read before acting again.
        case unavailable
        /// A serialization failure or deadlock that outlived the store's own retries. Try again.
        case contended
        /// The schema is older or newer than this build. A person has to migrate.
        case schemaMismatch
        /// A row does not parse. A person has to look.
        case corrupt
        /// The store refused the statement; a bug or missing rights.
        case refused
    }

    package var code: Code
    /// What was being done: `create schedule`.
    package var operation: String
    /// The store's own message, without secrets or row contents.
    package var detail: String

    package init(_ code: Code, operation: String, detail: String) {
        self.code = code
        self.operation = operation
        self.detail = detail
    }

    package var isRetriable: Bool { self.code == .unavailable || self.code == .contended }
}

extension StoreError: CustomStringConvertible {
    package var description: String { "\(self.operation): \(self.detail) (\(self.code))" }
}
