import EscapementModel
import JSON
package import Logging

/// One log statement, ready to be written as bytes. A value without IO.
///
/// A line has at most `byteCountMax` bytes, so that one `write(2)` to a pipe is atomic (PIPE_BUF is 4096
/// on Linux); longer values are cut and the line says `"truncated":true`.
package struct LogLine: Sendable {
    /// The longest line with its line feed, in bytes.
    package static let byteCountMax = 4096
    /// The longest value of one metadata field before it is escaped, in bytes of UTF-8.
    package static let valueByteCountMax = 1024
    /// The same for a message: even if every byte needs six to be escaped, the line stays in bounds.
    package static let messageByteCountMax = 480

    /// Microseconds since 1970.
    package var microseconds: Int64
    package var level: Logger.Level
    package var message: String
    package var label: String
    package var identity: ProcessIdentity
    /// The statement's and the logger's metadata; `event` among it.
    package var metadata: Logger.Metadata

    package init(
        microseconds: Int64, level: Logger.Level, message: String, label: String, identity: ProcessIdentity,
        metadata: Logger.Metadata
    ) {
        self.microseconds = microseconds
        self.level = level
        self.message = message
        self.label = label
        self.identity = identity
        self.metadata = metadata
    }

    /// The bytes of the line with its line feed, in `json` or `text`.
    package func bytes(_ format: LogFormat) -> [UInt8] {
        format == .text ? self.textBytes() : self.jsonBytes()
    }

    /// The names that metadata cannot take: two members of one name would not be JSON for strict readers.
    private static let reservedNames: Set<String> = [
        "ts", "level", "msg", "event", "service", "role", "version", "instance", "cluster", "truncated",
    ]

    /// The event code, or for a line of a library without one the code `library_message`.
    private var event: String {
        if case .string(let code)? = self.metadata[LogKey.event] { return code }
        return "library_message"
    }

    private func jsonBytes() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        var isTruncated = false
        func append(_ name: String, _ text: String) {
            bytes.append(UInt8(ascii: bytes.isEmpty ? "{" : ","))
            JSONValue.writeString(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            JSONValue.writeString(Self.cut(text, &isTruncated), to: &bytes)
        }
        append("ts", self.timestamp)
        append("level", self.level.rawValue)
        append("msg", Self.cut(self.message, to: Self.messageByteCountMax, &isTruncated))
        append("event", self.event)
        append("service", self.identity.service)
        append("role", self.identity.role)
        append("version", self.identity.version)
        append("instance", self.identity.instance)
        append("cluster", self.identity.cluster)
        if self.metadata[LogKey.event] == nil { append("logger", self.label) }
        for (name, value) in self.sortedMetadata {
            let before = bytes.count
            bytes.append(UInt8(ascii: ","))
            JSONValue.writeString(Self.cut(name, &isTruncated), to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            Self.writeJSON(value, to: &bytes, &isTruncated)
            if bytes.count > Self.byteCountMax - Self.tail.count {
                bytes.removeSubrange(before...)
                isTruncated = true
            }
        }
        if isTruncated { bytes.append(contentsOf: ",\"truncated\":true".utf8) }
        bytes.append(contentsOf: "}\n".utf8)
        return bytes
    }

    private static let tail = Array(",\"truncated\":true}\n".utf8)

    private func textBytes() -> [UInt8] {
        var isTruncated = false
        var text = "\(self.timestamp) \(self.level.rawValue.uppercased())"
        text += String(repeating: " ", count: max(1, 9 - self.level.rawValue.utf8.count))
        text += Self.printable(Self.cut(self.message, to: Self.messageByteCountMax, &isTruncated))
        text += " event=\(Self.printable(self.event, quoting: true))"
        for (name, value) in self.sortedMetadata {
            let value = Self.cut(Self.plainText(value), &isTruncated)
            let field = " \(Self.printable(name, quoting: true))=\(Self.printable(value, quoting: true))"
            if text.utf8.count + field.utf8.count > Self.byteCountMax - 16 {
                isTruncated = true
            } else {
                text += field
            }
        }
        if isTruncated { text += " truncated" }
        return Array(text.utf8) + [0x0a]
    }

    private var sortedMetadata: [(String, Logger.MetadataValue)] {
        self.metadata
            .filter { $0.key != LogKey.event }
            .map { name, value in (Self.reservedNames.contains(name) ? "field_" + name : name, value) }
            .sorted { $0.0 < $1.0 }
    }

    /// RFC 3339 in UTC with microseconds.
    private var timestamp: String {
        let (milliseconds, rest) = self.microseconds.quotientAndRemainder(flooring: 1000)
        var text = WallInstant(milliseconds: milliseconds).description
        let digits = String(rest)
        text.removeLast()
        return text + String(repeating: "0", count: 3 - digits.utf8.count) + digits + "Z"
    }

    private static func cut(
        _ text: String, to limit: Int = LogLine.valueByteCountMax, _ isTruncated: inout Bool
    ) -> String {
        guard text.utf8.count > limit else { return text }
        isTruncated = true
        // Decoding repairs a character cut in the middle.
        return String(decoding: text.utf8.prefix(limit), as: UTF8.self)
    }

    private static func writeJSON(_ value: Logger.MetadataValue, to bytes: inout [UInt8], _ isTruncated: inout Bool) {
        switch value {
        case .string(let text):
            JSONValue.writeString(self.cut(text, &isTruncated), to: &bytes)
        case .stringConvertible(let convertible):
            switch convertible {
            case let number as any FixedWidthInteger: bytes.append(contentsOf: "\(number)".utf8)
            case let flag as Bool: bytes.append(contentsOf: (flag ? "true" : "false").utf8)
            case let number as Double where number.isFinite: bytes.append(contentsOf: "\(number)".utf8)
            default: JSONValue.writeString(self.cut(convertible.description, &isTruncated), to: &bytes)
            }
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                self.writeJSON(element, to: &bytes, &isTruncated)
            }
            bytes.append(UInt8(ascii: "]"))
        case .dictionary(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, (name, member)) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONValue.writeString(name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                self.writeJSON(member, to: &bytes, &isTruncated)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func plainText(_ value: Logger.MetadataValue) -> String {
        switch value {
        case .string(let text): text
        case .stringConvertible(let convertible): convertible.description
        case .array(let elements): "[" + elements.map(self.plainText).joined(separator: ", ") + "]"
        case .dictionary(let members):
            "{"
                + members.sorted { $0.key < $1.key }.map { "\($0.key)=\(self.plainText($0.value))" }
                .joined(separator: ", ") + "}"
        }
    }

    /// Escapes what could move a terminal's cursor or fake a second line; with `quoting`, puts quotes
    /// around a value that has spaces or is empty.
    private static func printable(_ text: String, quoting: Bool = false) -> String {
        var escaped = ""
        var needsQuotes = quoting && text.isEmpty
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0a: escaped += "\\n"
            case 0x00..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0x202a...0x202e, 0x2066...0x2069:
                escaped += "\\u{\(String(scalar.value, radix: 16))}"
            case 0x22 where quoting, 0x5c where quoting:
                escaped += "\\"
                escaped.unicodeScalars.append(scalar)
                needsQuotes = true
            default:
                if scalar == " " || scalar == "=" { needsQuotes = quoting }
                escaped.unicodeScalars.append(scalar)
            }
        }
        return needsQuotes ? "\"\(escaped)\"" : escaped
    }
}
