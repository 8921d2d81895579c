/// What becomes of activation records: the same for the dispatcher, which writes them, and for the command that
/// prepares the store.
package struct ActivationSettings: Sendable {
    /// The beginning of the names of activation indices.
    package var index: String
    /// How long activation records are kept.
    package var retention: Duration
    package var format: ActivationFormat
    /// Names of OpenWhisk's indices, `%s` standing for the namespace.
    package var openWhiskIndexPattern: String

    package init(
        index: String = "escapement-activations", retention: Duration = .seconds(30 * 86_400),
        format: ActivationFormat = .native, openWhiskIndexPattern: String = "openwhisk-%s"
    ) {
        self.index = index
        self.retention = retention
        self.format = format
        self.openWhiskIndexPattern = openWhiskIndexPattern
    }

    package init(reading reader: inout ConfigurationReader) {
        self.init()
        self.index = reader.value(
            "ESCAPEMENT_ACTIVATIONS_INDEX", default: self.index,
            expected: "1 to 100 lower-case letters, digits, '-', '_' and '.', starting with a letter or digit",
            show: { $0 }, parse: { Self.isIndexName($0) ? $0 : nil })
        self.retention = reader.duration(
            "ESCAPEMENT_ACTIVATIONS_RETENTION", default: self.retention,
            in: .seconds(86_400)...(.seconds(3650 * 86_400)))
        self.format = reader.choice("ESCAPEMENT_ACTIVATIONS_FORMAT", default: self.format)
        self.openWhiskIndexPattern =
            OpenWhiskVariable.read(OpenWhiskElasticsearch.prefix + "indexPattern", &reader)
            ?? self.openWhiskIndexPattern
    }

    /// The retention in whole days, rounded up.
    package var retentionDays: Int { Int((self.retention / .seconds(86_400)).rounded(.up)) }

    private static func isIndexName(_ text: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (97...122).contains(byte) }
        return (1...100).contains(text.utf8.count) && text.utf8.first.map(isWord) == true
            && text.utf8.allSatisfy {
                isWord($0) || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains($0)
            }
    }
}
