/// Where a value came from.
package enum ConfigurationOrigin: Equatable, Sendable, CustomStringConvertible {
    case `default`
    case environment(String)
    case flag(String)
    /// A key of the configuration file.
    case configuration(String, file: String, line: Int)
    /// A secret's file; the variable that names it.
    case file(String, variable: String)

    package var description: String {
        switch self {
        case .default: "default"
        case .environment(let name): "environment \(name)"
        case .flag(let name): "flag --\(name)"
        case .configuration(let key, let file, let line): "\(key) in \(file):\(line)"
        case .file(let path, let variable): "file \(path) (\(variable))"
        }
    }
}

/// One setting as it is in effect, for `--print-config`.
package struct ConfigurationEntry: Equatable, Sendable {
    /// The variable: `ESCAPEMENT_HTTP_LISTEN`.
    package var name: String
    /// As text; `********` for a secret that is set, empty when not set.
    package var value: String
    package var origin: ConfigurationOrigin
}

/// A configuration with how it came about.
package struct LoadedConfiguration<Model: Sendable>: Sendable {
    package var model: Model
    /// Every key the service reads, sorted by name.
    package var entries: [ConfigurationEntry]
    /// What works but should change: aliases, clear-text passwords. Log each once at start.
    package var warnings: [ConfigurationProblem]
    /// Old names and other people's that were used: `escapement_config_deprecated_keys`.
    package var deprecatedKeyCount: Int

    /// `NAME=value  # origin`, a line each, secrets masked.
    package var listing: String {
        self.entries.map { "\($0.name)=\($0.value)  # \($0.origin)\n" }.joined()
    }

    /// 16 hexadecimal digits that are equal on members whose settings are, what is their own and secrets left out:
    /// FNV-1a over names and values.
    package var fingerprint: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for entry in self.entries where !OwnToEachMember.names.contains(entry.name) {
            for byte in "\(entry.name)=\(entry.value)\n".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// Settings that differ between members by nature.
private enum OwnToEachMember {
    static let names: Set<String> = [
        "ESCAPEMENT_INSTANCE_ID", "ESCAPEMENT_ZONE", "ESCAPEMENT_CLUSTER_ADVERTISE", "ESCAPEMENT_CLUSTER_LISTEN",
        "ESCAPEMENT_HTTP_LISTEN", "ESCAPEMENT_HTTP_ADMIN_LISTEN", "ESCAPEMENT_READY_FILE", "ESCAPEMENT_CONFIG_FILE",
        "KAFKA_CLIENT_ID",
    ]
}
