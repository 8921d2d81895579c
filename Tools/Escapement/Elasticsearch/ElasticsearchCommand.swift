import ArgumentParser
import ElasticsearchStore
import ServiceConfiguration

/// `escapement es`: what Elasticsearch must have before records are written.
struct ElasticsearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "es",
        abstract: "Prepare Elasticsearch or OpenSearch for activation records, or say how it stands.",
        discussion: """
            The server is named as for the dispatcher: ELASTICSEARCH_URL, ELASTICSEARCH_USERNAME, \
            ELASTICSEARCH_PASSWORD_FILE or ELASTICSEARCH_API_KEY_FILE, ELASTICSEARCH_CA_FILE; what is made follows \
            ESCAPEMENT_ACTIVATIONS_INDEX, _RETENTION and _FORMAT.
            """,
        subcommands: [ElasticsearchSetupCommand.self, ElasticsearchCheckCommand.self])

    /// The client and what the store must have.
    ///
    /// - Throws: `ExitCode` 78 after saying every problem.
    static func store() throws -> (client: ElasticsearchClient, setup: StoreSetup) {
        let settings: ElasticsearchConfiguration
        do {
            settings = try ElasticsearchConfiguration.load(from: .process(flags: [:])).model
        } catch {
            error.report()
            throw ExitCode(ConfigurationRefusal.exitCode)
        }
        let form: StoreSetup.Form =
            switch settings.activations.format {
            case .native: .native(prefix: settings.activations.index)
            case .openWhisk: .openWhisk(pattern: settings.activations.openWhiskIndexPattern)
            }
        return (
            try ElasticsearchConnection.client(settings.elasticsearch),
            StoreSetup(form: form, retentionDays: settings.activations.retentionDays)
        )
    }
}

/// The settings of the store alone: those of a whole dispatcher would be asked for in vain.
private struct ElasticsearchConfiguration: ReadableConfiguration {
    var elasticsearch: ElasticsearchSettings
    var activations: ActivationSettings

    init(reading reader: inout ConfigurationReader) {
        self.elasticsearch = ElasticsearchSettings(reading: &reader)
        self.activations = ActivationSettings(reading: &reader)
    }
}
