package import DevElasticsearch
package import ElasticsearchStore
import EscapementModel
package import HTTPClient
package import ServiceConfiguration
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The server that a test works on: the one that `ELASTICSEARCH_URL` names, or dev Elasticsearch in this process.
package struct StoreUnderTest: Sendable {
    package let settings: ElasticsearchSettings
    package let client: ElasticsearchClient
    /// For requests that our client has no function for.
    package let http: HTTPNodePool
    /// What goes wrong on order; `nil` on a real server.
    package let dev: DevElasticsearchServer?

    /// Whether the environment names a real server.
    package static var isReal: Bool { getenv("ELASTICSEARCH_URL") != nil }

    package static func with(_ body: @escaping @Sendable (StoreUnderTest) async throws -> Void) async throws {
        if Self.isReal {
            let settings = try RealServer.load(from: .process(flags: [:])).model.elasticsearch
            try await body(StoreUnderTest(settings, dev: nil))
            return
        }
        try await self.with(.standard, body)
    }

    /// Dev Elasticsearch in place of one kind of server.
    package static func with(
        _ dialect: ServerDialect, _ body: @escaping @Sendable (StoreUnderTest) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        try await DevElasticsearchServer.with(folder: folder, dialect: dialect) { server in
            try await body(StoreUnderTest(ElasticsearchSettings(urls: [server.url]), dev: server))
        }
    }

    private init(_ settings: ElasticsearchSettings, dev: DevElasticsearchServer?) throws {
        self.settings = settings
        self.dev = dev
        self.client = try ElasticsearchConnection.client(settings)
        let authorization: Authorization? =
            switch settings.authentication {
            case .none: nil
            case .basic(let user, let password): .basic(user: user, password: try password.read())
            case .apiKey(let key): .apiKey(encoded: try key.read())
            }
        self.http = HTTPNodePool(
            client: HTTPClient(
                configuration: HTTPClientConfiguration(
                    certificateAuthorityFile: settings.authorityFile, authorization: authorization)),
            baseURLs: settings.urls, clocks: SystemClocks(), random: SystemRandomNumberGenerator())
    }

    /// A name that no other test, and no run before, has used.
    package static func uniqueName(_ beginning: String) -> String {
        var random = SystemRandomNumberGenerator()
        return "\(beginning)-\(UID.random(using: &random).hex.prefix(12))"
    }

    /// Makes what was written visible to searches.
    package func refresh(_ pattern: String) async throws {
        _ = try await self.http.send(HTTPRequest(.post, "/\(pattern)/_refresh"))
    }

    /// Removes indices, template and policy of a test.
    package func remove(indices: [String], setup name: String) async throws {
        for index in indices { _ = try await self.http.send(HTTPRequest(.delete, "/\(index)")) }
        // Of each pair a server knows one.
        for path in ["/_index_template", "/_template", "/_ilm/policy", "/_plugins/_ism/policies"] {
            _ = try await self.http.send(HTTPRequest(.delete, "\(path)/\(name)"))
        }
    }
}

/// The settings of the server alone.
private struct RealServer: ReadableConfiguration {
    var elasticsearch: ElasticsearchSettings

    init(reading reader: inout ConfigurationReader) { self.elasticsearch = ElasticsearchSettings(reading: &reader) }
}
