import EscapementModel
import JSON

/// The settings of an index, as flat names with `index.` in front. An unknown name is refused.
struct IndexSettings: Equatable, Sendable {
    private(set) var values: [String: JSONValue]

    /// Changeable only while an index is made.
    private static let fixedNames: Set<String> = [
        "index.number_of_shards", "index.codec", "index.sort.field", "index.sort.order", "index.sort.mode",
        "index.sort.missing", "index.mode", "index.number_of_routing_shards", "index.routing_partition_size",
        "index.store.type", "index.soft_deletes.enabled", "index.shard.check_on_startup",
    ]
    private static let changeableNames: Set<String> = [
        "index.number_of_replicas", "index.auto_expand_replicas", "index.refresh_interval",
        "index.max_result_window", "index.hidden", "index.priority", "index.lifecycle.name",
        "index.lifecycle.rollover_alias", "index.lifecycle.indexing_complete", "index.lifecycle.origination_date",
        "index.lifecycle.parse_origination_date", "index.translog.durability", "index.translog.sync_interval",
        "index.translog.flush_threshold_size", "index.blocks.write", "index.blocks.read_only",
        "index.blocks.read_only_allow_delete", "index.blocks.read", "index.blocks.metadata",
        "index.mapping.total_fields.limit", "index.mapping.ignore_malformed", "index.mapping.coerce",
        "index.mapping.depth.limit", "index.query.default_field", "index.search.idle.after", "index.gc_deletes",
        "index.merge.policy.max_merged_segment", "index.write.wait_for_active_shards",
        "index.unassigned.node_left.delayed_timeout", "index.routing.allocation.include._tier_preference",
        "index.routing.allocation.total_shards_per_node", "index.max_terms_count",
        "index.indexing.slowlog.threshold.index.warn", "index.search.slowlog.threshold.query.warn",
    ]

    init() { self.values = [:] }

    /// - Parameter json: nested, flat or both; names may lack `index.`.
    /// - Throws: a 400 for a name that is unknown.
    init(_ json: JSONValue) throws(ElasticsearchError) {
        var flat: [String: JSONValue] = [:]
        Self.flatten(json, prefix: "", into: &flat)
        self.values = [:]
        for (name, value) in flat.sorted(by: { $0.key < $1.key }) {
            let full = name.hasPrefix("index.") ? name : "index.\(name)"
            guard Self.fixedNames.contains(full) || Self.changeableNames.contains(full) else {
                throw Self.unknown(full)
            }
            self.values[full] = Self.text(value)
        }
        try self.validate()
    }

    static func unknown(_ name: String) -> ElasticsearchError {
        .illegalArgument(
            "unknown setting [\(name)] please check that any required plugins are installed, or check the "
                + "breaking changes documentation for removed settings")
    }

    private func validate() throws(ElasticsearchError) {
        for name in ["index.number_of_shards", "index.number_of_replicas", "index.max_result_window"] {
            guard let text = self.values[name]?.stringValue else { continue }
            let least = name == "index.number_of_replicas" ? 0 : 1
            guard let number = Int(text) else {
                throw .illegalArgument("Failed to parse value [\(text)] for setting [\(name)]")
            }
            guard number >= least else {
                throw .illegalArgument("Failed to parse value [\(text)] for setting [\(name)] must be >= \(least)")
            }
        }
        if let text = self.values["index.refresh_interval"]?.stringValue, text != "-1", TimeValue.parse(text) == nil {
            throw .illegalArgument(
                "failed to parse setting [index.refresh_interval] with value [\(text)] as a time value: unit is missing "
                    + "or unrecognized")
        }
    }

    /// `self` with `other` on top.
    func merging(_ other: IndexSettings) -> IndexSettings {
        var merged = self
        merged.values.merge(other.values) { $1 }
        return merged
    }

    /// - Throws: a 400 when `update` touches what is fixed.
    mutating func change(_ update: IndexSettings, index: String, uuid: String) throws(ElasticsearchError) {
        let fixed = update.values.keys.filter { Self.fixedNames.contains($0) }.sorted()
        guard fixed.isEmpty else {
            throw .illegalArgument(
                "Can't update non dynamic settings [[\(fixed.joined(separator: ", "))]] for open indices "
                    + "[[\(index)/\(uuid)]]")
        }
        // A null takes a setting back to its default.
        self.values.merge(update.values) { $1 }
        self.values = self.values.filter { $0.value != .null }
    }

