package import JSON

/// The index template of activation documents.
package enum ActivationTemplate {
    /// For indices `prefix-yyyy.MM.dd`. Not a data stream: ids are unique within one index only, so the index
    /// must follow from the document. `dynamic: false` keeps newer writers working with an older template.
    package static func template(prefix: String) -> JSONValue {
        let keyword: JSONValue = ["type": "keyword"]
        let date: JSONValue = ["type": "date"]
        let long: JSONValue = ["type": "long"]
        let integer: JSONValue = ["type": "integer"]
        let short: JSONValue = ["type": "short"]
        let properties: JSONValue = [
            "@timestamp": date, "schema_version": ["type": "byte"],
            "activation_id": keyword, "cluster": keyword, "namespace": keyword,
            "schedule": ["type": "keyword", "fields": ["text": ["type": "text"]]],
            "schedule_uid": keyword, "generation": long, "kind": keyword,
            "action": keyword, "labels": ["type": "flattened"],
            "scheduled_at": date, "dispatched_at": date, "lateness_ms": long,
            "outcome": keyword, "reason": keyword, "attempts": short,
            "error": ["type": "text"], "count": long, "through_at": date,
            "kafka": ["properties": ["topic": keyword, "partition": integer, "offset": long]],
            "shard": short, "epoch": long, "ticker": keyword, "dispatcher": keyword,
            "payload_bytes": integer, "payload_sha256": ["type": "keyword", "doc_values": false],
            "payload": ["type": "keyword", "index": false, "doc_values": false],
            "trace_id": keyword,
        ]
        return [
            "index_patterns": [.string("\(prefix)-*")],
            "priority": 300,
            "template": [
                "settings": [
                    "number_of_shards": 1, "index.codec": "best_compression", "index.refresh_interval": "5s",
                    "index.sort.field": ["@timestamp"], "index.sort.order": ["desc"],
                ],
                "mappings": ["dynamic": false, "properties": properties],
                "aliases": .object([]),
            ],
            "_meta": ["managed_by": "escapement", "version": 1],
        ]
    }
}
