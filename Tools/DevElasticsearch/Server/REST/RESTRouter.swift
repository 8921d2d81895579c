import JSON

/// What we can do; one case for each API of the real server that we have.
enum Endpoint: Sendable {
    case info, authenticate, clusterHealth, catIndices
    case bulk, createDocument, indexDocument, getDocument, getSource, deleteDocument, updateDocument, multiGet
    case search, count, refresh, deleteByQuery, openPointInTime, closePointInTime
    case createIndex, getIndex, deleteIndex, getMapping, putMapping, getSettings, putSettings
    case closeIndex, openIndex, putClusterSettings
    case getAlias, putAlias, deleteAlias, updateAliases
    case putIndexTemplate, getIndexTemplate, deleteIndexTemplate
    case putLegacyTemplate, getLegacyTemplate, deleteLegacyTemplate
    case putLifecyclePolicy, getLifecyclePolicy, deleteLifecyclePolicy
    case putStatePolicy, getStatePolicy, deleteStatePolicy, changeStatePolicy, explainState
}

/// Finds the endpoint for a method and path, and refuses what is unknown as the real server does.
enum RESTRouter {
    private struct Route: Sendable {
        var methods: [String]
        /// `{name}` matches any one segment.
        var pattern: [Substring]
        var endpoint: Endpoint
        var parameters: Set<String>
        /// Which servers have it.
        var isHad: @Sendable (ServerDialect) -> Bool

        init(
            _ methods: String, _ path: String, _ endpoint: Endpoint, _ parameters: String = "",
            where isHad: @escaping @Sendable (ServerDialect) -> Bool = { _ in true }
        ) {
            self.isHad = isHad
            self.methods = methods.split(separator: " ").map(String.init)
            self.pattern = path.split(separator: "/")
            self.endpoint = endpoint
            self.parameters = Set(parameters.split(separator: " ").map(String.init))
        }

        /// What the placeholders hold, or `nil` when the path is another one.
        func captures(_ segments: [String]) -> [String: String]? {
            guard segments.count == self.pattern.count else { return nil }
            var captures: [String: String] = [:]
            for (part, segment) in zip(self.pattern, segments) {
                if part.hasPrefix("{") {
                    captures[String(part.dropFirst().dropLast())] = segment
                } else if part != segment {
                    return nil
                }
            }
            return captures
        }
    }

    /// Understood by every endpoint.
    private static let commonParameters: Set<String> = ["pretty", "human", "error_trace", "filter_path"]

    private static let indexOptions = "ignore_unavailable allow_no_indices expand_wildcards"
    private static let timeouts = "timeout master_timeout"
    private static let writeOptions = "refresh timeout wait_for_active_shards if_seq_no if_primary_term routing"
    private static let templateOptions = "flat_settings local master_timeout"
    private static let queryOptions = "q df default_operator"
    private static let sourceOptions = "_source _source_includes _source_excludes"
    private static let bulkOptions = "refresh require_alias wait_for_active_shards timeout"
    private static let getOptions = "\(sourceOptions) realtime refresh preference routing"
    private static let searchOptions = """
        \(indexOptions) \(queryOptions) \(sourceOptions) from size sort track_total_hits version \
        seq_no_primary_term search_type preference request_cache allow_partial_search_results timeout \
        rest_total_hits_as_int batched_reduce_size ccs_minimize_roundtrips max_concurrent_shard_requests
        """

