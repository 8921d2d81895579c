import DispatcherService
import ElasticsearchStore
import EscapementModel
import HTTPClient
import JSON
import Logging
import Observability
import ServiceConfiguration

/// Elasticsearch as the activation store.
actor ElasticsearchActivationStore: ActivationStore {
    private let settings: ElasticsearchSettings
    private let indexPrefix: String
    private let logger: Logger
    /// Made at the first use and after a failure, so that credentials are read again.
    private var client: ElasticsearchClient?

    init(_ configuration: DispatcherConfiguration, logger: Logger) {
        self.settings = configuration.elasticsearch
        self.indexPrefix = configuration.activationIndex
        self.logger = logger
    }

    func prepare() async throws(ActivationStoreError) {
        let template = ActivationTemplate.template(prefix: self.indexPrefix)
        let isNew = try await self.using { client throws(ElasticsearchError) in
            try await client.ensureIndexTemplate(self.indexPrefix, template)
        }
        if isNew { self.logger.info("index template put", event: "index_template_put") }
    }

    func create(
        _ documents: [ActivationDocument]
    ) async throws(ActivationStoreError) -> [ActivationWriteResult] {
        let results = try await self.using { client throws(ElasticsearchError) in
            try await client.create(documents.map { .init(index: $0.index, id: $0.id, body: $0.body) })
        }
        return results.map { result in
            switch result.status {
            case 200..<300: .stored
            case 409: .known
            case 429, 502, 503, 504: .busy("HTTP \(result.status) \(result.errorType)")
            default: .refused("HTTP \(result.status) \(result.errorType)")
            }
        }
    }

    func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
        var filters: [JSONValue] = []
        func add(_ field: String, _ value: String?) {
            if let value { filters.append(["term": .object([JSONMember(field, .string(value))])]) }
        }
        add("namespace", search.namespace)
        add("schedule", search.schedule)
        add("outcome", search.outcome)
        add("reason", search.reason)
        add("kind", search.kind)
        add("activation_id", search.activationID)
        if search.from != nil || search.to != nil {
            let range = JSONValue.record([
                "gte": search.from.map { .string($0.description) }, "lt": search.to.map { .string($0.description) },
            ])
            filters.append(["range": ["scheduled_at": range]])
        }
        let body = JSONValue.record([
            "size": .integer(search.pageSize), "query": ["bool": ["filter": .array(filters)]],
            "sort": [["scheduled_at": "desc"], ["activation_id": "desc"]], "track_total_hits": false,
            "search_after": search.after.map { [.integer($0.scheduled.milliseconds), .string($0.id)] },
        ])
        let pattern = "\(self.indexPrefix)-*"
        let hits = try await self.using { client throws(ElasticsearchError) in
            try await client.search(pattern, body)
        }
        let next =
            hits.count == search.pageSize ? hits.last.flatMap { ActivationSearch.Position(document: $0.source) } : nil
        return ActivationPage(items: hits.map(\.source), next: next)
    }

    private func using<Answer: Sendable>(
        _ body: (ElasticsearchClient) async throws(ElasticsearchError) -> Answer
    ) async throws(ActivationStoreError) -> Answer {
        let client: ElasticsearchClient
        if let current = self.client {
            client = current
        } else {
            do {
                client = try self.make()
            } catch {
                throw ActivationStoreError("Elasticsearch cannot be used: \(error)")
            }
            self.client = client
        }
        do throws(ElasticsearchError) {
            return try await body(client)
        } catch {
            if error.status == 401 || error.status == nil { self.client = nil }
            throw ActivationStoreError(error.detail, isTooLarge: error.isTooLarge)
        }
    }

    private func make() throws -> ElasticsearchClient {
        let authorization: Authorization? =
            switch self.settings.authentication {
            case .none: nil
            case .basic(let user, let password): .basic(user: user, password: try password.read())
            case .apiKey(let key): .apiKey(encoded: try key.read())
            }
        let client = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: self.settings.authorityFile, authorization: authorization))
        return ElasticsearchClient(
            pool: HTTPNodePool(
                client: client, baseURLs: self.settings.urls, clocks: SystemClocks(),
                random: SystemRandomNumberGenerator()))
    }
}
