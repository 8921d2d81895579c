/// Why bytes are not JSON, and where.
package struct JSONError: Error, Equatable {
    /// Zero-based offset of the offending byte.
    package var offset: Int
    /// A phrase without the position: `expected ',' or '}'`.
    package var message: String
}

extension JSONError: CustomStringConvertible {
    package var description: String { "\(self.message) at byte \(self.offset)" }
}

/// A strict parser after RFC 8259: one value, no trailing text, UTF-8 only, duplicate members refused
/// (which of two would count differs between readers), nesting bounded.
package struct JSONParser {
    /// Parses one document.
    ///
    /// - Parameter depthMax: how deep arrays and objects may nest; the recursion is as deep.
    /// - Throws: `JSONError` for anything that is not exactly one JSON value.
    /// - Complexity: O(bytes), plus O(m log m) for an object of m members.
    package static func parse(_ bytes: some Collection<UInt8>, depthMax: Int = 32) throws(JSONError) -> JSONValue {
        let copy = Array(bytes)
        guard copy.withUnsafeBufferPointer({ String(validating: $0, as: UTF8.self) }) != nil else {
            throw JSONError(offset: 0, message: "the text is not UTF-8")
        }
        var parser = JSONParser(bytes: copy, depthMax: depthMax)
        parser.skipSpace()
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.position < parser.bytes.count { throw parser.error("unexpected text after the value") }
        return value
    }

    package static func parse(_ text: String, depthMax: Int = 32) throws(JSONError) -> JSONValue {
        try self.parse(text.utf8, depthMax: depthMax)
    }

    private let bytes: [UInt8]
    private let depthMax: Int
    private var position = 0

    private init(bytes: [UInt8], depthMax: Int) {
        self.bytes = bytes
        self.depthMax = depthMax
    }

    private var current: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    private func error(_ message: String) -> JSONError { JSONError(offset: self.position, message: message) }

    private mutating func skipSpace() {
        while let byte = self.current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            self.position += 1
        }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard let byte = self.current else { throw self.error("the text ends where a value is expected") }
        switch byte {
        case UInt8(ascii: "{"): return try self.object(depth: depth)
        case UInt8(ascii: "["): return try self.array(depth: depth)
        case UInt8(ascii: "\""): return .string(try self.string())
        case UInt8(ascii: "t"): return try self.literal("true", .bool(true))
        case UInt8(ascii: "f"): return try self.literal("false", .bool(false))
        case UInt8(ascii: "n"): return try self.literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try self.number()
        default: throw self.error("unexpected character")
        }
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let length = word.utf8CodeUnitCount
        let matches =
            self.position + length <= self.bytes.count
            && (0..<length).allSatisfy { self.bytes[self.position + $0] == word.utf8Start[$0] }
        guard matches else { throw self.error("unknown word") }
        self.position += length
        return value
    }

    private mutating func digits() throws(JSONError) {
        let start = self.position
        while let byte = self.current, (48...57).contains(byte) { self.position += 1 }
        if self.position == start { throw self.error("expected a digit") }
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = self.position
        if self.current == UInt8(ascii: "-") { self.position += 1 }
        if self.current == UInt8(ascii: "0") {
            self.position += 1
            if let byte = self.current, (48...57).contains(byte) { throw self.error("a number has no leading zero") }
        } else {
            try self.digits()
        }
        if self.current == UInt8(ascii: ".") {
            self.position += 1
            try self.digits()
        }
        if self.current == UInt8(ascii: "e") || self.current == UInt8(ascii: "E") {
            self.position += 1
            if self.current == UInt8(ascii: "+") || self.current == UInt8(ascii: "-") { self.position += 1 }
            try self.digits()
        }
        return .number(String(decoding: self.bytes[start..<self.position], as: UTF8.self))
    }

    private mutating func string() throws(JSONError) -> String {
        self.position += 1
        var text: [UInt8] = []
        while true {
            guard let byte = self.current else { throw self.error("the text ends inside a string") }
            switch byte {
            case UInt8(ascii: "\""):
                self.position += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                self.position += 1
                text.append(contentsOf: try self.escape())
            case 0..<0x20:
                throw self.error("a control character in a string must be escaped")
            default:
                text.append(byte)
                self.position += 1
            }
        }
    }

    private mutating func escape() throws(JSONError) -> [UInt8] {
        guard let byte = self.current else { throw self.error("the text ends inside an escape") }
        self.position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var scalar = try self.hexadecimal()
            if (0xd800..<0xdc00).contains(scalar) {
                guard self.current == UInt8(ascii: "\\") else { throw self.error("half a surrogate pair") }
                self.position += 1
                guard self.current == UInt8(ascii: "u") else { throw self.error("half a surrogate pair") }
                self.position += 1
                let low = try self.hexadecimal()
                guard (0xdc00..<0xe000).contains(low) else { throw self.error("half a surrogate pair") }
                scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let valid = Unicode.Scalar(scalar) else { throw self.error("half a surrogate pair") }
            return Array(String(Character(valid)).utf8)
        default:
            self.position -= 1
            throw self.error("unknown escape")
        }
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = self.current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw self.error("expected four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            self.position += 1
        }
        return value
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < self.depthMax else { throw self.error("nested deeper than \(self.depthMax)") }
        self.position += 1
        self.skipSpace()
        var elements: [JSONValue] = []
        if self.current == UInt8(ascii: "]") {
            self.position += 1
            return .array(elements)
        }
        while true {
            self.skipSpace()
            elements.append(try self.value(depth: depth + 1))
            self.skipSpace()
            if self.current == UInt8(ascii: ",") {
                self.position += 1
            } else if self.current == UInt8(ascii: "]") {
                self.position += 1
                return .array(elements)
            } else {
                throw self.error("expected ',' or ']'")
            }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < self.depthMax else { throw self.error("nested deeper than \(self.depthMax)") }
        self.position += 1
        self.skipSpace()
        var members: [JSONMember] = []
        var names: Set<String> = []
        if self.current == UInt8(ascii: "}") {
            self.position += 1
            return .object(members)
        }
        while true {
            self.skipSpace()
            guard self.current == UInt8(ascii: "\"") else { throw self.error("expected a member name") }
            let start = self.position
            let name = try self.string()
            guard names.insert(name).inserted else {
                throw JSONError(offset: start, message: "the member '\(name)' appears twice")
            }
            self.skipSpace()
            guard self.current == UInt8(ascii: ":") else { throw self.error("expected ':'") }
            self.position += 1
            self.skipSpace()
            members.append(JSONMember(name, try self.value(depth: depth + 1)))
            self.skipSpace()
            if self.current == UInt8(ascii: ",") {
                self.position += 1
            } else if self.current == UInt8(ascii: "}") {
                self.position += 1
                return .object(members)
            } else {
                throw self.error("expected ',' or '}'")
            }
        }
    }
}
