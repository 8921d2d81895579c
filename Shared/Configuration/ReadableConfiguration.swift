/// A service's settings: a plain value that can be read from sources.
package protocol ReadableConfiguration: Sendable {
    /// Reads every setting, noting problems in `reader`. Called with empty sources to learn the names.
    init(reading reader: inout ConfigurationReader)
}

extension ReadableConfiguration {
    /// Reads and checks everything.
    ///
    /// - Throws: `ConfigurationRefusal` with every problem found, unknown flags and unknown `ESCAPEMENT_`
    ///   variables among them.
    package static func load(
        from sources: ConfigurationSources
    ) throws(ConfigurationRefusal) -> LoadedConfiguration<Self> {
        var reader = ConfigurationReader(sources)
        let model = Self(reading: &reader)
        let problems =
            reader.problems + Self.unknownVariables(reader) + Self.unknownFlags(reader)
        if !problems.isEmpty { throw ConfigurationRefusal(problems) }
        return LoadedConfiguration(
            model: model, entries: reader.entries.sorted { $0.name < $1.name }, warnings: reader.warnings)
    }

    /// Variables of the other services are fine: one block of variables may serve all of them.
    private static func unknownVariables(_ reader: ConfigurationReader) -> [ConfigurationProblem] {
        let known = reader.knownNames.union(KnownNames.all)
        return reader.sources.environment.keys.sorted()
            .filter { $0.hasPrefix("ESCAPEMENT_") && !known.contains($0) && !ServiceLink.hasShape($0) }
            .map { name in
                let candidates = known.filter { $0.hasPrefix("ESCAPEMENT_") }
                let remedy = Suggestion.nearest(to: name, among: candidates).map { "did you mean \($0)?" }
                return ConfigurationProblem(
                    name, "is not a setting", remedy: remedy ?? "unset it, or see docs/configuration.md")
            }
    }

    private static func unknownFlags(_ reader: ConfigurationReader) -> [ConfigurationProblem] {
        reader.sources.flags.keys.sorted().filter { !reader.knownFlags.contains($0) }.map { name in
            let remedy = Suggestion.nearest(to: name, among: reader.knownFlags).map { "did you mean --\($0)?" }
            return ConfigurationProblem(
                "--\(name)", "is not a flag of this service", remedy: remedy ?? "see docs/configuration.md")
        }
    }
}

/// The variables of all our programs.
package enum KnownNames {
    /// Names that a service reads, and those of the command line, which may stand in the same environment.
    package static let all: Set<String> = {
        var names: Set<String> = [
            "ESCAPEMENT_SERVER", "ESCAPEMENT_CONTEXT", "ESCAPEMENT_NAMESPACE", "ESCAPEMENT_TOKEN",
            "ESCAPEMENT_TOKEN_FILE",
        ]
        names.formUnion(KnownNames.names(of: CoordinatorConfiguration.self))
        names.formUnion(KnownNames.names(of: TickerConfiguration.self))
        names.formUnion(KnownNames.names(of: DispatcherConfiguration.self))
        return names
    }()

    private static func names<Configuration: ReadableConfiguration>(of type: Configuration.Type) -> Set<String> {
        var reader = ConfigurationReader(ConfigurationSources())
        _ = Configuration(reading: &reader)
        return reader.knownNames
    }
}
