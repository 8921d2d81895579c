import JSON

/// Templates of both kinds and policies of both kinds, and what the dialect has to say to what they hold.
extension Node {
    /// What an index of this name is made from, the least important first.
    static func templates(for name: String, _ state: State) -> [JSONValue] {
        func matching(_ templates: [String: JSONValue]) -> [(key: String, value: JSONValue)] {
            templates.filter { template in
                (template.value["index_patterns"]?.arrayValue ?? []).contains {
                    Wildcard($0.stringValue ?? "").matches(name)
                }
            }.sorted { $0.key < $1.key }
        }
        let best = matching(state.templates).max { left, right in
            let priorities = (left.value["priority"]?.integerValue ?? 0, right.value["priority"]?.integerValue ?? 0)
            return priorities.0 == priorities.1 ? left.key > right.key : priorities.0 < priorities.1
        }
        // Where one of the newer kind matches, those of the old kind do not count.
        if let best { return [best.value["template"] ?? [:]] }
        return matching(state.legacyTemplates).sorted {
            ($0.value["order"]?.integerValue ?? 0) < ($1.value["order"]?.integerValue ?? 0)
        }.map(\.value)
    }

    // MARK: The dialect's part

    /// Settings of an index, as far as this server knows them.
    func settings(_ json: JSONValue) throws(ElasticsearchError) -> IndexSettings {
        let settings = try IndexSettings(json)
        for name in settings.values.keys.sorted() where !self.dialect.knows(setting: name) {
            throw IndexSettings.unknown(name)
        }
        return settings
    }

    /// A mapping without the name of its type, which servers before 7 want and later ones refuse.
    func mapping(_ json: JSONValue) throws(ElasticsearchError) -> JSONValue {
        var mapping = json
        if self.dialect.hasTypes, json != [:] {
            guard case .object(let members) = json, members.count == 1, let typed = members.first,
                !["properties", "dynamic", "_source", "_meta"].contains(typed.name)
            else {
                let names = (json.objectValue ?? []).map { "[\($0.name) : \($0.value.text)]" }.joined(separator: " ")
                throw Mapping.refusal("Root mapping definition has unsupported parameters:  \(names)")
            }
            mapping = typed.value
        }
        try self.checkTypes(mapping["properties"])
        return mapping
    }

    /// What a request adds to a mapping. Where there are types the address names it, and the body may.
    func mappingUpdate(_ request: RESTRequest) throws(ElasticsearchError) -> JSONValue {
        let body = JSONValue.object(try request.object())
        guard let type = request.captures["type"] else { return try self.mapping(body) }
        guard type == "_doc" else {
            throw .illegalArgument(
                "Rejecting mapping update to [\(request.capture("index"))] as the final mapping would have more than 1 "
                    + "type: [_doc, \(type)]")
        }
        return try self.mapping(body[type] == nil ? .object([JSONMember(type, body)]) : body)
    }

    private func checkTypes(_ properties: JSONValue?) throws(ElasticsearchError) {
        for field in properties?.objectValue ?? [] {
            if let type = field.value["type"]?.stringValue, self.dialect.knows(fieldType: type) == false {
                throw Mapping.refusal("No handler for type [\(type)] declared on field [\(field.name)]")
            }
            try self.checkTypes(field.value["properties"])
            try self.checkTypes(field.value["fields"])
        }
    }

    /// A mapping as this server shows it.
    func shown(_ mapping: Mapping) -> JSONValue {
        self.dialect.hasTypes && mapping.json != [:] ? ["_doc": mapping.json] : mapping.json
    }

    /// What is wrong in a template is refused now, not when the first index is made from it.
    private func check(_ template: JSONValue) throws(ElasticsearchError) {
        _ = try self.settings(template["settings"] ?? [:])
        _ = try Mapping(try self.mapping(template["mappings"] ?? [:]))
    }

    // MARK: Templates

    func putTemplate(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("name")
        let template = JSONValue.object(try request.object())
        let known = [
            "index_patterns", "template", "priority", "version", "composed_of", "_meta", "data_stream",
            "allow_auto_create", "ignore_missing_component_templates",
        ]
        for member in template.objectValue ?? [] where !known.contains(member.name) {
            throw .parsing("[index_template] unknown field [\(member.name)]", at: member.name, in: request.body)
        }
        guard let patterns = template["index_patterns"]?.arrayValue, !patterns.isEmpty else {
            throw .validation("index patterns are missing")
        }
        for member in template["template"]?.objectValue ?? []
        where !["settings", "mappings", "aliases", "lifecycle"].contains(member.name) {
            throw .parsing("[template] unknown field [\(member.name)]", at: member.name, in: request.body)
        }
        if try request.flag("create"), state.templates[name] != nil {
            throw .illegalArgument("index template [\(name)] already exists")
        }
        let priority = template["priority"]?.integerValue ?? 0
        for other in state.templates.sorted(by: { $0.key < $1.key })
        where other.key != name && other.value["priority"]?.integerValue ?? 0 == priority
            && Self.overlap(patterns, other.value["index_patterns"])
        {
            throw .illegalArgument(
                "index template [\(name)] has index patterns \(JSONValue.array(patterns).text) matching patterns from "
                    + "existing templates [\(other.key)] that have the same priority [\(priority)], multiple index "
                    + "templates may not match during index creation, please use a different priority")
        }
        // What is wrong in it is refused now, not when the first index is made from it.
        try self.check(template["template"] ?? [:])
        state.templates[name] = template
        try self.note("template", name, template)
        return .acknowledged
    }

