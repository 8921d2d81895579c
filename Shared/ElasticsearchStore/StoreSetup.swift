import JSON

/// What the store must have before records are written: a template, and a policy that deletes what is old.
/// `escapement es setup` makes them, `escapement es check` compares, a dispatcher makes what is missing.
package struct StoreSetup: Hashable, Sendable {
    /// Which documents.
    package enum Form: Hashable, Sendable {
        /// Indices `prefix-yyyy.MM.dd`.
        case native(prefix: String)
        /// OpenWhisk's indices, such as `openwhisk-%s`.
        case openWhisk(pattern: String)
    }

    /// How one of them stands.
    package enum State: Hashable, Sendable {
        case right
        case missing
        /// It is there and differs: how.
        case differs(String)
        /// It stands in the way, and no setup can change it: how.
        case conflicts(String)
        /// The server has no such thing.
        case unsupported(String)
        /// These credentials may write records and not look at this: somebody else has prepared the store.
        case hidden
    }

    package struct Finding: Hashable, Sendable {
        /// `index template escapement-activations`.
        package var what: String
        package var state: State
    }

    package var form: Form
    package var retentionDays: Int

    package init(form: Form, retentionDays: Int) {
        self.form = form
        self.retentionDays = retentionDays
    }

    var names: ActivationTemplate.Names {
        switch self.form {
        case .native(let prefix): .native(prefix: prefix)
        case .openWhisk(let pattern): .openWhisk(pattern: pattern)
        }
    }

    /// Only dated indices are deleted when they are old; OpenWhisk's hold all that a namespace ever did.
    package var retention: RetentionPolicy? {
        guard case .native = self.form else { return nil }
        return RetentionPolicy(self.names, days: self.retentionDays)
    }

    private func templatePath(on server: StoreServer) -> String {
        (server.hasComposableTemplates ? "/_index_template/" : "/_template/") + self.names.name
    }

    private func template(for server: StoreServer) -> JSONValue {
        switch self.form {
        case .native:
            ActivationTemplate.template(
                self.names, mapping: ActivationTemplate.nativeMapping(server), sortsByTime: true,
                policy: self.retention?.name, server: server)
        case .openWhisk:
            ActivationTemplate.template(
                self.names, mapping: ActivationTemplate.openWhiskMapping(server), sortsByTime: false, policy: nil,
                server: server)
        }
    }

    /// How the store stands; changes nothing.
    package func check(_ client: ElasticsearchClient) async throws(ElasticsearchError) -> [Finding] {
        let server = try await client.server()
        return try await [self.checkPolicy(client, server), self.checkTemplate(client, server)].compactMap { $0 }
            + self.checkIndices(client, server)
    }

    /// Makes what is missing, and what differs when `replacing`.
    ///
    /// - Returns: what was made.
    package func apply(
        _ client: ElasticsearchClient, replacing: Bool
    ) async throws(ElasticsearchError) -> [String] {
        let server = try await client.server()
        var made: [String] = []
        func isWanted(_ state: State) -> Bool {
            switch state {
            case .right, .conflicts, .unsupported, .hidden: false
            case .missing: true
            case .differs: replacing
            }
        }
        // The policy first: the template names it.
        if let retention = self.retention, let path = retention.path(on: server),
            let finding = try await self.checkPolicy(client, server)
        {
            // Elasticsearch deletes with the rights of whoever put the policy last: somebody with fewer may have.
            let isAdopted = replacing && server.lifecycle == .ilm && finding.state == .right
            if isWanted(finding.state) || isAdopted { try await self.putPolicy(retention, path, client, server) }
            // Also when the policy is right: an earlier run may have ended between the two.
            if replacing, isWanted(finding.state) || finding.state == .right,
                let path = retention.adoptionPath(on: server)
            {
                try await client.post(path, retention.adoption, doing: "changing the policy of the indices")
            }
            if isWanted(finding.state) { made.append(finding.what) }
        }
        let finding = try await self.checkTemplate(client, server)
        if isWanted(finding.state) {
            try await client.put(
                self.templatePath(on: server), self.template(for: server), doing: "putting the \(finding.what)")
            made.append(finding.what)
        }
        return made + (try await self.applyToIndices(client, server))
    }

    enum Visible {
        case found(JSONValue)
        case missing
    }

    /// The document at `path`; `nil` when the credentials may not see it. Those of a dispatcher need no rights over
    /// templates and policies.
    static func visible(
        _ path: String, _ client: ElasticsearchClient, doing what: String
    ) async throws(ElasticsearchError) -> Visible? {
        do throws(ElasticsearchError) {
            return try await client.get(path, doing: what).map { .found($0) } ?? .missing
        } catch {
            if error.status == 403 { return nil }
            throw error
        }
    }

    private func putPolicy(
        _ policy: RetentionPolicy, _ path: String, _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) {
        var query = ""
        // OpenSearch wants to know which state of the policy is replaced.
        if server.lifecycle == .ism, let found = try await client.get(path, doing: "reading the policy"),
            let sequence = found["_seq_no"]?.integerValue, let term = found["_primary_term"]?.integerValue
        {
            query = "?if_seq_no=\(sequence)&if_primary_term=\(term)"
        }
        try await client.put(path + query, policy.body(for: server), doing: "putting the policy \(policy.name)")
    }

    private func checkPolicy(
        _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) -> Finding? {
        guard let retention = self.retention else { return nil }
        let what = "retention, lifecycle policy \(retention.name)"
        let none = Finding(
            what: what,
            state: .unsupported(
                "\(server) has no lifecycle policies, or they are switched off: delete the indices "
                    + "\(retention.indexPattern) that are older than \(retention.days) days yourself, each day"))
        guard let path = retention.path(on: server) else { return none }
        let visible: Visible?
        do throws(ElasticsearchError) {
            visible = try await Self.visible(path, client, doing: "reading the \(what)")
        } catch {
            // A distribution without the plugin, or with the feature switched off.
            if error.isUnknownAddress { return none }
            throw error
        }
        guard let answer = visible else { return Finding(what: what, state: .hidden) }
        guard case .found(let found) = answer else { return Finding(what: what, state: .missing) }
        if retention.isSame(as: found, of: server) { return Finding(what: what, state: .right) }
        let age = retention.age(in: found, of: server).map { "deletes after \($0)" } ?? "deletes nothing"
        return Finding(what: what, state: .differs("\(age), not after \(retention.days)d"))
    }

    private func checkTemplate(
        _ client: ElasticsearchClient, _ server: StoreServer
    ) async throws(ElasticsearchError) -> Finding {
        let what = "index template \(self.names.name)"
        guard
            let answer = try await Self.visible(self.templatePath(on: server), client, doing: "reading the \(what)")
        else { return Finding(what: what, state: .hidden) }
        guard case .found(let found) = answer else { return Finding(what: what, state: .missing) }
        let body =
            server.hasComposableTemplates ? found["index_templates"]?[0]?["index_template"] : found[self.names.name]
        let patterns = body?["index_patterns"]?.arrayValue ?? []
        guard patterns.contains(.string(self.names.indexPattern)) else {
            return Finding(what: what, state: .differs("is not for \(self.names.indexPattern)"))
        }
        let version = body?["version"]?.integerValue ?? 0
        if version != Int64(ActivationTemplate.version) {
            let wanted = ActivationTemplate.version
            return Finding(what: what, state: .differs("has version \(version), not \(wanted)"))
        }
        return Finding(what: what, state: .right)
    }
}
