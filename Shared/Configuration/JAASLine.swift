/// One entry of Java's login configuration, as Kafka clients take it in `sasl.jaas.config`:
/// `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";`
struct JAASLine {
    /// Without its package: `PlainLoginModule`.
    var module: String
    var options: [String: String]

    /// `nil` for anything that is not one such entry.
    init?(_ text: String) {
        var rest = Substring(text)
        guard let className = Self.word(&rest), let flag = Self.word(&rest),
            ["required", "requisite", "sufficient", "optional"].contains(flag.lowercased())
        else { return nil }
        self.module = className.split(separator: ".").last.map { String($0) } ?? ""
        self.options = [:]
        while true {
            Self.skipSpace(&rest)
            if rest.first == ";" {
                rest.removeFirst()
                Self.skipSpace(&rest)
                guard rest.isEmpty else { return nil }
                return
            }
            guard let name = Self.word(&rest, until: "="), rest.popFirst() == "=", let value = Self.value(&rest) else {
                return nil
            }
            self.options[name] = value
        }
    }

    private static func skipSpace(_ rest: inout Substring) {
        while rest.first?.isWhitespace == true { rest.removeFirst() }
    }

    private static func word(_ rest: inout Substring, until stop: Character? = nil) -> String? {
        self.skipSpace(&rest)
        let word = rest.prefix { !$0.isWhitespace && $0 != ";" && $0 != "\"" && $0 != stop }
        rest = rest.dropFirst(word.count)
        return word.isEmpty ? nil : String(word)
    }

    /// In double or single quotes with backslash escapes, or one word.
    private static func value(_ rest: inout Substring) -> String? {
        guard let quote = rest.first, quote == "\"" || quote == "'" else { return self.word(&rest) }
        rest.removeFirst()
        var value = ""
        while let character = rest.popFirst() {
            if character == quote { return value }
            if character == "\\" {
                guard let escaped = rest.popFirst() else { return nil }
                value.append(escaped)
            } else {
                value.append(character)
            }
        }
        return nil
    }
}
