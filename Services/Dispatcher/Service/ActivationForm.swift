package import DispatcherDomain
package import EscapementModel
package import JSON

/// How an outcome looks in the store, and where it lies.
package enum ActivationForm: Hashable, Sendable {
    /// Our own document, in an index for each day: `prefix-yyyy.MM.dd`.
    case native(indexPrefix: String)
    /// OpenWhisk's document in OpenWhisk's index, such as `openwhisk-%s`.
    case openWhisk(indexPattern: String)

    /// The document to store.
    ///
    /// - Parameter dispatcher: the node that wrote the journal entry.
    /// - Throws: `ActivationFormRefusal` when the form has no room for it; keep that document among the dead letters.
    package func document(
        of outcome: OutcomeRecord, cluster: String, dispatcher: NodeID
    ) throws(ActivationFormRefusal) -> ActivationDocument {
        let native = outcome.document(cluster: cluster, dispatcher: dispatcher)
        switch self {
        case .native(let prefix):
            return ActivationDocument(
                index: Self.index(prefix: prefix, scheduled: outcome.scheduled), id: outcome.id.description,
                body: native.bytes)
        case .openWhisk(let pattern):
            let index = OpenWhiskDocument.index(pattern, namespace: outcome.namespace)
            let id = "\(outcome.namespace)/\(outcome.id)"
            if let reason = OpenWhiskDocument.fault(of: outcome, index: index) {
                throw ActivationFormRefusal(
                    document: ActivationDocument(index: index, id: id, body: native.bytes), reason: reason)
            }
            return ActivationDocument(
                index: index, id: id, body: OpenWhiskDocument.document(of: outcome, native: native).bytes)
        }
    }

    /// `prefix-yyyy.MM.dd` of the scheduled time, in UTC: never of today, so that a replay meets its twin.
    package static func index(prefix: String, scheduled: WallInstant) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(24)
        scheduled.appendText(to: &text)
        for index in 0..<10 where text[index] == UInt8(ascii: "-") { text[index] = UInt8(ascii: ".") }
        return "\(prefix)-\(String(decoding: text[..<10], as: UTF8.self))"
    }

    /// The indices that may hold records of `namespace`.
    package func indices(of namespace: String?) -> String {
        switch self {
        case .native(let prefix): "\(prefix)-*"
        case .openWhisk(let pattern):
            namespace.map { OpenWhiskDocument.index(pattern, namespace: $0) }
                ?? pattern.replacing("%s", with: "*")
        }
    }

    /// Where our own members lie within a document: before each field's name in a search.
    package var fieldPrefix: String {
        switch self {
        case .native: ""
        case .openWhisk: "annotations.escapement."
        }
    }

    /// Our own document within a stored one; `nil` when somebody else wrote it.
    package func native(_ source: JSONValue) -> JSONValue? {
        switch self {
        case .native: source
        case .openWhisk: OpenWhiskDocument.native(in: source)
        }
    }
}

/// The form has no room for an outcome.
package struct ActivationFormRefusal: Error, Equatable {
    /// The native document, for the dead letters.
    package var document: ActivationDocument
    package var reason: String
}
