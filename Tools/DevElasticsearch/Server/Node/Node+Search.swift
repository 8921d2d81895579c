import EscapementModel
import JSON

extension Node {
    private static let resultWindowMax = 10_000
    private static let bodyKeys: Set<String> = [
        "query", "from", "size", "sort", "search_after", "track_total_hits", "_source", "aggs", "aggregations", "pit",
        "timeout", "version", "seq_no_primary_term", "track_scores", "post_filter", "min_score", "stored_fields",
    ]

    func search(
        _ request: RESTRequest, lacksShard: Bool, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        let members = request.body.isEmpty ? [] : try request.object()
        let body = JSONValue.object(members)
        for member in members where !Self.bodyKeys.contains(member.name) {
            throw .parsing(
                "Unknown key for a \(member.value.tokenName) in [\(member.name)].", at: member.name, in: request.body)
        }
        let sort = try Sort(body["sort"] ?? Self.sortParameter(request), body: request.body)
        let (indices, pointInTime) = try self.scope(body, request, &state)
        if lacksShard, try !request.flag("allow_partial_search_results", default: true) {
            throw ElasticsearchError(
                503, "search_phase_execution_exception",
                "Search rejected due to missing shards. Consider using `allow_partial_search_results` setting to bypass "
                    + "this error.")
        }
        let (fromParameter, sizeParameter) = (try request.integer("from"), try request.integer("size"))
        let from = body["from"]?.integerValue.map { Int(clamping: $0) } ?? fromParameter ?? 0
        let size = body["size"]?.integerValue.map { Int(clamping: $0) } ?? sizeParameter ?? 10
        guard from >= 0 else { throw .illegalArgument("[from] parameter cannot be negative but was [\(from)]") }
        guard size >= 0 else { throw .illegalArgument("[size] parameter cannot be negative, found [\(size)]") }
        guard from + size <= Self.resultWindowMax else {
            throw ElasticsearchError.searchPhase(
                .illegalArgument(
                    "Result window is too large, from + size must be less than or equal to: [\(Self.resultWindowMax)] "
                        + "but was [\(from + size)]. See the scroll api for a more efficient way to request large data "
                        + "sets. This limit can be set by changing the [index.max_result_window] index level setting."),
                index: indices.first?.name ?? "")
        }
        let after = try sort.position(body["search_after"])
        if after != nil, from > 0 {
            throw .illegalArgument("`from` parameter must be set to 0 when `search_after` is used")
        }
        let found = try self.rows(body["query"], body["post_filter"], indices, request)
        var hits: [(row: Aggregation.Row, values: Sort.Values)] = []
        for (position, row) in found.shown.enumerated() {
            let values: Sort.Values
            do throws(ElasticsearchError) {
                values = try sort.values(of: row.document, in: row.target.index, position: position)
            } catch {
                throw ElasticsearchError.searchPhase(error, index: row.target.index.name)
            }
            hits.append((row, values))
        }
        let total = hits.count
        if sort.isExplicit { hits.sort { sort.precedes($0.values, $1.values) } }
        if let after { hits = Array(hits.drop { sort.compare($0.values, after) <= 0 }) }
        var filter = try SourceFilter(request)
        filter.read(body["_source"])
        var shown: [JSONValue] = []
        for (row, values) in hits.dropFirst(from).prefix(size) {
            var hit = [
                JSONMember("_index", .string(row.target.index.name)), JSONMember("_id", .string(row.document.id)),
                JSONMember("_score", sort.isExplicit ? .null : .number("1.0")),
            ]
            if self.dialect.toleratesTypes { hit.insert(JSONMember("_type", "_doc"), at: 1) }
            if body["version"]?.boolValue == true { hit.append(JSONMember("_version", .integer(row.document.version))) }
            if body["seq_no_primary_term"]?.boolValue == true {
                hit += [
                    JSONMember("_seq_no", .integer(row.document.sequenceNumber)), JSONMember("_primary_term", 1),
                ]
            }
            if let source = try filter.source(of: row.document, in: row.target.index) {
                hit.append(JSONMember("_source", source))
            }
            if sort.isExplicit { hit.append(JSONMember("sort", Sort.json(values))) }
            shown.append(.object(hit))
        }
        var inner: [JSONMember] = []
        if let counted = try self.total(total, body["track_total_hits"] ?? Self.trackParameter(request)) {
            inner.append(
                JSONMember(
                    "total",
                    try request.flag("rest_total_hits_as_int") || !self.dialect.hasBoundedTotals
                        ? (counted["value"] ?? .null) : counted))
        }
        inner += [
            JSONMember("max_score", sort.isExplicit || shown.isEmpty ? .null : .number("1.0")),
            JSONMember("hits", .array(shown)),
        ]
        let count = Int64(indices.count)
        var answer = [
            JSONMember("took", 1), JSONMember("timed_out", false),
            JSONMember(
                "_shards",
                [
                    // A shard without a copy is not among those that failed.
                    "total": .integer(count + (lacksShard ? 1 : 0)), "successful": .integer(count), "skipped": 0,
                    "failed": 0,
                ]),
            JSONMember("hits", .object(inner)),
        ]
        if let pointInTime { answer.insert(JSONMember("pit_id", .string(pointInTime)), at: 0) }
        if let aggregations = body["aggs"] ?? body["aggregations"] {
            answer.append(
                JSONMember(
                    "aggregations",
                    try Aggregation(aggregations, body: request.body, dialect: self.dialect).compute(found.matched)))
        }
        return RESTResponse(200, .object(answer))
    }