    /// Whether a name can match patterns of both.
    private static func overlap(_ patterns: [JSONValue], _ others: JSONValue?) -> Bool {
        patterns.contains { pattern in
            (others?.arrayValue ?? []).contains { other in
                Wildcard(pattern.stringValue ?? "").overlaps(Wildcard(other.stringValue ?? ""))
            }
        }
    }

    func getTemplates(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let pattern = Wildcard(request.captures["name"] ?? "*")
        let found = state.templates.filter { pattern.matches($0.key) }.sorted { $0.key < $1.key }
        if found.isEmpty, let name = request.captures["name"], !Wildcard.isPattern(name) {
            throw ElasticsearchError(
                404, "resource_not_found_exception", "index template matching [\(name)] not found")
        }
        return RESTResponse(
            200,
            [
                "index_templates": .array(
                    found.map { ["name": .string($0.key), "index_template": $0.value] })
            ])
    }

    func putLegacyTemplate(
        _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("name")
        let template = JSONValue.object(try request.object())
        let known = ["index_patterns", "order", "version", "settings", "mappings", "aliases"]
        for member in template.objectValue ?? [] where !known.contains(member.name) {
            throw ElasticsearchError(400, "parse_exception", "unknown key [\(member.name)] in the template ")
        }
        guard let patterns = template["index_patterns"]?.arrayValue, !patterns.isEmpty else {
            throw .validation("index patterns are missing")
        }
        if try request.flag("create"), state.legacyTemplates[name] != nil {
            throw .illegalArgument("index_template [\(name)] already exists")
        }
        try self.check(template)
        state.legacyTemplates[name] = template
        try self.note("legacy-template", name, template)
        return .acknowledged
    }

    func getLegacyTemplates(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let pattern = Wildcard(request.captures["name"] ?? "*")
        let found = state.legacyTemplates.filter { pattern.matches($0.key) }.sorted { $0.key < $1.key }
        let isMissing = found.isEmpty && request.captures["name"].map { !Wildcard.isPattern($0) } ?? false
        return RESTResponse(isMissing ? 404 : 200, .object(found.map { JSONMember($0.key, $0.value) }))
    }

    // MARK: Elasticsearch's policies

    func putLifecyclePolicy(
        _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("name")
        let body = JSONValue.object(try request.object())
        guard let phases = body["policy"]?["phases"], case .object = phases else {
            throw .parsing("[put_lifecycle_request] Required [policy]", at: "policy", in: request.body)
        }
        let known = ["hot", "warm", "cold", "frozen", "delete"]
        for phase in phases.objectValue ?? [] where !known.contains(phase.name) {
            throw .illegalArgument("Timeseries lifecycle does not support phase [\(phase.name)]")
        }
        state.policies[name] = body
        try self.note("policy", name, body)
        return .acknowledged
    }

    func getLifecyclePolicies(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let name = request.captures["name"]
        let wanted = state.policies.filter { name == nil || $0.key == name }.sorted { $0.key < $1.key }
        if let name, wanted.isEmpty {
            throw ElasticsearchError(404, "resource_not_found_exception", "Lifecycle policy not found: \(name)")
        }
        return RESTResponse(
            200,
            .object(
                wanted.map { policy in
                    JSONMember(policy.key, ["version": 1, "policy": policy.value["policy"] ?? [:]])
                }))
    }

    // MARK: OpenSearch's policies

