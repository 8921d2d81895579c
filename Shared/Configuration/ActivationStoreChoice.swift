/// Activation records live in Elasticsearch and nowhere else. Someone who asks for another store, also in
/// OpenWhisk's words, must learn it at start-up and not from missing history.
enum ActivationStoreChoice {
    private static let ownName = "ESCAPEMENT_ACTIVATION_STORE"
    private static let openWhiskActivationStore = "CONFIG_whisk_spi_ActivationStoreProvider"
    private static let openWhiskArtifactStore = "CONFIG_whisk_spi_ArtifactStoreProvider"

    /// Refuses every other choice, in one line however many variables make it.
    static func check(_ reader: inout ConfigurationReader) {
        var choices: [(name: String, value: String)] = []
        let own = reader.text(self.ownName, default: "elasticsearch") ?? ""
        if own.lowercased() != "elasticsearch" { choices.append((self.ownName, own)) }
        for name in [self.openWhiskActivationStore, self.openWhiskArtifactStore] {
            guard let value = reader.foreign(name) else { continue }
            // A class name such as …database.elasticsearch.ElasticSearchActivationStoreProvider.
            let className = value.split(separator: ".").last ?? ""
            if !className.lowercased().hasPrefix("elasticsearch") { choices.append((name, value)) }
        }
        guard let first = choices.first else { return }
        let others = choices.dropFirst().map { " (and \($0.name))" }.joined()
        reader.refuse(
            first.name,
            "is '\(first.value)'\(others), but activations are stored in Elasticsearch only; CouchDB and other stores "
                + "do not work",
            remedy: "unset it and set ELASTICSEARCH_URL, see docs/activation-store.md")
    }

    /// Whether `check` refused: then a missing Elasticsearch address is not worth a second line.
    static func isRefused(in reader: ConfigurationReader) -> Bool {
        let names = [self.ownName, self.openWhiskActivationStore, self.openWhiskArtifactStore]
        return reader.problems.contains { names.contains($0.name) }
    }
}