    private static func sortParameter(_ request: RESTRequest) -> JSONValue? {
        let keys = request.list("sort")
        if keys.isEmpty { return nil }
        return .array(
            keys.map { key in
                let parts = key.split(separator: ":").map(String.init)
                return parts.count == 2 ? .object([JSONMember(parts[0], .string(parts[1]))]) : .string(key)
            })
    }

    private static func trackParameter(_ request: RESTRequest) -> JSONValue? {
        request.parameters["track_total_hits"].map { text in
            text == "true" ? true : text == "false" ? false : .number(text)
        }
    }

    private func total(_ count: Int, _ track: JSONValue?) throws(ElasticsearchError) -> JSONValue? {
        let limit: Int
        if !self.dialect.hasBoundedTotals {
            switch track {
            case nil, .bool(true)?: return ["value": .integer(Int64(count))]
            case .bool(false)?: return ["value": -1]
            case let value?:
                throw .illegalArgument("Failed to parse value [\(value.text)] as only [true] or [false] are allowed.")
            }
        }
        switch track {
        case nil: limit = 10_000
        case .bool(true)?: limit = .max
        case .bool(false)?: return nil
        case let value?:
            guard let number = value.integerValue else {
                throw .illegalArgument("[track_total_hits] [\(value.text)] is not understood")
            }
            limit = Int(number)
        }
        return [
            "value": .integer(Int64(min(count, limit))), "relation": .string(count > limit ? "gte" : "eq"),
        ]
    }

    /// The indices of a search: those of its point in time, or those that its address names.
    private func scope(
        _ body: JSONValue, _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) -> (indices: [IndexStore], pointInTime: String?) {
        guard let pit = body["pit"] else {
            let names = try self.openIndices(request, state)
            return (names.compactMap { state.indices[$0] }, nil)
        }
        guard request.captures["index"] == nil else {
            throw .validation(
                "[indices] cannot be used with point in time. Do not specify any index with point in time.")
        }
        guard let id = pit["id"]?.stringValue else {
            throw .parsing("Required [id]", at: "pit", in: request.body)
        }
        guard var found = state.pointsInTime[id] else {
            throw ElasticsearchError(
                404, "search_context_missing_exception", "No search context found for id [\(id)]")
        }
        if let text = pit["keep_alive"]?.stringValue, let keepAlive = TimeValue.parse(text) {
            found.keepAlive = keepAlive
        }
        found.until = self.clocks.monotonicNow().advanced(by: found.keepAlive)
        state.pointsInTime[id] = found
        return (found.indices, id)
    }

    /// What the query matches, and what of it the post filter leaves.
    private func rows(
        _ query: JSONValue?, _ postFilter: JSONValue?, _ indices: [IndexStore], _ request: RESTRequest
    ) throws(ElasticsearchError) -> (matched: [Aggregation.Row], shown: [Aggregation.Row]) {
        if request.parameters["q"] != nil {
            throw .illegalArgument("[q] is not had by this stand-in: use a query in the body")
        }
        var matched: [Aggregation.Row] = []
        for index in indices {
            let target = Query.Target(index: index, now: self.clocks.wallNow(), body: request.body)
            let test: Query
            do throws(ElasticsearchError) {
                test = try Query(query, for: target)
            } catch {
                throw error.type == "query_shard_exception" || error.type == "parse_exception"
                    ? .searchPhase(error, index: index.name) : error
            }
            for case let document? in index.slots where test.matches(document) {
                matched.append(Aggregation.Row(document: document, target: target))
            }
        }
        // A query that is wrong in itself is refused, whether or not there is an index.
        if indices.isEmpty, let query {
            let nothing = try self.emptyTarget(request)
            _ = try Query(query, for: nothing)
        }
        return (
            matched,
            try postFilter.map { filter throws(ElasticsearchError) in try matched.filtered(by: filter) } ?? matched
        )
    }

