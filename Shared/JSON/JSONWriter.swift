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
        let isWritten: Void? = text.utf8.withContiguousStorageIfAvailable { buffer in
            // Nearly every text has nothing to escape and is copied as it is.
            var start = 0
            for index in buffer.indices where self.isEscaped(buffer[index]) {
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[start..<index]))
                self.writeEscaped(buffer[index], to: &bytes)
                start = index + 1
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[start...]))
        }
        if isWritten == nil {
            for byte in text.utf8 {
                if self.isEscaped(byte) { self.writeEscaped(byte, to: &bytes) } else { bytes.append(byte) }
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func writeEscaped(_ byte: UInt8, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case 0x0a: bytes.append(UInt8(ascii: "n"))
        case 0x0d: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        default:
            bytes.append(contentsOf: "u00".utf8)
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    private func write(to bytes: inout [UInt8], indentation: Int?) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let text): bytes.append(contentsOf: text.utf8)
        case .string(let text): Self.writeString(text, to: &bytes)
        case .array(let elements):
            Self.writeList(elements, UInt8(ascii: "["), UInt8(ascii: "]"), to: &bytes, indentation: indentation) {
                element, bytes, deeper in
                element.write(to: &bytes, indentation: deeper)
            }
        case .object(let members):
            Self.writeList(members, UInt8(ascii: "{"), UInt8(ascii: "}"), to: &bytes, indentation: indentation) {
                member, bytes, deeper in
                Self.writeString(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                if deeper != nil { bytes.append(UInt8(ascii: " ")) }
                member.value.write(to: &bytes, indentation: deeper)
            }
        }
    }

    private static func writeList<Item>(
        _ items: [Item], _ open: UInt8, _ close: UInt8, to bytes: inout [UInt8], indentation: Int?,
        _ writeItem: (Item, inout [UInt8], Int?) -> Void
    ) {
        bytes.append(open)
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
        bytes.append(close)
    }
}
