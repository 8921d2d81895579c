extension JSONValue {
    /// The compact text: no spaces, members in order, numbers as they were written.
    package var text: String { String(decoding: self.bytes, as: UTF8.self) }

    /// The UTF-8 of `text`.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        self.write(to: &bytes)
        return bytes
    }

    /// The text with two spaces of indentation a level, for people.
    package var prettyText: String {
        var bytes: [UInt8] = []
        self.write(to: &bytes, indentation: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the compact text to `bytes`.
    package func write(to bytes: inout [UInt8]) { self.write(to: &bytes, indentation: nil) }

    /// Appends `text` as a JSON string with its quotes. Never emits a raw line break, so a value cannot
    /// end a line of NDJSON.
    package static func writeString(_ text: some StringProtocol, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case UInt8(ascii: "\\"): bytes.append(contentsOf: [byte, byte])
            case 0x0a: bytes.append(contentsOf: "\\n".utf8)
            case 0x0d: bytes.append(contentsOf: "\\r".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private func write(to bytes: inout [UInt8], indentation: Int?) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let text): bytes.append(contentsOf: text.utf8)
        case .string(let text): Self.writeString(text, to: &bytes)
        case .array(let elements):
            Self.writeList(elements, "[", "]", to: &bytes, indentation: indentation) { element, bytes, deeper in
                element.write(to: &bytes, indentation: deeper)
            }
        case .object(let members):
            Self.writeList(members, "{", "}", to: &bytes, indentation: indentation) { member, bytes, deeper in
                Self.writeString(member.name, to: &bytes)
                bytes.append(contentsOf: (deeper == nil ? ":" : ": ").utf8)
                member.value.write(to: &bytes, indentation: deeper)
            }
        }
    }

    private static func writeList<Item>(
        _ items: [Item], _ open: String, _ close: String, to bytes: inout [UInt8], indentation: Int?,
        _ writeItem: (Item, inout [UInt8], Int?) -> Void
    ) {
        bytes.append(contentsOf: open.utf8)
        let deeper = indentation.map { $0 + 2 }
        for (index, item) in items.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            if let deeper {
                bytes.append(0x0a)
                bytes.append(contentsOf: repeatElement(0x20, count: deeper))
            }
            writeItem(item, &bytes, deeper)
        }
        if let indentation, !items.isEmpty {
            bytes.append(0x0a)
            bytes.append(contentsOf: repeatElement(0x20, count: indentation))
        }
        bytes.append(contentsOf: close.utf8)
    }
}
