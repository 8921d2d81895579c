import JSON

/// The server that this one stands in for. What differs between them, as far as we use it, is a property here.
///
/// After the "breaking changes" pages of Elasticsearch 7.0, 7.3, 7.8 and 8.0 and OpenSearch's API reference.
package struct ServerDialect: Hashable, Sendable {
    package enum Product: String, Hashable, Sendable, CaseIterable {
        case elasticsearch
        /// Without what is under Elastic's own licence.
        case elasticsearchBare = "elasticsearch-oss"
        case openSearch = "opensearch"
    }

    package static let standard = ServerDialect(.elasticsearch, 8, 17)

    package var product: Product
    package var major: Int
    package var minor: Int
    /// As with `xpack.ilm.enabled: false`: the addresses of policies are not there, their settings are.
    package var isLifecycleSwitchedOff = false

    package init(_ product: Product, _ major: Int, _ minor: Int) {
        self.product = product
        self.major = major
        self.minor = minor
    }

    /// Reads `elasticsearch-6.8`, `elasticsearch-oss-7.10` or `opensearch-2.11`.
    ///
    /// - Returns: `nil` for anything else, and for versions that nobody stands in for.
    package init?(text: String) {
        let parts = text.split(separator: "-")
        let product = Product(rawValue: parts.dropLast().joined(separator: "-"))
        let numbers = (parts.last ?? "").split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard let product, numbers.count == 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(product, major, minor)
        guard product == .openSearch ? (1...3).contains(major) : self.isAtLeast(6, 8) && major <= 9 else { return nil }
    }

    private var isOpenSearch: Bool { self.product == .openSearch }

    private func isAtLeast(_ major: Int, _ minor: Int) -> Bool { (self.major, self.minor) >= (major, minor) }

    /// Elasticsearch from this version on, and every OpenSearch, which began as Elasticsearch 7.10.
    private func isSince(_ major: Int, _ minor: Int) -> Bool { self.isOpenSearch || self.isAtLeast(major, minor) }

    /// What `GET /` shows.
    var version: String { "\(self.major).\(self.minor).0" }

    // MARK: Types

    /// Mappings lie under the name of a type, and writes name it.
    var hasTypes: Bool { !self.isSince(7, 0) }
    /// A bulk action may still name the type `_doc`.
    var toleratesTypes: Bool { self.isOpenSearch ? self.major < 2 : self.major < 8 }

    // MARK: Templates and policies

    var hasComposableTemplates: Bool { self.isSince(7, 8) }
    var hasLifecyclePolicies: Bool { self.product == .elasticsearch }
    var servesLifecyclePolicies: Bool { self.hasLifecyclePolicies && !self.isLifecycleSwitchedOff }
    var hasStatePolicies: Bool { self.isOpenSearch }

    /// `nil` for a field type that every server knows.
    func knows(fieldType name: String) -> Bool? {
        switch name {
        case "flattened": self.product == .elasticsearch && self.isAtLeast(7, 3)
        case "flat_object": self.isOpenSearch && self.isAtLeast(2, 7)
        case "wildcard": self.isOpenSearch ? self.isAtLeast(2, 15) : self.hasLifecyclePolicies && self.isAtLeast(7, 9)
        case "match_only_text": self.isOpenSearch ? self.isAtLeast(2, 12) : self.isAtLeast(7, 14)
        default: nil
        }
    }

    /// - Parameter name: in full, with `index.`.
    func knows(setting name: String) -> Bool {
        if name == "index.lifecycle.parse_origination_date" || name == "index.lifecycle.origination_date" {
            return self.hasLifecyclePolicies && self.isAtLeast(7, 5)
        }
        return !name.hasPrefix("index.lifecycle.") || self.hasLifecyclePolicies
    }

    // MARK: Search

    /// `hits.total` is an object, and counting may stop at a bound.
    var hasBoundedTotals: Bool { self.isSince(7, 0) }
    /// Histograms over time take `fixed_interval` and `calendar_interval`.
    var hasFixedIntervals: Bool { self.isSince(7, 2) }
    /// Histograms over time still take `interval`.
    var hasPlainIntervals: Bool { self.isOpenSearch || self.major < 8 }

    enum PointInTime: Hashable, Sendable {
        /// `POST /index/_pit`, `DELETE /_pit`.
        case elasticsearch
        /// `POST /index/_search/point_in_time`, `DELETE /_search/point_in_time`.
        case openSearch
    }

    var pointInTime: PointInTime? {
        switch self.product {
        case .openSearch: self.isAtLeast(2, 4) ? .openSearch : nil
        case .elasticsearch: self.isAtLeast(7, 10) ? .elasticsearch : nil
        case .elasticsearchBare: nil
        }
    }

    // MARK: Answers

    /// How an answer words that there may be no more shards.
    var shardsAdded: String { self.countsNormalShards ? "shards" : "total shards" }
    var shardsOpen: String { self.countsNormalShards ? "maximum normal shards open" : "maximum shards open" }
    private var countsNormalShards: Bool { self.product == .elasticsearch && self.isAtLeast(7, 15) }

    /// A disk that is full: 403 became 429.
    var fullDiskStatus: Int { self.isSince(7, 7) ? 429 : 403 }

    /// The header by which Elastic's own clients know the server.
    var showsProduct: Bool { !self.isOpenSearch && self.isAtLeast(7, 14) }

    /// The answer of `GET /`.
    var greeting: JSONValue {
        var version: [JSONMember] = [JSONMember("number", .string(self.version))]
        switch self.product {
        case .elasticsearch: version.append(JSONMember("build_flavor", "default"))
        case .elasticsearchBare: version.append(JSONMember("build_flavor", "oss"))
        case .openSearch: version.insert(JSONMember("distribution", "opensearch"), at: 0)
        }
        version += [
            JSONMember("build_type", "docker"), JSONMember("build_hash", "dev"), JSONMember("build_snapshot", false),
        ]
        return [
            "name": .string(Node.name), "cluster_name": "dev-elasticsearch", "cluster_uuid": "dev-elasticsearch",
            "version": .object(version),
            "tagline": self.isOpenSearch
                ? "The OpenSearch Project: https://opensearch.org/" : "You Know, for Search",
        ]
    }
}
