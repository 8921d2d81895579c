import EscapementModel
import JSON

extension Node {
    func administer(
        _ endpoint: Endpoint, _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        switch endpoint {
        case .createIndex:
            let name = request.capture("index")
            let body: JSONValue = request.body.isEmpty ? [:] : .object(try request.object())
            _ = try self.makeIndex(name, body, &state)
            return RESTResponse(
                200, ["acknowledged": true, "shards_acknowledged": true, "index": .string(name)])
        case .getIndex: return try self.describe(request, state) { self.description(of: $0) }
        case .deleteIndex: return try self.deleteIndices(request, &state)
        case .getMapping: return try self.describe(request, state) { ["mappings": self.shown($0.mapping)] }
        case .getSettings:
            return try self.describe(request, state) { index in
                ["settings": index.settings.nested(adding: index.systemSettings)]
            }
        case .putMapping:
            let update = try self.mappingUpdate(request)
            for name in try self.resolve(request.capture("index"), request, state) {
                try state.indices[name]?.putMapping(update)
                if let index = state.indices[name] { try self.flush(index.log) }
            }
            return .acknowledged
        case .putSettings:
            let update = try self.settings(.object(try request.object()))
            for name in try self.resolve(request.capture("index"), request, state) {
                try state.indices[name]?.putSettings(update)
                if let index = state.indices[name] { try self.flush(index.log) }
            }
            return .acknowledged
        case .closeIndex, .openIndex:
            let closes = endpoint == .closeIndex
            for name in try self.resolve(request.capture("index"), request, state) {
                if closes { state.closed.insert(name) } else { state.closed.remove(name) }
                try self.note("closed", name, closes ? true : .null)
            }
            return .acknowledged
        case .putClusterSettings: return try self.putClusterSettings(request, &state)
        case .getAlias: return try self.getAliases(request, state)
        case .putAlias:
            let body: JSONValue = request.body.isEmpty ? [:] : .object(try request.object())
            return try self.changeAliases(
                [(true, request.capture("index"), request.capture("name"), body)], request, &state)
        case .deleteAlias:
            return try self.changeAliases(
                [(false, request.capture("index"), request.capture("name"), [:])], request, &state)
        case .updateAliases: return try self.updateAliases(request, &state)
        case .putIndexTemplate: return try self.putTemplate(request, &state)
        case .getIndexTemplate: return try self.getTemplates(request, state)
        case .deleteIndexTemplate:
            let name = request.capture("name")
            guard state.templates.removeValue(forKey: name) != nil else {
                throw ElasticsearchError(404, "index_template_missing_exception", "index_template [\(name)] missing")
            }
            try self.note("template", name, .null)
            return .acknowledged
        case .putLegacyTemplate: return try self.putLegacyTemplate(request, &state)
        case .getLegacyTemplate: return try self.getLegacyTemplates(request, state)
        case .deleteLegacyTemplate:
            let name = request.capture("name")
            guard state.legacyTemplates.removeValue(forKey: name) != nil else {
                throw ElasticsearchError(404, "index_template_missing_exception", "index_template [\(name)] missing")
            }
            try self.note("legacy-template", name, .null)
            return .acknowledged
        case .putLifecyclePolicy: return try self.putLifecyclePolicy(request, &state)
        case .getLifecyclePolicy: return try self.getLifecyclePolicies(request, state)
        case .putStatePolicy: return try self.putStatePolicy(request, &state)
        case .getStatePolicy: return try self.getStatePolicy(request, state)
        case .changeStatePolicy: return try self.changeStatePolicy(request, &state)
        case .explainState: return try self.explainState(request, state)
        case .deleteLifecyclePolicy, .deleteStatePolicy:
            let name = request.capture("name")
            guard state.policies.removeValue(forKey: name) != nil else {
                throw ElasticsearchError(
                    404, "resource_not_found_exception", "Lifecycle policy not found: \(name)")
            }
            try self.note("policy", name, .null)
            return .acknowledged
        default:
            throw .illegalArgument("no handler found for uri [\(request.uri)] and method [\(request.method)]")
        }
    }

    /// Keeps a change of the cluster's own state; `.null` for a removal.
    func note(_ kind: String, _ name: String, _ value: JSONValue) throws(ElasticsearchError) {
        self.cluster.append([
            JSONMember("op", .string(kind)), JSONMember("name", .string(name)), JSONMember("value", value),
        ])
        try self.flush(self.cluster)
    }

    /// `cluster.max_shards_per_node` alone.
    private func putClusterSettings(
        _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        let body = JSONValue.object(try request.object())
        for member in (body["persistent"] ?? body["transient"])?.objectValue ?? [] {
            guard member.name == "cluster.max_shards_per_node" else {
                throw .illegalArgument("persistent setting [\(member.name)], not recognized")
            }
            guard member.value != .null else {
                state.shardsMax = Self.shardsMaxDefault
                try self.note("shards-max", member.name, .null)
                continue
            }
            guard let number = member.value.integerValue, number > 0 else {
                throw .illegalArgument(
                    "Failed to parse value [\(member.value.text)] for setting [\(member.name)] must be >= 1")
            }
            state.shardsMax = Int(number)
            try self.note("shards-max", member.name, .integer(number))
        }
        return .acknowledged
    }

