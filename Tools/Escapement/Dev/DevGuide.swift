/// What a newcomer is told when everything runs.
enum DevGuide {
    static let lastLine = "Ctrl-C stops everything ('./dev down' what runs in the background); the data stays."

    static func text(for report: DevReport) -> String {
        var lines = ["", "Escapement is ready.", ""]
        lines.append("  API            \(report.apiURL)")
        lines.append("  console        \(report.apiURL)/console/  (sign in with the token)")
        lines.append("  token          \(report.tokenFile)")
        lines.append("  CA             \(report.authorityFile)")
        if let kafka = report.kafka {
            lines.append(
                "  Kafka          \(kafka.bootstrapServers)  (SASL_SSL, \(kafka.mechanism), user \(kafka.username),")
            lines.append("                 password in \(kafka.passwordFile))")
        }
        if let store = report.elasticsearch {
            lines.append("  Elasticsearch  \(store.url)  (user \(store.username), password in \(store.passwordFile))")
        }
        if let postgres = report.postgres {
            lines.append("  PostgreSQL     \(postgres.connectionString)")
            lines.append("                 (password in \(postgres.passwordFile))")
        }
        lines.append("  all of it      \(report.dataFolder)/dev.json")
        lines += ["", "Try, in another terminal:", ""]
        lines.append("  alias escapement=\"$PWD/.build/release/escapement\"")
        lines.append(
            "  escapement schedule create tick --cron '* * * * * *' --action /guest/hello --payload '{\"n\":1}'")
        lines.append("  escapement timer create --delay 2s --action /guest/remind --payload '{\"order\":8841}'")
        lines.append("  escapement activation tail")
        lines += ["", Self.lastLine, ""]
        return lines.joined(separator: "\n")
    }
}