    var shardCount: Int { self.integer("index.number_of_shards") ?? 1 }
    var replicaCount: Int { self.integer("index.number_of_replicas") ?? 1 }
    var resultWindowMax: Int { self.integer("index.max_result_window") ?? 10_000 }

    /// Why the index takes no documents; `nil` when it does.
    ///
    /// - Parameter fullDiskStatus: the status of the block that a full disk brings about.
    func writeBlock(index: String, fullDiskStatus: Int) -> ElasticsearchError? {
        func isSet(_ block: String) -> Bool { self.values["index.blocks.\(block)"]?.stringValue == "true" }
        let (status, block): (Int, String)
        if isSet("read_only_allow_delete") {
            let words = fullDiskStatus == 429 ? "TOO_MANY_REQUESTS" : "FORBIDDEN"
            (status, block) = (fullDiskStatus, "\(words)/12/index has read-only-allow-delete block")
        } else if isSet("read_only") {
            (status, block) = (403, "FORBIDDEN/5/index read-only (api)")
        } else if isSet("write") {
            (status, block) = (403, "FORBIDDEN/8/index write (api)")
        } else {
            return nil
        }
        return ElasticsearchError(status, "cluster_block_exception", "index [\(index)] blocked by: [\(block)];")
    }

    /// How long a change stays unseen by searches; `nil` for ever.
    func refreshInterval(default standard: Duration) -> Duration? {
        guard let text = self.values["index.refresh_interval"]?.stringValue else { return standard }
        return text == "-1" ? nil : TimeValue.parse(text) ?? standard
    }

    private func integer(_ name: String) -> Int? { self.values[name]?.stringValue.flatMap { Int($0) } }

    /// `{"index": {"number_of_shards": "1"}}`, values as text.
    func nested(adding more: [String: JSONValue] = [:]) -> JSONValue {
        var root: JSONValue = [:]
        for (name, value) in self.values.merging(more, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            root = Self.insert(value, at: name.split(separator: ".").map(String.init)[...], into: root)
        }
        return root
    }

    func flat(adding more: [String: JSONValue] = [:]) -> JSONValue {
        let all = self.values.merging(more, uniquingKeysWith: { $1 }).sorted { $0.key < $1.key }
        return .object(all.map { JSONMember($0.key, $0.value) })
    }

    private static func insert(_ value: JSONValue, at path: ArraySlice<String>, into object: JSONValue) -> JSONValue {
        guard let name = path.first, case .object(var members) = object else { return value }
        let rest = path.dropFirst()
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index].value = self.insert(value, at: rest, into: members[index].value)
        } else {
            members.append(JSONMember(name, rest.isEmpty ? value : self.insert(value, at: rest, into: [:])))
        }
        return .object(members)
    }

    private static func flatten(_ json: JSONValue, prefix: String, into flat: inout [String: JSONValue]) {
        guard case .object(let members) = json else {
            flat[prefix] = json
            return
        }
        for member in members {
            self.flatten(member.value, prefix: prefix.isEmpty ? member.name : "\(prefix).\(member.name)", into: &flat)
        }
    }

    /// Settings are text, lists of text, or null.
    private static func text(_ value: JSONValue) -> JSONValue {
        switch value {
        case .null, .string: value
        case .array(let elements): .array(elements.map { self.text($0) })
        case .bool, .number, .object: .string(value.text)
        }
    }
}

/// Time values as settings and parameters spell them: `5s`, `1m`, `500ms`.
enum TimeValue {
    /// - Returns: `nil` for anything else, and for what does not fit.
    static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int64(digits), count < 1 << 40 else { return nil }
        switch text.dropFirst(digits.count) {
        case "nanos": return .nanoseconds(count)
        case "micros": return .microseconds(count)
        case "ms": return .milliseconds(count)
        case "s": return .seconds(count)
        case "m": return .seconds(count * 60)
        case "h": return .seconds(count * 3600)
        case "d": return .seconds(count * 86_400)
        case "": return count == 0 ? .zero : nil
        default: return nil
        }
    }
}
