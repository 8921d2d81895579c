package import JSON

/// The index templates of activation documents.
package enum ActivationTemplate {
    /// Grows with each change of a template; `es setup` replaces an older one, `es check` names it.
    package static let version = 2

    /// What the templates need to know.
    package struct Names: Hashable, Sendable {
        /// The template's own name, and the lifecycle policy's.
        package var name: String
        /// `escapement-activations-*`.
        package var indexPattern: String

        /// Which of several templates or policies counts where their patterns meet. Servers refuse two of equal weight:
        /// the longer pattern is the closer one.
        var priority: Int { 300 + self.indexPattern.utf8.count }

        package init(name: String, indexPattern: String) {
            self.name = name
            self.indexPattern = indexPattern
        }

        /// For indices `prefix-yyyy.MM.dd`.
        package static func native(prefix: String) -> Names { Names(name: prefix, indexPattern: "\(prefix)-*") }

        /// For OpenWhisk's indices; `pattern` has one `%s`, or none when all namespaces share an index.
        package static func openWhisk(pattern: String) -> Names {
            let pattern = pattern.hasPrefix("/") ? String(pattern.dropFirst()) : pattern
            let name = pattern.replacing("%s", with: "").filter { $0.isLetter || $0.isNumber || $0 == "-" }
            return Names(
                name: "escapement-\(name.hasSuffix("-") ? String(name.dropLast()) : name)",
                indexPattern: pattern.replacing("%s", with: "*"))
        }
    }

    /// Where our own part of an OpenWhisk document lies.
    package static let openWhiskPart = "annotations.escapement"

    /// The mapping of native documents. `dynamic: false` keeps newer writers working with an older template.
    package static func nativeMapping(_ server: StoreServer) -> JSONValue {
        ["dynamic": false, "properties": self.nativeProperties(server)]
    }

    private static func nativeProperties(_ server: StoreServer) -> JSONValue {
        let keyword: JSONValue = ["type": "keyword"]
        let date: JSONValue = ["type": "date"]
        let long: JSONValue = ["type": "long"]
        let integer: JSONValue = ["type": "integer"]
        let short: JSONValue = ["type": "short"]
        // Where labels cannot be one field they are kept and not searched: a field for each label that anyone
        // thinks of would fill the mapping.
        let labels: JSONValue =
            server.flattenedType.map { ["type": .string($0)] } ?? ["type": "object", "enabled": false]
        return [
            "@timestamp": date, "schema_version": ["type": "byte"],
            "activation_id": keyword, "cluster": keyword, "namespace": keyword,
            "schedule": ["type": "keyword", "fields": ["text": ["type": "text"]]],
            "schedule_uid": keyword, "generation": long, "kind": keyword,
            "action": keyword, "labels": labels,
            "scheduled_at": date, "dispatched_at": date, "lateness_ms": long,
            "outcome": keyword, "reason": keyword, "attempts": short,
            "error": ["type": "text"], "count": long, "through_at": date,
            "kafka": ["properties": ["topic": keyword, "partition": integer, "offset": long]],
            "shard": short, "epoch": long, "ticker": keyword, "dispatcher": keyword,
            "payload_bytes": integer, "payload_sha256": ["type": "keyword", "doc_values": false],
            "payload": ["type": "keyword", "index": false, "doc_values": false],
            "trace_id": keyword,
        ]
    }

    /// OpenWhisk's document as dynamic mapping would make it, which its queries rely upon, with the types that
    /// must not depend on a first document; what is ours is under `annotations.escapement`.
    package static func openWhiskMapping(_ server: StoreServer) -> JSONValue {
        let long: JSONValue = ["type": "long"]
        let phrase: JSONValue = [
            "type": "text", "fields": ["keyword": ["type": "keyword", "ignore_above": 256]],
        ]
        return [
            "properties": [
                "@timestamp": ["type": "date"], "activationId": phrase, "namespace": phrase, "name": phrase,
                "path": phrase, "subject": phrase, "entityType": phrase, "version": phrase, "cause": phrase,
                "start": long, "end": long, "duration": long, "updated": long, "publish": ["type": "boolean"],
                "logs": ["type": "text"],
                "response": ["properties": ["statusCode": long, "size": long, "result": ["type": "text"]]],
                "annotations": [
                    "properties": [
                        "path": phrase, "kind": phrase,
                        "escapement": ["dynamic": false, "properties": self.nativeProperties(server)],
                    ]
                ],
            ]
        ]
    }

    /// The template in the server's form: no data stream, because ids are unique within one index only, so the
    /// index must follow from the document.
    ///
    /// - Parameter policy: the lifecycle policy to name, where there are such.
    package static func template(
        _ names: Names, mapping: JSONValue, sortsByTime: Bool, policy: String?, server: StoreServer
    ) -> JSONValue {
        var settings: [JSONMember] = [
            JSONMember("index.number_of_shards", 1), JSONMember("index.codec", "best_compression"),
            JSONMember("index.refresh_interval", "2s"),
        ]
        if sortsByTime {
            // As history is read: a page is found without visiting the rest.
            settings.append(JSONMember("index.sort.field", ["scheduled_at"]))
            settings.append(JSONMember("index.sort.order", ["desc"]))
            // A copy on another node as soon as there is one; a single node is not asked for what it cannot have.
            settings.append(JSONMember("index.auto_expand_replicas", "0-1"))
        }
        if let policy, server.lifecycle == .ilm {
            settings.append(JSONMember("index.lifecycle.name", .string(policy)))
            // A record of an old instant is as old as the instant.
            if sortsByTime, server.readsDateOfName {
                settings.append(JSONMember("index.lifecycle.parse_origination_date", true))
            }
        }
        let typed: JSONValue = server.documentType.map { .object([JSONMember($0, mapping)]) } ?? mapping
        if server.hasComposableTemplates {
            return [
                "index_patterns": [.string(names.indexPattern)], "priority": .integer(names.priority),
                "version": .integer(self.version),
                "template": ["settings": .object(settings), "mappings": typed, "aliases": .object([])],
                "_meta": ["managed_by": "escapement", "version": .integer(self.version)],
            ]
        }
        return [
            "index_patterns": [.string(names.indexPattern)], "order": .integer(names.priority),
            "version": .integer(self.version),
            "settings": .object(settings), "mappings": typed, "aliases": .object([]),
        ]
    }
}