    private func emptyTarget(_ request: RESTRequest) throws(ElasticsearchError) -> Query.Target {
        do {
            let index = try IndexStore(
                name: "_none", uuid: "_none", createdAt: self.clocks.wallNow(), settings: IndexSettings(),
                mapping: .empty, aliases: [:], path: "\(self.folder)/none.log")
            index.log.remove()
            return Query.Target(index: index, now: self.clocks.wallNow(), body: request.body)
        } catch {
            throw ElasticsearchError(500, "i_o_exception", "\(error)")
        }
    }

    // MARK: Relatives of a search

    private func onlyQuery(_ request: RESTRequest) throws(ElasticsearchError) -> JSONValue? {
        let members = request.body.isEmpty ? [] : try request.object()
        for member in members where !["query", "max_docs", "conflicts"].contains(member.name) {
            throw .parsing("request does not support [\(member.name)]", at: member.name, in: request.body)
        }
        return JSONValue.object(members)["query"]
    }

    func count(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let query = try self.onlyQuery(request)
        let indices = try self.openIndices(request, state).compactMap { state.indices[$0] }
        let found = try self.rows(query, nil, indices, request).matched
        let shards = Int64(indices.count)
        return RESTResponse(
            200,
            [
                "count": .integer(Int64(found.count)),
                "_shards": ["total": .integer(shards), "successful": .integer(shards), "skipped": 0, "failed": 0],
            ])
    }

    /// The indices that a request names, none of which may be closed.
    private func openIndices(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> [String] {
        let names = try self.resolve(request.capture("index"), request, state)
        for name in names where state.closed.contains(name) {
            throw .indexClosed(name, uuid: state.indices[name]?.uuid ?? "")
        }
        return names
    }

    func refresh(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        let names = try self.openIndices(request, state)
        for name in names { state.indices[name]?.refresh() }
        let count = Int64(names.count)
        return RESTResponse(200, ["_shards": ["total": .integer(count), "successful": .integer(count), "failed": 0]])
    }

    func deleteByQuery(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        guard let query = try self.onlyQuery(request) else { throw .validation("query is missing") }
        let names = try self.openIndices(request, state)
        let rows = try self.rows(query, nil, names.compactMap { state.indices[$0] }, request).matched
        let now = self.clocks.monotonicNow()
        var deleted = 0
        for row in rows where state.indices[row.target.index.name]?.delete(row.document.id, now: now) != nil {
            deleted += 1
        }
        for name in names {
            if let index = state.indices[name] { try self.flush(index.log) }
            if try request.flag("refresh") { state.indices[name]?.refresh() }
        }
        return RESTResponse(
            200,
            [
                "took": 1, "timed_out": false, "total": .integer(Int64(rows.count)),
                "deleted": .integer(Int64(deleted)), "batches": 1, "version_conflicts": 0, "noops": 0,
                "retries": ["bulk": 0, "search": 0], "failures": [],
            ])
    }

    func openPointInTime(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        guard let text = request.parameters["keep_alive"], let keepAlive = TimeValue.parse(text) else {
            throw .validation("[keep_alive] is not specified")
        }
        let names = try self.openIndices(request, state)
        let id = UID.random(using: &state.random).hex + UID.random(using: &state.random).hex
        state.pointsInTime[id] = PointInTime(
            indices: names.compactMap { state.indices[$0] },
            until: self.clocks.monotonicNow().advanced(by: keepAlive), keepAlive: keepAlive)
        let count = Int64(names.count)
        let shards: JSONValue = ["total": .integer(count), "successful": .integer(count), "skipped": 0, "failed": 0]
        return RESTResponse(
            200, [self.dialect.pointInTime == .openSearch ? "pit_id" : "id": .string(id), "_shards": shards])
    }

    func closePointInTime(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        let body = JSONValue.object(try request.object())
        if self.dialect.pointInTime == .openSearch {
            let ids = (body["pit_id"]?.arrayValue ?? []).compactMap(\.stringValue)
            guard !ids.isEmpty else { throw .validation("no pit ids specified") }
            let pits = ids.map { id -> JSONValue in
                ["pit_id": .string(id), "successful": .bool(state.pointsInTime.removeValue(forKey: id) != nil)]
            }
            return RESTResponse(200, ["pits": .array(pits)])
        }
        guard let id = body["id"]?.stringValue else { throw .validation("point in time id is required") }
        let wasOpen = state.pointsInTime.removeValue(forKey: id) != nil
        return RESTResponse(
            wasOpen ? 200 : 404, ["succeeded": .bool(wasOpen), "num_freed": .integer(wasOpen ? 1 : 0)])
    }
}
