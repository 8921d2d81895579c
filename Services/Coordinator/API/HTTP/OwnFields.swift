import Hummingbird

extension HTTPFields {
    /// Header fields that the library has no name for.
    enum Own: String {
        case requestID = "X-Request-Id"
        case idempotencyKey = "Idempotency-Key"
        case idempotencyReplayed = "Idempotency-Replayed"
        case traceparent = "traceparent"
        case referrerPolicy = "Referrer-Policy"
    }

    subscript(own field: Own) -> String? {
        get { self[Self.known(.init(field.rawValue))] }
        set { self[Self.known(.init(field.rawValue))] = newValue }
    }

    private static func known<Name>(_ name: Name?) -> Name {
        guard let name else { preconditionFailure("every name above is a token") }
        return name
    }
}