    private static let routes: [Route] = [
        Route("GET HEAD", "/", .info),
        Route("GET", "/_security/_authenticate", .authenticate),
        Route("GET", "/_cluster/health", .clusterHealth, Self.healthOptions),
        Route("GET", "/_cluster/health/{index}", .clusterHealth, Self.healthOptions),
        Route("GET", "/_cat/indices", .catIndices, "format h s v bytes expand_wildcards"),
        Route("GET", "/_cat/indices/{index}", .catIndices, "format h s v bytes expand_wildcards"),
        Route("POST PUT", "/_bulk", .bulk, bulkOptions),
        Route("POST PUT", "/{index}/_bulk", .bulk, bulkOptions),
        Route("POST PUT", "/{index}/_create/{id}", .createDocument, writeOptions),
        Route("POST", "/{index}/_doc", .indexDocument, writeOptions + " op_type require_alias"),
        Route("POST PUT", "/{index}/_doc/{id}", .indexDocument, writeOptions + " op_type require_alias"),
        Route("GET HEAD", "/{index}/_doc/{id}", .getDocument, getOptions),
        // Before 8 a document's address names its type, so that an address that nobody knows may be one.
        Route("GET HEAD", "/{index}/{type}/{id}", .getDocument, getOptions, where: \.toleratesTypes),
        Route("POST PUT", "/{index}/{type}/{id}", .indexDocument, writeOptions + " op_type", where: \.toleratesTypes),
        Route("GET HEAD", "/{index}/_source/{id}", .getSource, getOptions),
        Route("DELETE", "/{index}/_doc/{id}", .deleteDocument, writeOptions),
        Route("POST", "/{index}/_update/{id}", .updateDocument, writeOptions + " retry_on_conflict require_alias"),
        Route("GET POST", "/_mget", .multiGet, getOptions),
        Route("GET POST", "/{index}/_mget", .multiGet, getOptions),
        Route("GET POST", "/_search", .search, searchOptions),
        Route("GET POST", "/{index}/_search", .search, searchOptions),
        Route("GET POST", "/_count", .count, "\(indexOptions) \(queryOptions) preference"),
        Route("GET POST", "/{index}/_count", .count, "\(indexOptions) \(queryOptions) preference"),
        Route("GET POST", "/_refresh", .refresh, indexOptions),
        Route("GET POST", "/{index}/_refresh", .refresh, indexOptions),
        Route(
            "POST", "/{index}/_delete_by_query", .deleteByQuery,
            "\(indexOptions) \(queryOptions) refresh conflicts timeout wait_for_completion wait_for_active_shards"),
        Route(
            "POST", "/{index}/_pit", .openPointInTime, "keep_alive preference \(indexOptions)",
            where: { $0.pointInTime == .elasticsearch }),
        Route("DELETE", "/_pit", .closePointInTime, where: { $0.pointInTime == .elasticsearch }),
        Route(
            "POST", "/{index}/_search/point_in_time", .openPointInTime,
            "keep_alive preference routing allow_partial_pit_creation expand_wildcards",
            where: { $0.pointInTime == .openSearch }),
        Route("DELETE", "/_search/point_in_time", .closePointInTime, where: { $0.pointInTime == .openSearch }),
        Route("PUT", "/{index}", .createIndex, timeouts + " wait_for_active_shards"),
        Route("GET HEAD", "/{index}", .getIndex, "\(indexOptions) flat_settings include_defaults local master_timeout"),
        Route("DELETE", "/{index}", .deleteIndex, "\(indexOptions) \(timeouts)"),
        Route("GET", "/_mapping", .getMapping, "\(indexOptions) local master_timeout"),
        Route("GET", "/{index}/_mapping", .getMapping, "\(indexOptions) local master_timeout"),
        Route(
            "PUT POST", "/{index}/_mapping", .putMapping, "\(indexOptions) \(timeouts) write_index_only",
            where: { !$0.hasTypes }),
        Route("PUT POST", "/{index}/_mapping/{type}", .putMapping, "\(indexOptions) \(timeouts)", where: \.hasTypes),
        Route("GET", "/_settings", .getSettings, "\(indexOptions) flat_settings include_defaults local master_timeout"),
        Route(
            "GET", "/{index}/_settings", .getSettings,
            "\(indexOptions) flat_settings include_defaults local master_timeout"),
        Route("PUT", "/{index}/_settings", .putSettings, "\(indexOptions) \(timeouts) preserve_existing"),
        Route("GET HEAD", "/_alias", .getAlias, "\(indexOptions) local master_timeout"),
        Route("GET HEAD", "/_alias/{name}", .getAlias, "\(indexOptions) local master_timeout"),
        Route("GET HEAD", "/{index}/_alias", .getAlias, "\(indexOptions) local master_timeout"),
        Route("GET HEAD", "/{index}/_alias/{name}", .getAlias, "\(indexOptions) local master_timeout"),
        Route("POST", "/{index}/_close", .closeIndex, "\(indexOptions) \(timeouts) wait_for_active_shards"),
        Route("POST", "/{index}/_open", .openIndex, "\(indexOptions) \(timeouts) wait_for_active_shards"),
        Route("PUT", "/_cluster/settings", .putClusterSettings, "flat_settings \(timeouts)"),
        Route("PUT POST", "/{index}/_alias/{name}", .putAlias, timeouts),
        Route("DELETE", "/{index}/_alias/{name}", .deleteAlias, timeouts),
        Route("POST", "/_aliases", .updateAliases, timeouts),
        Route("GET", "/_index_template", .getIndexTemplate, templateOptions, where: \.hasComposableTemplates),
        Route(
            "GET HEAD", "/_index_template/{name}", .getIndexTemplate, templateOptions, where: \.hasComposableTemplates),
        Route(
            "PUT POST", "/_index_template/{name}", .putIndexTemplate, "create cause master_timeout",
            where: \.hasComposableTemplates),
        Route("DELETE", "/_index_template/{name}", .deleteIndexTemplate, timeouts, where: \.hasComposableTemplates),
        Route("GET", "/_template", .getLegacyTemplate, templateOptions),
        Route("GET HEAD", "/_template/{name}", .getLegacyTemplate, templateOptions),
        Route("PUT POST", "/_template/{name}", .putLegacyTemplate, "create order master_timeout"),
        Route("DELETE", "/_template/{name}", .deleteLegacyTemplate, timeouts),
        Route("GET", "/_ilm/policy", .getLifecyclePolicy, timeouts, where: \.servesLifecyclePolicies),
        Route("GET", "/_ilm/policy/{name}", .getLifecyclePolicy, timeouts, where: \.servesLifecyclePolicies),
        Route("PUT", "/_ilm/policy/{name}", .putLifecyclePolicy, timeouts, where: \.servesLifecyclePolicies),
        Route("DELETE", "/_ilm/policy/{name}", .deleteLifecyclePolicy, timeouts, where: \.servesLifecyclePolicies),
        Route("GET", "/_plugins/_ism/policies/{name}", .getStatePolicy, where: \.hasStatePolicies),
        Route(
            "PUT", "/_plugins/_ism/policies/{name}", .putStatePolicy, "if_seq_no if_primary_term",
            where: \.hasStatePolicies),
        Route("DELETE", "/_plugins/_ism/policies/{name}", .deleteStatePolicy, where: \.hasStatePolicies),
        Route("POST", "/_plugins/_ism/change_policy/{index}", .changeStatePolicy, where: \.hasStatePolicies),
        Route("GET", "/_plugins/_ism/explain/{index}", .explainState, where: \.hasStatePolicies),
    ]

