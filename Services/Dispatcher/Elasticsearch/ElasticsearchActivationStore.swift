package import DispatcherService
import ElasticsearchStore
import EscapementModel
import HTTPClient
import JSON
package import Logging
import Observability
package import ServiceConfiguration

/// Elasticsearch as the activation store.
package actor ElasticsearchActivationStore: ActivationStore {
    private let settings: ElasticsearchSettings
    private let form: ActivationForm
    private let setup: StoreSetup
    private let logger: Logger
    /// Made at the first use and after a failure, so that credentials are read again and a server that was
    /// exchanged is asked what it is.
    private var client: ElasticsearchClient?

    package init(_ settings: ElasticsearchSettings, form: ActivationForm, retentionDays: Int, logger: Logger) {
        self.settings = settings
        self.form = form
        self.setup = StoreSetup(form: form.setupForm, retentionDays: retentionDays)
        self.logger = logger
    }

    /// Makes template, policy and the mappings of OpenWhisk's indices when they are missing. What is there and differs is left to people.
    package func prepare() async throws(ActivationStoreError) {
        let setup = self.setup
        let (findings, made) = try await self.using {
            client throws(ElasticsearchError) -> (findings: [StoreSetup.Finding], made: [String]) in
            let findings = try await setup.check(client)
            guard findings.contains(where: { $0.state == .missing }) else { return (findings, []) }
            let made = try await setup.apply(client, replacing: false)
            return (try await setup.check(client), made)
        }
        for what in made {
            self.logger.info("made in Elasticsearch", event: "elasticsearch_setup", [LogKey.reason: .string(what)])
        }
        for finding in findings {
            switch finding.state {
            case .right: continue
            case .hidden:
                self.logger.info(
                    "these credentials cannot see whether the store is prepared; see escapement es check",
                    event: "elasticsearch_setup_hidden", [LogKey.reason: .string(finding.what)])
            case .missing:
                self.logger.warning(
                    "missing, and could not be made; see escapement es setup", event: "elasticsearch_setup_missing",
                    [LogKey.reason: .string(finding.what)])
            case .differs(let how), .conflicts(let how), .unsupported(let how):
                self.logger.warning(
                    "not as this release wants it; see escapement es check", event: "elasticsearch_setup_differs",
                    [LogKey.reason: .string("\(finding.what) \(how)")])
            }
        }
    }

    package func create(
        _ documents: [ActivationDocument]
    ) async throws(ActivationStoreError) -> [ActivationWriteResult] {
        let results = try await self.using { client throws(ElasticsearchError) in
            try await client.create(documents.map { .init(index: $0.index, id: $0.id, body: $0.body) })
        }
        return results.map { ActivationWriteResult($0) }
    }

    package func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
        let form = self.form
        let body = SearchBody(search: search, prefix: form.fieldPrefix)
        let answer = try await self.using { client throws(ElasticsearchError) in
            let deadline = client.searchDeadline()
            let server = try await client.server(by: deadline)
            return try await client.search(
                form.indices(of: search.namespace), body.page(countsToBound: server.countsUpToBound), by: deadline)
        }
        let items = answer.hits.compactMap { form.native($0.source) }
        let next =
            answer.hits.count == search.pageSize ? items.last.flatMap { ActivationSearch.Position(document: $0) } : nil
        // Without any index Elasticsearch counts nothing.
        let total = search.countBound.map { bound in
            let value = answer.total?.value ?? 0
            return ActivationTotal(
                value: min(value, Int64(bound)),
                isLowerBound: answer.total?.isLowerBound == true || value > Int64(bound))
        }
        return ActivationPage(items: items, next: next, total: total)
    }

    package func summary(
        _ search: ActivationSearch, every interval: ActivationInterval
    ) async throws(ActivationStoreError) -> [ActivationBucket] {
        let form = self.form
        let body = SearchBody(search: search, prefix: form.fieldPrefix)
        let answer = try await self.using { client throws(ElasticsearchError) in
            let deadline = client.searchDeadline()
            let server = try await client.server(by: deadline)
            return try await client.search(
                form.indices(of: search.namespace),
                body.summary(every: interval, fixedInterval: server.hasFixedIntervals), by: deadline)
        }
        guard let buckets = SearchBody.buckets(answer.aggregations) else {
            throw ActivationStoreError("Elasticsearch's answer has no buckets")
        }
        return buckets
    }

    private func using<Answer: Sendable>(
        _ body: (ElasticsearchClient) async throws(ElasticsearchError) -> Answer
    ) async throws(ActivationStoreError) -> Answer {
        let client: ElasticsearchClient
        if let current = self.client {
            client = current
        } else {
            do {
                client = try ElasticsearchConnection.client(self.settings)
            } catch {
                throw ActivationStoreError("Elasticsearch cannot be used: \(error)")
            }
            self.client = client
        }
        do throws(ElasticsearchError) {
            return try await body(client)
        } catch {
            if error.status == 401 || error.status == nil { self.client = nil }
            throw ActivationStoreError(
                error.detail, isTooLarge: error.isTooLarge, isOverloaded: error.isOverloaded,
                retryAfter: error.retryAfter)
        }
    }
}

extension ActivationForm {
    /// What such documents need in the store.
    var setupForm: StoreSetup.Form {
        switch self {
        case .native(let prefix): .native(prefix: prefix)
        case .openWhisk(let pattern): .openWhisk(pattern: pattern)
        }
    }

    /// As the configuration says.
    package init(_ settings: ActivationSettings) {
        switch settings.format {
        case .native: self = .native(indexPrefix: settings.index)
        case .openWhisk: self = .openWhisk(indexPattern: settings.openWhiskIndexPattern)
        }
    }
}
