package import JSON

/// What answers at the address, and how it differs from its relatives: Elasticsearch 6.8 to 9, OpenSearch 1 to 3.
///
/// Read from `GET /`. Every difference that matters to us is a property here, so that the requests ask for a
/// property and never for a version.
package struct StoreServer: Hashable, Sendable, CustomStringConvertible {
    package enum Product: String, Hashable, Sendable {
        case elasticsearch = "Elasticsearch"
        case openSearch = "OpenSearch"
    }

    package var product: Product
    package var major: Int
    package var minor: Int
    /// The distribution without the features under Elastic's own licence: no lifecycle policies, no `flattened`.
    package var isBare: Bool

    package init(_ product: Product, _ major: Int, _ minor: Int, isBare: Bool = false) {
        self.product = product
        self.major = major
        self.minor = minor
        self.isBare = isBare
    }

    /// Reads the answer of `GET /`.
    ///
    /// - Parameter assumed: what the configuration says; `nil` believes the answer. OpenSearch can be set to call
    ///   itself Elasticsearch 7.10, so it can be necessary to say.
    /// - Throws: `ElasticsearchError` for something else, or a version that we do not speak.
    package init(answer: JSONValue, assumed: Product? = nil) throws(ElasticsearchError) {
        guard let version = answer["version"], let number = version["number"]?.stringValue else {
            throw ElasticsearchError(
                status: 200, detail: "what answers there is not Elasticsearch: its greeting has no version.number")
        }
        let parts = number.split(separator: ".").map { Int($0.prefix { $0.isASCII && $0.isNumber }) }
        guard parts.count >= 2, let major = parts[0], let minor = parts[1] else {
            throw ElasticsearchError(
                status: 200, detail: "Elasticsearch's version '\(number.prefix(40))' cannot be read")
        }
        let says: Product = version["distribution"]?.stringValue == "opensearch" ? .openSearch : .elasticsearch
        self.init(
            assumed ?? says, major, minor, isBare: version["build_flavor"]?.stringValue == "oss")
        // An OpenSearch in disguise shows the version of the Elasticsearch that it is like.
        if assumed == .openSearch, says == .elasticsearch { (self.major, self.minor) = (1, 0) }
        let isSpoken = self.product == .openSearch ? self.major >= 1 : self.isAtLeast(6, 8)
        guard isSpoken else {
            throw ElasticsearchError(
                status: 200,
                detail: "\(self) is too old: Elasticsearch 6.8 or later, or OpenSearch 1 or later, is needed")
        }
    }

    package var description: String { "\(self.product.rawValue) \(self.major).\(self.minor)" }

    private func isAtLeast(_ major: Int, _ minor: Int) -> Bool { (self.major, self.minor) >= (major, minor) }

    /// Elasticsearch 6 wants a type with every document and above every mapping.
    package var documentType: String? { self.product == .elasticsearch && self.major < 7 ? "_doc" : nil }

    /// `_index_template` instead of `_template`.
    package var hasComposableTemplates: Bool { self.product == .openSearch || self.isAtLeast(7, 8) }

    /// `track_total_hits` may be a number: count so far and no further.
    package var countsUpToBound: Bool { self.product == .openSearch || self.major >= 7 }

    /// Histograms over time take `fixed_interval`.
    package var hasFixedIntervals: Bool { self.product == .openSearch || self.isAtLeast(7, 2) }

    /// The field type for an object of unknown keyword members, such as labels; `nil` where there is none.
    package var flattenedType: String? {
        switch self.product {
        case .openSearch: self.isAtLeast(2, 7) ? "flat_object" : nil
        case .elasticsearch: self.isAtLeast(7, 3) && !self.isBare ? "flattened" : nil
        }
    }

    package enum Lifecycle: Hashable, Sendable {
        /// Index lifecycle management; the policy is named in the index's settings.
        case ilm
        /// Index state management; the policy names the indices.
        case ism
        /// Somebody else has to delete old indices.
        case none
    }

    /// How old indices are deleted.
    package var lifecycle: Lifecycle {
        switch self.product {
        case .openSearch: .ism
        case .elasticsearch: self.isBare ? .none : .ilm
        }
    }

    /// An index's age can count from the date in its name.
    package var readsDateOfName: Bool { self.lifecycle == .ilm && self.isAtLeast(7, 5) }
}
