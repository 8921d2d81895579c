package import JSON

/// Deletes indices some days after their date: ILM of Elasticsearch, ISM of OpenSearch.
package struct RetentionPolicy: Hashable, Sendable {
    package var name: String
    package var indexPattern: String
    /// Whole days, at least one.
    package var days: Int
    /// Which of several policies of OpenSearch counts where their patterns meet.
    private var priority: Int

    package init(_ names: ActivationTemplate.Names, days: Int) {
        self.name = names.name
        self.indexPattern = names.indexPattern
        self.days = max(1, days)
        self.priority = names.priority
    }

    private var age: String { "\(self.days)d" }

    /// Where the policy lies; `nil` where the server has no such thing.
    package func path(on server: StoreServer) -> String? {
        switch server.lifecycle {
        case .ilm: "/_ilm/policy/\(self.name)"
        case .ism: "/_plugins/_ism/policies/\(self.name)"
        case .none: nil
        }
    }

    /// Where the indices that have the policy are told of a newer version of it, with `adoption` as the body; `nil` where
    /// they need not be told. OpenSearch's keep the version that they began with.
    func adoptionPath(on server: StoreServer) -> String? {
        server.lifecycle == .ism ? "/_plugins/_ism/change_policy/\(self.indexPattern)" : nil
    }

    var adoption: JSONValue { ["policy_id": .string(self.name)] }

    /// Nothing but the deletion: the server acts with the rights of whoever puts the policy, and each further action needs more.
    /// No roll-over: an index holds one date, and a replay must find it under the same name.
    package func body(for server: StoreServer) -> JSONValue {
        switch server.lifecycle {
        case .ilm, .none:
            return [
                "policy": [
                    "phases": ["delete": ["min_age": .string(self.age), "actions": ["delete": .object([])]]]
                ]
            ]
        case .ism:
            return [
                "policy": [
                    "description": "Escapement: activation records", "default_state": "hot",
                    "states": [
                        [
                            "name": "hot", "actions": .array([]),
                            "transitions": [
                                [
                                    "state_name": "delete",
                                    "conditions": ["min_index_age": .string(self.age)],
                                ]
                            ],
                        ],
                        ["name": "delete", "actions": [["delete": .object([])]], "transitions": .array([])],
                    ],
                    "ism_template": [
                        ["index_patterns": [.string(self.indexPattern)], "priority": .integer(self.priority)]
                    ],
                ]
            ]
        }
    }

    /// The age in a policy as the server shows it; `nil` when it deletes nothing.
    package func age(in answer: JSONValue, of server: StoreServer) -> String? {
        switch server.lifecycle {
        case .ilm: return answer[self.name]?["policy"]?["phases"]?["delete"]?["min_age"]?.stringValue
        case .none: return nil
        case .ism:
            let transitions = (answer["policy"]?["states"]?.arrayValue ?? [])
                .flatMap { $0["transitions"]?.arrayValue ?? [] }
            return transitions.lazy.compactMap { $0["conditions"]?["min_index_age"]?.stringValue }.first
        }
    }

    /// Whether the server's policy is this one.
    package func isSame(as answer: JSONValue, of server: StoreServer) -> Bool {
        self.age(in: answer, of: server) == self.age
    }
}
