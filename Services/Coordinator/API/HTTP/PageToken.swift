import EscapementModel

/// Where the next page of a list begins. Opaque to callers: hexadecimal of a letter and the last item's key.
enum PageToken {
    private static let lengthMax = 1024

    /// The token of a page that begins after `key`; `kind` is a letter of the list.
    static func make(_ kind: Character, _ key: String) -> String { Hexadecimal.text("\(kind)\(key)".utf8) }

    /// The key that `token` holds.
    ///
    /// - Throws: `BAD_PAGE_TOKEN` for a token of another list or none of ours.
    static func key(_ kind: Character, _ token: String) throws(Problem) -> String {
        var bytes: [UInt8] = []
        var high: UInt8?
        var isFine = token.utf8.count.isMultiple(of: 2) && token.utf8.count <= self.lengthMax
        for byte in token.utf8 {
            guard let digit = Hexadecimal.value(of: byte) else {
                isFine = false
                break
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard isFine, text.first == kind else {
            throw .badPageToken
        }
        return String(text.dropFirst())
    }

    /// A number that `token` holds.
    static func number(_ kind: Character, _ token: String) throws(Problem) -> UInt64 {
        guard let number = UInt64(try self.key(kind, token)) else { throw .badPageToken }
        return number
    }

    /// A timer's place in the order of its list.
    static func make(_ watermark: Watermark) -> String {
        self.make("t", "\(watermark.instant.milliseconds).\(watermark.tie.hex)")
    }

    static func watermark(_ token: String) throws(Problem) -> Watermark {
        let parts = try self.key("t", token).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let milliseconds = Int64(parts[0]), let tie = UID(text: parts[1]) else {
            throw .badPageToken
        }
        return Watermark(instant: WallInstant(milliseconds: milliseconds), tie: tie)
    }
}