    func putStatePolicy(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("name")
        guard let policy = JSONValue.object(try request.object())["policy"], case .object(let members) = policy else {
            throw .illegalArgument("policy is missing")
        }
        let known = [
            "description", "default_state", "states", "ism_template", "error_notification", "policy_id",
            "last_updated_time", "schema_version",
        ]
        for member in members where !known.contains(member.name) {
            throw .illegalArgument("Invalid field: [\(member.name)] found in Policy.")
        }
        let states = (policy["states"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
        guard policy["description"]?.stringValue != nil else { throw .illegalArgument("description is null") }
        guard let first = policy["default_state"]?.stringValue, states.contains(first) else {
            throw .illegalArgument("Policy must have a valid default state")
        }
        for state in policy["states"]?.arrayValue ?? [] {
            for transition in state["transitions"]?.arrayValue ?? [] {
                guard let next = transition["state_name"]?.stringValue, states.contains(next) else {
                    throw .illegalArgument("Policy contains a transition to a state that does not exist")
                }
            }
        }
        for template in policy["ism_template"]?.arrayValue ?? [] {
            let priority = template["priority"]?.integerValue ?? 0
            for other in state.policies.sorted(by: { $0.key < $1.key }) where other.key != name {
                let meets = (other.value["policy"]?["ism_template"]?.arrayValue ?? []).contains {
                    $0["priority"]?.integerValue ?? 0 == priority
                        && Self.overlap(template["index_patterns"]?.arrayValue ?? [], $0["index_patterns"])
                }
                guard !meets else {
                    throw .illegalArgument(
                        "New policy \(name) has an ISM template with index pattern "
                            + "\(template["index_patterns"]?.text ?? "") matching existing policy templates, please use "
                            + "a different priority than \(priority)")
                }
            }
        }
        let last = state.policies[name]?["sequence"]?.integerValue
        let expected = try request.integer("if_seq_no").map { Int64($0) }
        guard last == expected, (try request.integer("if_primary_term") == nil) == (last == nil) else {
            throw .versionConflict(
                "[\(name)]: version conflict, document already exists", index: ".opendistro-ism-config", uuid: "ism")
        }
        let kept: JSONValue = ["policy": policy, "sequence": .integer((last ?? -1) + 1)]
        state.policies[name] = kept
        try self.note("policy", name, kept)
        return RESTResponse(last == nil ? 201 : 200, self.shown(name, kept))
    }

    /// The policy that a new index gets, as it is now; it stays with this version until somebody changes it.
    func manage(_ index: String, _ state: inout State) throws(ElasticsearchError) {
        guard self.dialect.hasStatePolicies else { return }
        func priority(_ policy: JSONValue) -> Int64? {
            (policy["policy"]?["ism_template"]?.arrayValue ?? []).filter { template in
                (template["index_patterns"]?.arrayValue ?? []).contains {
                    Wildcard($0.stringValue ?? "").matches(index)
                }
            }.map { $0["priority"]?.integerValue ?? 0 }.max()
        }
        let matching = state.policies.compactMap { policy in priority(policy.value).map { (policy.key, $0) } }
        guard let name = matching.max(by: { $0.1 < $1.1 })?.0 else { return }
        try self.manage(index, by: name, &state)
    }

    private func manage(_ index: String, by policy: String, _ state: inout State) throws(ElasticsearchError) {
        let managed: JSONValue = [
            "policy_id": .string(policy), "policy_seq_no": state.policies[policy]?["sequence"] ?? 0,
        ]
        state.managed[index] = managed
        try self.note("managed", index, managed)
    }

    func changeStatePolicy(_ request: RESTRequest, _ state: inout State) throws(ElasticsearchError) -> RESTResponse {
        let body = JSONValue.object(try request.object())
        for member in body.objectValue ?? [] where !["policy_id", "state", "include", "is_safe"].contains(member.name) {
            throw .illegalArgument("Invalid field: [\(member.name)] found in ChangePolicy.")
        }
        guard let policy = body["policy_id"]?.stringValue else {
            throw .illegalArgument("ChangePolicy policy id is null")
        }
        guard state.policies[policy] != nil else {
            throw ElasticsearchError(404, "status_exception", "Could not find policy=\(policy)")
        }
        var failed: [JSONValue] = []
        var count = 0
        for name in try self.resolve(request.capture("index"), request, state) {
            guard state.managed[name] != nil else {
                failed.append([
                    "index_name": .string(name), "index_uuid": .string(state.indices[name]?.uuid ?? ""),
                    "reason": "This index is not being managed",
                ])
                continue
            }
            try self.manage(name, by: policy, &state)
            count += 1
        }
        return RESTResponse(
            200,
            [
                "updated_indices": .integer(count), "failures": .bool(!failed.isEmpty),
                "failed_indices": .array(failed),
            ])
    }

    func explainState(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let names = try self.resolve(request.capture("index"), request, state)
        let nothing: JSONValue = ["policy_id": .null]
        return RESTResponse(200, .object(names.map { JSONMember($0, state.managed[$0] ?? nothing) }))
    }

    func getStatePolicy(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("name")
        guard let kept = state.policies[name] else {
            throw ElasticsearchError(404, "status_exception", "Policy not found")
        }
        return RESTResponse(200, self.shown(name, kept))
    }

    private func shown(_ name: String, _ policy: JSONValue) -> JSONValue {
        [
            "_id": .string(name), "_version": .integer((policy["sequence"]?.integerValue ?? 0) + 1),
            "_seq_no": policy["sequence"] ?? 0, "_primary_term": 1, "policy": policy["policy"] ?? [:],
        ]
    }
}
