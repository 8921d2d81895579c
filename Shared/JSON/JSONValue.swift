/// A JSON value (RFC 8259) that keeps what a scheduler must not lose: numbers stay the text they were
/// (`9007199254740993` survives), and members keep their order.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The number as it was written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([JSONMember])

    package static func integer(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }

    /// - Precondition: `value` is finite.
    package static func decimal(_ value: Double) -> JSONValue {
        precondition(value.isFinite, "JSON has no \(value)")
        return .number("\(value)")
    }

    /// An object without the members whose value is `nil`.
    package static func record(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(members.compactMap { name, value in value.map { JSONMember(name, $0) } })
    }

    /// The member called `name` of an object; `nil` for other values and missing members. O(members).
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The element at `index` of an array; `nil` for other values and past the end.
    package subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    package var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The number as `Int64` when it is written as a whole number that fits.
    package var integerValue: Int64? { if case .number(let text) = self { Int64(text) } else { nil } }
    package var doubleValue: Double? { if case .number(let text) = self { Double(text) } else { nil } }
    package var arrayValue: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    package var objectValue: [JSONMember]? { if case .object(let value) = self { value } else { nil } }

    /// What it is, for error messages: `a string`, `an object`.
    package var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// A name and its value in an object.
package struct JSONMember: Hashable, Sendable {
    package var name: String
    package var value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { JSONMember($0, $1) })
    }
}
