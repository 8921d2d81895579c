/// Where a value came from.
package enum ConfigurationOrigin: Equatable, Sendable, CustomStringConvertible {
    case `default`
    case environment(String)
    case flag(String)
    /// A secret's file; the variable that names it.
    case file(String, variable: String)

    package var description: String {
        switch self {
        case .default: "default"
        case .environment(let name): "environment \(name)"
        case .flag(let name): "flag --\(name)"
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

    /// `NAME=value  # origin`, a line each, secrets masked.
    package var listing: String {
        self.entries.map { "\($0.name)=\($0.value)  # \($0.origin)\n" }.joined()
    }
}
