package import Store

/// Why a unit of work failed. Texts are on one line, without passwords, parameters or rows.
package enum PostgresFailure: Error, Hashable, Sendable {
    /// No connection, or it broke while the unit was under way: a write may or may not have happened.
    case connection(String)
    /// Refused before it was sent: too much is waiting already. Nothing has happened.
    case overloaded(String)
    /// The server's answer. `state` is the SQLSTATE; `message` the primary message, which quotes no rows.
    case server(state: String, message: String)
    /// An answer that is not what the statement promises.
    case corrupt(String)

    /// Whether the transaction was undone only because of others at work: doing it again may help.
    var isConcurrency: Bool {
        // 26000: the statement was to be prepared by a unit that failed; the next attempt prepares it anew.
        guard case .server(let state, _) = self else { return false }
        return ["40001", "40P01", "26000"].contains(state)
    }

    /// Whether a row was there already where the statement needs a new one.
    var violatesUniqueness: Bool {
        if case .server(let state, _) = self { state == "23505" } else { false }
    }

    /// Whether the session is of no use any more though the socket may still be open.
    var endsSession: Bool {
        guard case .server(let state, _) = self else { return false }
        // The server stops, or has become a standby or read-only.
        return state.hasPrefix("57P") || state.hasPrefix("08") || state == "25006" || state == "25P03"
    }

    /// The store's error: few codes, one for each thing a caller can do.
    package func storeError(operation: String) -> StoreError {
        switch self {
        case .connection(let reason), .overloaded(let reason):
            return StoreError(.unavailable, operation: operation, detail: reason)
        case .corrupt(let detail):
            return StoreError(.corrupt, operation: operation, detail: detail)
        case .server(let state, let message):
            return StoreError(Self.code(ofState: state), operation: operation, detail: "\(message) [\(state)]")
        }
    }

    static func code(ofState state: String) -> StoreError.Code {
        switch state {
        case "40001", "40P01", "26000", "55P03": .contended
        // A statement time-out, a full server, a standby.
        case "57014", "25006", "25P03": .unavailable
        // Names that a migration would have made.
        case "42P01", "42703", "3F000", "42883", "42704", "42P10": .schemaMismatch
        case let other where ["08", "53", "57", "58"].contains(other.prefix(2)): .unavailable
        case "XX001", "XX002": .corrupt
        default: .refused
        }
    }
}