    private static let healthOptions =
        "level local timeout master_timeout wait_for_status wait_for_no_initializing_shards "
        + "wait_for_no_relocating_shards wait_for_active_shards wait_for_nodes wait_for_events expand_wildcards"

    /// The endpoint, and the request with its captures; or the refusal.
    static func resolve(_ request: RESTRequest, _ dialect: ServerDialect) -> Result<(Endpoint, RESTRequest), Refusal> {
        var allowed: [String] = []
        var best: (Route, [String: String])?
        for route in self.routes where route.isHad(dialect) {
            guard let captures = route.captures(request.segments) else { continue }
            // A literal segment is closer than a placeholder: `/_mapping` before `/{index}`.
            let isCloser = best.map { captures.count < $0.1.count } ?? true
            if route.methods.contains(request.method) {
                if isCloser { best = (route, captures) }
            } else {
                allowed += route.methods
            }
        }
        guard let (route, captures) = best else {
            if allowed.isEmpty {
                let text = "no handler found for uri [\(request.uri)] and method [\(request.method)]"
                return .failure(Refusal(response: RESTResponse(400, ["error": .string(text)])))
            }
            let methods = Set(allowed).sorted()
            let text =
                "Incorrect HTTP method for uri [\(request.uri)] and method [\(request.method)], "
                + "allowed: [\(methods.joined(separator: ", "))]"
            return .failure(
                Refusal(
                    response: .simpleError(
                        405, text, headers: [(name: "Allow", value: methods.joined(separator: ","))])))
        }
        let unknown = request.parameters.keys.filter {
            !route.parameters.contains($0) && !self.commonParameters.contains($0)
        }.sorted()
        if !unknown.isEmpty {
            let list = unknown.map { "[\($0)]" }.joined(separator: ", ")
            let word = unknown.count == 1 ? "parameter" : "parameters"
            let error = ElasticsearchError.illegalArgument(
                "request [\(request.path)] contains unrecognized \(word): \(list)")
            return .failure(Refusal(response: RESTResponse(error)))
        }
        var resolved = request
        resolved.captures = captures
        return .success((route.endpoint, resolved))
    }

    struct Refusal: Error {
        var response: RESTResponse
    }
}
