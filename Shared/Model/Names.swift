/// The grammar of names that users choose. Strict, so that a name is safe in a path, a topic key, an
/// index name and a log line without escaping.
package enum NameGrammar {
    /// Why a name is refused, as a phrase that follows the field's name; `nil` when it is fine.
    ///
    /// Namespaces and schedules: 1 to 128 of letters, digits, `.`, `_`, `-`, starting with a letter or
    /// digit. The namespace `_` stands for the caller's own and never reaches storage.
    package static func fault(in name: String) -> String? {
        if name.isEmpty { return "must not be empty" }
        if name.utf8.count > 128 { return "must have at most 128 characters, this one has \(name.utf8.count)" }
        for (index, byte) in name.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                continue
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                if index == 0 { return "must start with a letter or a digit" }
            default:
                return "may hold only letters, digits, '.', '_' and '-'"
            }
        }
        return nil
    }
}
