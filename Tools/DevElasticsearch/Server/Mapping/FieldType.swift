import EscapementModel
import JSON

/// The field types we have; any other name is refused as the real server refuses an unknown one.
enum FieldType: String, Sendable, CaseIterable {
    case keyword, wildcard, text
    case matchOnlyText = "match_only_text"
    case long, integer, short, byte
    case double, float
    case halfFloat = "half_float"
    case scaledFloat = "scaled_float"
    case boolean, date
    case dateNanos = "date_nanos"
    case flattened
    /// OpenSearch's `flattened`.
    case flatObject = "flat_object"

    var isAnalysed: Bool { self == .text || self == .matchOnlyText }
    var isKeywordLike: Bool { self == .keyword || self == .wildcard || self.isFlattened }
    /// An object whose members are keywords, without a mapping of their own.
    var isFlattened: Bool { self == .flattened || self == .flatObject }
    var isDate: Bool { self == .date || self == .dateNanos }

    var integerRange: ClosedRange<Int64>? {
        switch self {
        case .long: Int64.min...Int64.max
        case .integer: Int64(Int32.min)...Int64(Int32.max)
        case .short: Int64(Int16.min)...Int64(Int16.max)
        case .byte: Int64(Int8.min)...Int64(Int8.max)
        default: nil
        }
    }

    var isDecimal: Bool {
        switch self {
        case .double, .float, .halfFloat, .scaledFloat: true
        default: false
        }
    }

    var isNumber: Bool { self.integerRange != nil || self.isDecimal }
}

/// One field as its mapping declares it.
struct FieldMapping: Equatable, Sendable {
    var type: FieldType
    /// Can be found by its value.
    var isIndexed = true
    /// Can be sorted and aggregated.
    var hasDocValues = true
    /// Longer values are kept in the source only, in characters.
    var ignoreAbove: Int?
    /// A value that does not parse is left out instead of refusing the document.
    var ignoresMalformed = false
    /// Numbers in strings and fractions in whole numbers are converted.
    var coerces = true
    /// Stands for an explicit null.
    var nullValue: JSONValue?
    var dateFormat = DateFormat.standard
    /// The same value under further names, such as `path.keyword`.
    var subfields: [String] = []

    /// The first mistake in a value is thrown with this text, and the exception it comes from.
    struct Malformed: Error {
        var type = "illegal_argument_exception"
        var reason: String
    }

    /// `value` in the form to compare, or `nil` for one that is left out.
    func parse(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        switch self.type {
        case .keyword, .wildcard, .text, .matchOnlyText, .flattened, .flatObject: return try self.parseText(value)
        case .long, .integer, .short, .byte: return try self.parseInteger(value)
        case .double, .float, .halfFloat, .scaledFloat: return try self.parseDouble(value)
        case .boolean: return try self.parseBoolean(value)
        case .date, .dateNanos: return try self.parseDate(value)
        }
    }

    /// The longest value that can be indexed as one term, bytes.
    static let termByteCountMax = 32_766

    private func parseText(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        let text: String
        switch value {
        case .string(let string): text = string
        case .number(let number): text = number
        case .bool(let flag): text = flag ? "true" : "false"
        case .null: return nil
        case .object:
            throw Malformed(type: "illegal_state_exception", reason: "Can't get text on a START_OBJECT")
        case .array:
            throw Malformed(type: "illegal_state_exception", reason: "Can't get text on a START_ARRAY")
        }
        if let ignoreAbove = self.ignoreAbove, text.count > ignoreAbove { return nil }
        if self.isIndexed, self.type.isKeywordLike, text.utf8.count > Self.termByteCountMax {
            throw Malformed(
                reason: "Document contains at least one immense term (whose UTF8 encoding is longer than the max "
                    + "length \(Self.termByteCountMax)), all of which were skipped.")
        }
        return .string(text)
    }

    private func parseInteger(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        guard let text = try self.numberText(value), let range = self.type.integerRange else { return nil }
        if let whole = Int64(text) {
            guard range.contains(whole) else {
                throw Malformed(reason: "Value [\(text)] is out of range for \(self.article) \(self.type.rawValue)")
            }
            return .integer(whole)
        }
        guard let decimal = Double(text), decimal.isFinite else {
            throw Malformed(reason: "For input string: \"\(text)\"")
        }
        guard self.coerces || decimal == decimal.rounded(.towardZero) else {
            throw Malformed(reason: "Value [\(text)] has a decimal part")
        }
        guard let whole = Int64(exactly: decimal.rounded(.towardZero)), range.contains(whole) else {
            throw Malformed(reason: "Value [\(text)] is out of range for \(self.article) \(self.type.rawValue)")
        }
        return .integer(whole)
    }

    private var article: String { self.type == .integer ? "an" : "a" }

    private func parseDouble(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        guard let text = try self.numberText(value) else { return nil }
        guard let number = Double(text) else {
            throw Malformed(type: "number_format_exception", reason: "For input string: \"\(text)\"")
        }
        guard number.isFinite, self.type != .float || abs(number) <= Double(Float.greatestFiniteMagnitude) else {
            throw Malformed(reason: "[\(self.type.rawValue)] supports only finite values, but got [\(text)]")
        }
        return .double(number)
    }

    private func numberText(_ value: JSONValue) throws(Malformed) -> String? {
        switch value {
        case .number(let text): return text
        case .string(let text):
            guard self.coerces else { throw Malformed(reason: "Numeric value passed as String") }
            if text.isEmpty { return nil }
            return text
        case .null: return nil
        case .bool, .object, .array:
            throw Malformed(
                type: "input_coercion_exception",
                reason: "Current token (\(value.tokenName)) not numeric, can not use numeric value accessors")
        }
    }

    private func parseBoolean(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        switch value {
        case .bool(let flag): return .boolean(flag)
        case .string("true"): return .boolean(true)
        case .string("false"), .string(""): return .boolean(false)
        case .null: return nil
        case .string(let text), .number(let text):
            throw Malformed(reason: "Failed to parse value [\(text)] as only [true] or [false] are allowed.")
        case .object, .array:
            throw Malformed(
                type: "x_content_parse_exception", reason: "Current token (\(value.tokenName)) not of boolean type")
        }
    }

    private func parseDate(_ value: JSONValue) throws(Malformed) -> FieldValue? {
        let text: String
        switch value {
        case .string(let string): text = string
        case .number(let number): text = number
        case .null: return nil
        case .bool, .object, .array:
            throw Malformed(reason: "failed to parse date field [\(value.text)] with format [\(self.dateFormat.text)]")
        }
        guard let instant = self.dateFormat.parse(text) else {
            throw Malformed(reason: "failed to parse date field [\(text)] with format [\(self.dateFormat.text)]")
        }
        return .date(instant.milliseconds)
    }
}

extension JSONValue {
    /// What the real server's parser calls the beginning of this value.
    var tokenName: String {
        switch self {
        case .null: "VALUE_NULL"
        case .bool: "VALUE_BOOLEAN"
        case .number: "VALUE_NUMBER"
        case .string: "VALUE_STRING"
        case .array: "START_ARRAY"
        case .object: "START_OBJECT"
        }
    }
}
