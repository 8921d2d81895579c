/// The reference page of all settings, made from the code that reads them: docs/configuration-reference.md.
package enum ConfigurationReference {
    /// Settings without a meaning and meanings without a setting; empty unless somebody forgot one.
    package static var gaps: [String] {
        let names = Set(self.rows().map(\.description.name))
        return names.symmetricDifference(SettingMeanings.all.keys).sorted()
    }

    /// The whole page, Markdown.
    package static func markdown() -> String {
        let rows = self.rows()
        var text = """
            # Configuration reference

            Every setting, made from the code that reads it by `escapement config reference`; [configuration.md](configuration.md)
            explains how they work together. Each is a variable of the environment, a key of the configuration file, and a flag:
            `ESCAPEMENT_HTTP_LISTEN`, `http.listen`, `--http-listen`. A secret has no flag and no key of its own; its file has:
            `KAFKA_SASL_PASSWORD_FILE`, `kafka.saslPasswordFile`, `--kafka-sasl-password-file`.

            """
        for (title, isIn) in self.sections {
            text += "\n## \(title)\n\n"
            text += "| Variable | Key in the file | Value | Default | Roles | Meaning |\n"
            text += "| --- | --- | --- | --- | --- | --- |\n"
            for row in rows where isIn(row.description.name) { text += self.line(row) }
        }
        return text
    }

    private struct Row {
        var description: SettingDescription
        var roles: [String]
    }

    /// A variable is in the first section that takes it.
    private static let sections: [(title: String, isIn: @Sendable (String) -> Bool)] = [
        ("Escapement", { $0.hasPrefix("ESCAPEMENT_") }),
        ("Kafka", { $0.hasPrefix("KAFKA_") }),
        ("Elasticsearch", { $0.hasPrefix("ELASTICSEARCH_") }),
        ("PostgreSQL", { $0.hasPrefix("PG") || $0.hasPrefix("DATABASE_") }),
        ("Telemetry", { $0.hasPrefix("OTEL_") }),
        ("From Kubernetes", { $0.hasPrefix("KUBERNETES_") }),
    ]

    private static func rows() -> [Row] {
        let perRole = [
            ("C", self.descriptions(of: CoordinatorConfiguration.self)),
            ("T", self.descriptions(of: TickerConfiguration.self)),
            ("D", self.descriptions(of: DispatcherConfiguration.self)),
        ]
        var rows: [String: Row] = [:]
        for (role, descriptions) in perRole {
            for description in descriptions {
                rows[description.name, default: Row(description: description, roles: [])].roles.append(role)
            }
        }
        rows[ConfigurationReader.fileVariable] = Row(
            description: SettingDescription(
                name: ConfigurationReader.fileVariable, expected: "a file", fallback: "", isSecret: false, aliases: []),
            roles: perRole.map(\.0))
        return rows.values.sorted { $0.description.name < $1.description.name }
    }

    private static func descriptions<Configuration: ReadableConfiguration>(
        of type: Configuration.Type
    ) -> [SettingDescription] {
        var reader = ConfigurationReader(ConfigurationSources(hostName: "HOSTNAME"))
        _ = Configuration(reading: &reader)
        return reader.descriptions
    }

    private static func line(_ row: Row) -> String {
        let description = row.description
        let name = description.isSecret ? "`\(description.name)`, `\(description.name)_FILE`" : "`\(description.name)`"
        let path = ConfigurationPath.path(of: description.isSecret ? description.name + "_FILE" : description.name)
        let fallback = description.fallback.isEmpty ? "" : "`\(description.fallback)`"
        var meaning = SettingMeanings.all[description.name] ?? ""
        if !description.aliases.isEmpty {
            meaning += " Taken with a warning: \(description.aliases.map { "`\($0)`" }.joined(separator: ", "))."
        }
        let roles = row.roles.count == 3 ? "all" : row.roles.joined(separator: ", ")
        let cells = [
            name, path.map { "`\($0)`" } ?? "", description.expected, fallback, roles, meaning,
        ]
        return "| " + cells.map { self.escape($0) }.joined(separator: " | ") + " |\n"
    }

    private static func escape(_ cell: String) -> String { String(cell.flatMap { $0 == "|" ? "\\|" : "\($0)" }) }
}