    private func describe(
        _ request: RESTRequest, _ state: State, _ show: (IndexStore) -> JSONValue
    ) throws(ElasticsearchError) -> RESTResponse {
        let names = try self.resolve(request.capture("index"), request, state)
        return RESTResponse(
            200, .object(names.compactMap { name in state.indices[name].map { JSONMember(name, show($0)) } }))
    }

    private func deleteIndices(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse
    {
        let expression = request.capture("index")
        // action.destructive_requires_name, as it is by default.
        if expression == "_all" || Wildcard.isPattern(expression) {
            throw .illegalArgument("Wildcard expressions or all indices are not allowed")
        }
        for name in try self.resolve(expression, request, state) {
            state.indices.removeValue(forKey: name)?.log.remove()
            if state.closed.remove(name) != nil { try self.note("closed", name, .null) }
            if state.managed.removeValue(forKey: name) != nil { try self.note("managed", name, .null) }
        }
        return .acknowledged
    }

    /// As `GET index` shows it.
    private func description(of index: IndexStore) -> JSONValue {
        [
            "aliases": index.aliasesJSON, "mappings": self.shown(index.mapping),
            "settings": index.settings.nested(adding: index.systemSettings),
        ]
    }

    // MARK: Aliases

    private func getAliases(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let pattern = Wildcard(request.captures["name"] ?? "*")
        var shown: [JSONMember] = []
        for name in try self.resolve(request.capture("index"), request, state) {
            guard let index = state.indices[name] else { continue }
            let aliases = index.aliases.filter { pattern.matches($0.key) }.sorted { $0.key < $1.key }
            if aliases.isEmpty, request.captures["name"] != nil { continue }
            shown.append(
                JSONMember(name, ["aliases": .object(aliases.map { JSONMember($0.key, $0.value) })]))
        }
        if shown.isEmpty, let name = request.captures["name"] {
            return RESTResponse(404, ["error": .string("alias [\(name)] missing"), "status": 404])
        }
        return RESTResponse(200, .object(shown))
    }

    private func updateAliases(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse
    {
        var changes: [(adds: Bool, index: String, alias: String, properties: JSONValue)] = []
        for action in JSONValue.object(try request.object())["actions"]?.arrayValue ?? [] {
            guard case .object(let members) = action, let member = members.first,
                member.name == "add" || member.name == "remove"
            else { throw .parsing("[alias_action] unknown field", at: "actions", in: request.body) }
            guard let index = member.value["index"]?.stringValue, let alias = member.value["alias"]?.stringValue else {
                throw .illegalArgument("One of [index] or [indices] is required")
            }
            let properties = (member.value.objectValue ?? []).filter { $0.name != "index" && $0.name != "alias" }
            changes.append((member.name == "add", index, alias, .object(properties)))
        }
        return try self.changeAliases(changes, request, &state)
    }

    private func changeAliases(
        _ changes: [(adds: Bool, index: String, alias: String, properties: JSONValue)], _ request: RESTRequest,
        _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        for change in changes {
            for name in try self.resolve(change.index, request, state) {
                state.indices[name]?.setAlias(change.alias, change.adds ? change.properties : nil)
                if let index = state.indices[name] { try self.flush(index.log) }
            }
        }
        return .acknowledged
    }

    // MARK: Health

    func health(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let names = try self.resolve(request.capture("index"), request, state)
        let count = Int64(names.count)
        return RESTResponse(
            200,
            [
                "cluster_name": "dev-elasticsearch", "status": "green", "timed_out": false, "number_of_nodes": 1,
                "number_of_data_nodes": 1, "active_primary_shards": .integer(count), "active_shards": .integer(count),
                "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
                "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
                "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": .number("100.0"),
            ])
    }

    func catIndices(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let rows = try self.resolve(request.capture("index"), request, state).compactMap { name -> [JSONMember]? in
            guard let index = state.indices[name] else { return nil }
            return [
                JSONMember("health", "green"), JSONMember("status", "open"), JSONMember("index", .string(name)),
                JSONMember("uuid", .string(index.uuid)), JSONMember("pri", .string("\(index.settings.shardCount)")),
                JSONMember("rep", .string("\(index.settings.replicaCount)")),
                JSONMember("docs.count", .string("\(index.documentCount)")), JSONMember("docs.deleted", "0"),
            ]
        }
        if request.parameters["format"] == "json" { return RESTResponse(200, .array(rows.map { .object($0) })) }
        let lines = rows.map { row in row.map { $0.value.stringValue ?? "" }.joined(separator: " ") + "\n" }
        return RESTResponse(status: 200, body: .text(lines.joined()))
    }
}
