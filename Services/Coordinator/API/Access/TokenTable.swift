package import EscapementModel

/// The tokens that a cluster knows, by their hashes.
///
/// One line per token: `SHA256 NAME ROLE NAMESPACES [expires=INSTANT]`, where the hash is 64 hexadecimal digits
/// of the token's bytes, the role one of viewer, operator, editor, admin, and the namespaces a list with commas
/// or `*`. Empty lines and lines that begin with `#` count for nothing. A token has hundreds of random bits, so
/// a slow hash would protect nothing.
package struct TokenTable: Sendable {
    package struct Entry: Sendable {
        package var digest: [UInt8]
        package var caller: Caller
        package var expires: WallInstant?
    }

    /// A line that was not understood; never with its content.
    package struct Fault: Hashable, Sendable {
        package var line: Int
        package var detail: String
    }

    /// Tokens of one file, at most.
    package static let entriesMax = 10_000

    package private(set) var entries: [Entry] = []

    package init() {}

    /// Reads a file's text. Lines with faults are left out.
    package static func parse(_ text: String) -> (table: TokenTable, faults: [Fault]) {
        var table = TokenTable()
        var faults: [Fault] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            if words.isEmpty || words[0].hasPrefix("#") { continue }
            if table.entries.count >= self.entriesMax {
                faults.append(Fault(line: index + 1, detail: "only the first \(self.entriesMax) tokens count"))
                break
            }
            switch self.entry(words) {
            case .success(let entry): table.entries.append(entry)
            case .failure(let refusal): faults.append(Fault(line: index + 1, detail: refusal.detail))
            }
        }
        return (table, faults)
    }

    /// The caller whose token this is; `nil` for an unknown or expired one. Looks at every entry, and at every
    /// byte of it, whatever matches.
    package func caller(token: String, now: WallInstant) -> Caller? {
        var hash = SHA256()
        hash.update(token.utf8)
        let digest = hash.finish()
        var found: Entry?
        for entry in self.entries {
            var difference: UInt8 = 0
            for (left, right) in zip(entry.digest, digest) { difference |= left ^ right }
            if difference == 0 { found = entry }
        }
        guard let found, found.expires.map({ now < $0 }) ?? true else { return nil }
        return found.caller
    }

    private struct Refusal: Error {
        var detail: String
    }

    private static func entry(_ words: [String]) -> Result<Entry, Refusal> {
        guard words.count == 4 || words.count == 5 else {
            return .failure(Refusal(detail: "needs hash, name, role, namespaces and at most expires=INSTANT"))
        }
        guard words[0].utf8.count == 64, let high = UID(text: words[0].prefix(32)),
            let low = UID(text: words[0].suffix(32))
        else { return .failure(Refusal(detail: "the hash is not 64 hexadecimal digits")) }
        if let fault = NameGrammar.fault(in: words[1]) { return .failure(Refusal(detail: "the name \(fault)")) }
        guard let role = APIRole(rawValue: words[2]) else {
            let roles = APIRole.allCases.map(\.rawValue).joined(separator: ", ")
            return .failure(Refusal(detail: "the role is none of \(roles)"))
        }
        let namespaces: Caller.Namespaces
        if words[3] == "*" {
            namespaces = .all
        } else {
            let names = words[3].split(separator: ",").map(String.init)
            for name in names {
                if let fault = NameGrammar.fault(in: name) {
                    return .failure(Refusal(detail: "a namespace \(fault)"))
                }
            }
            if names.isEmpty { return .failure(Refusal(detail: "there is no namespace")) }
            namespaces = .only(names)
        }
        var expires: WallInstant?
        if words.count == 5 {
            guard words[4].hasPrefix("expires="), let instant = WallInstant(text: words[4].dropFirst(8)) else {
                return .failure(Refusal(detail: "the fifth word is not expires=INSTANT"))
            }
            expires = instant
        }
        let digest = [high.high, high.low, low.high, low.low].flatMap { part in
            (0..<8).map { UInt8(truncatingIfNeeded: part >> (UInt64(7 - $0) * 8)) }
        }
        let caller = Caller(identity: "token:\(words[1])", role: role, namespaces: namespaces)
        return .success(Entry(digest: digest, caller: caller, expires: expires))
    }
}
