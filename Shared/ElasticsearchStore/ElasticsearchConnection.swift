import EscapementModel
import HTTPClient
package import ServiceConfiguration

/// Makes clients from settings.
package enum ElasticsearchConnection {
    /// Attempts of a bulk request at several nodes; what is left is repeated by who sends it.
    private static let writeAttemptsMax = 3

    /// A client with a thread of its own.
    ///
    /// - Throws: `SecretError` when credentials cannot be read.
    package static func client(_ settings: ElasticsearchSettings) throws(SecretError) -> ElasticsearchClient {
        let authorization: Authorization? =
            switch settings.authentication {
            case .none: nil
            case .basic(let user, let password): .basic(user: user, password: try password.read())
            case .apiKey(let key): .apiKey(encoded: try key.read())
            }
        let client = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: settings.authorityFile,
                clientCertificateFile: settings.clientCertificate?.certificateFile,
                privateKeyFile: settings.clientCertificate?.keyFile, authorization: authorization))
        func pool(_ policy: RetryPolicy) -> HTTPNodePool {
            HTTPNodePool(
                client: client, baseURLs: settings.urls, policy: policy, clocks: SystemClocks(),
                random: SystemRandomNumberGenerator())
        }
        let assumed: StoreServer.Product? =
            switch settings.flavor {
            case .auto: nil
            case .elasticsearch: .elasticsearch
            case .openSearch: .openSearch
            }
        return ElasticsearchClient(
            pool: pool(RetryPolicy()),
            writing: pool(RetryPolicy(attemptCountMax: Self.writeAttemptsMax, retriesOverload: false)),
            assumed: assumed)
    }
}
