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
        let examined = self.examine(sources)
        if !examined.problems.isEmpty { throw ConfigurationRefusal(examined.problems) }
        return examined.loaded
    }

    /// Everything that can be said about `sources`, also when they cannot be used: every problem next to what would be
    /// in effect.
    package static func examine(
        _ sources: ConfigurationSources
    ) -> (loaded: LoadedConfiguration<Self>, problems: [ConfigurationProblem]) {
        var reader = ConfigurationReader(sources)
        let model = Self(reading: &reader)
        let old = sources.deprecated.filter { reader.uses($0) }
        for setting in old {
            reader.warn(
                setting.name, "is an old name, refused from version \(setting.removal) on",
                remedy: "set \(setting.replacement) instead")
        }
        let origins = Dictionary(uniqueKeysWithValues: reader.entries.map { ($0.name, $0.origin) })
        let problems = reader.problems.map { problem in
            var problem = problem
            if case .configuration(let key, let file, let line) = origins[problem.name] {
                problem.name = "\(key) (\(file):\(line))"
            }
            return problem
        }
        return (
            LoadedConfiguration(
                model: model, entries: reader.entries.sorted { $0.name < $1.name }, warnings: reader.warnings,
                deprecatedKeyCount: old.count + reader.usedAliases.count),
            problems + (sources.file?.problems ?? []) + Self.unknownVariables(reader) + Self.unknownFlags(reader)
        )
    }

    /// Variables of the other services are fine: one block of variables may serve all of them.
    private static func unknownVariables(_ reader: ConfigurationReader) -> [ConfigurationProblem] {
        let known = reader.knownNames.union(KnownNames.all).union(reader.sources.deprecated.map(\.name))
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
        reader.sources.flags.keys.sorted().filter { name in
            !reader.knownFlags.contains(name)
                && !reader.sources.deprecated.contains { ConfigurationReader.flagName(of: $0.name) == name }
        }.map { name in
            let remedy = Suggestion.nearest(to: name, among: reader.knownFlags).map { "did you mean --\($0)?" }
            return ConfigurationProblem(
                "--\(name)", "is not a flag of this service", remedy: remedy ?? "see docs/configuration.md")
        }
    }
}

/// The variables of all our programs.
package enum KnownNames {
    /// Names that a service reads, and those of the command line, which may stand in the same environment.
    package static let all: Set<String> = KnownNames.services.union([
        "ESCAPEMENT_SERVER", "ESCAPEMENT_NAMESPACE", "ESCAPEMENT_TLS_CA", "ESCAPEMENT_TOKEN",
        "ESCAPEMENT_TOKEN_FILE",
    ])

    /// Names that a service reads.
    package static let services: Set<String> = KnownNames.names(of: CoordinatorConfiguration.self)
        .union(KnownNames.names(of: TickerConfiguration.self))
        .union(KnownNames.names(of: DispatcherConfiguration.self))

    private static func names<Configuration: ReadableConfiguration>(of type: Configuration.Type) -> Set<String> {
        var reader = ConfigurationReader(ConfigurationSources())
        _ = Configuration(reading: &reader)
        return reader.knownNames
    }
}
