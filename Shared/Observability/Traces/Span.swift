/// One finished piece of work, as OpenTelemetry sees it.
package struct Span: Equatable, Sendable {
    package enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
        case producer = 4
    }

    package enum Value: Equatable, Sendable {
        case text(String)
        case integer(Int64)
    }

    package var context: TraceContext
    /// The id of the span above; `nil` for a root.
    package var parent: String?
    /// Low in number: `GET /v1/namespaces/{namespace}/schedules`, never with an id in it.
    package var name: String
    package var kind: Kind
    /// Nanoseconds since 1970.
    package var start: Int64
    package var end: Int64
    package var attributes: [(name: String, value: Value)]
    /// What led to it but does not contain it.
    package var links: [TraceContext]
    /// What went wrong; `nil` when nothing did. Never holds a secret or a payload.
    package var error: String?

    package init(
        _ context: TraceContext, parent: String? = nil, name: String, kind: Kind, start: Int64, end: Int64,
        attributes: [(name: String, value: Value)] = [], links: [TraceContext] = [], error: String? = nil
    ) {
        self.context = context
        self.parent = parent
        self.name = name
        self.kind = kind
        self.start = start
        self.end = end
        self.attributes = attributes
        self.links = links
        self.error = error
    }

    package static func == (left: Span, right: Span) -> Bool {
        left.context == right.context && left.parent == right.parent && left.name == right.name
            && left.kind == right.kind && left.start == right.start && left.end == right.end
            && left.attributes.elementsEqual(right.attributes) { $0 == $1 } && left.links == right.links
            && left.error == right.error
    }
}
