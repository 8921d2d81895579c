import EscapementModel

/// One step of the schema, forward only. Once released its text never changes: the checksum is stored.
struct Migration: Sendable {
    let version: Int
    /// What it does, in a few words.
    let name: String
    /// Run one after the other in one transaction, with the schema as `search_path`.
    let statements: [String]

    /// SHA-256 over the statements, in hexadecimal. Statements are separated, so that none can flow into the next.
    var checksum: String {
        var hash = SHA256()
        for statement in self.statements {
            hash.update(statement.utf8)
            hash.update(0)
        }
        return Hexadecimal.text(hash.finish())
    }

    /// All, by version from 1 without a gap. A new one is appended here, in a file of its own.
    static let all: [Migration] = [.initialTables, .laneCheckpoints, .namesOfEndedSchedules]

    /// The version that this build needs.
    static let latestVersion = all.count
}
