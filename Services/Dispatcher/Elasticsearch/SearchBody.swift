import DispatcherService
import EscapementModel
import JSON

/// Searches for activation records as Elasticsearch's query language says them.
struct SearchBody {
    let search: ActivationSearch
    /// Before each field's name: `annotations.escapement.` in OpenWhisk's documents.
    let prefix: String

    private func field(_ name: String) -> String { self.prefix + name }

    private static func clause(_ kind: String, _ field: String, _ value: JSONValue) -> JSONValue {
        .object([JSONMember(kind, .object([JSONMember(field, value)]))])
    }

    /// What must match, in filter context: no scores, cacheable.
    var query: JSONValue {
        let search = self.search
        var filters: [JSONValue] = []
        func add(_ name: String, _ value: String?) {
            if let value { filters.append(Self.clause("term", self.field(name), .string(value))) }
        }
        add("namespace", search.namespace)
        add("schedule", search.schedule)
        add("outcome", search.outcome)
        add("reason", search.reason)
        add("kind", search.kind)
        add("activation_id", search.activationID)
        add("action", search.action)
        for label in search.labels { add("labels.\(label.name)", label.value) }
        if search.from != nil || search.to != nil {
            let range = JSONValue.record([
                "gte": search.from.map { .string($0.description) }, "lt": search.to.map { .string($0.description) },
            ])
            filters.append(Self.clause("range", self.field("scheduled_at"), range))
        }
        for word in search.words { filters.append(self.query(word: word)) }
        return ["bool": ["filter": .array(filters)]]
    }

    /// A word of the name or the error, whatever its case, or how the name or the action begins, to the letter.
    private func query(word: String) -> JSONValue {
        let text = JSONValue.string(word)
        // The server cuts `nightly-report` into two words, of which any one would do.
        let all: JSONValue = ["query": text, "operator": "and"]
        return [
            "bool": [
                "should": [
                    Self.clause("match", self.field("schedule.text"), all),
                    Self.clause("match", self.field("error"), all),
                    Self.clause("prefix", self.field("schedule"), text),
                    Self.clause("prefix", self.field("action"), text),
                ],
                "minimum_should_match": 1,
            ]
        ]
    }

    /// A page: keyset paging over time and id. Records never change and the id is unique, so a page continues where
    /// the last one ended without the server holding a view open (no point in time).
    ///
    /// - Parameter countsToBound: the server can stop counting.
    func page(countsToBound: Bool) -> JSONValue {
        let search = self.search
        let order: JSONValue = ["order": "desc", "unmapped_type": "date"]
        let idOrder: JSONValue = ["order": "desc", "unmapped_type": "keyword"]
        let count: JSONValue =
            switch search.countBound {
            case nil: false
            case let bound? where countsToBound: .integer(bound)
            case _?: true
            }
        return .record([
            "size": .integer(search.pageSize), "query": self.query,
            // Payloads may be large, and a list shows none: whoever wants one asks for its record.
            "_source": search.showsPayloads ? nil : ["excludes": [.string(self.field("payload"))]],
            "sort": [
                .object([JSONMember(self.field("scheduled_at"), order)]),
                .object([JSONMember(self.field("activation_id"), idOrder)]),
            ],
            "track_total_hits": count,
            "search_after": search.after.map { [.integer($0.scheduled.milliseconds), .string($0.id)] },
        ])
    }

    /// Buckets over time with outcomes and percentiles of lateness.
    func summary(every interval: ActivationInterval, fixedInterval: Bool) -> JSONValue {
        let length = JSONValue.string("\(interval.seconds)s")
        let histogram: JSONValue = .record([
            "field": .string(self.field("scheduled_at")), "min_doc_count": 1,
            // Elasticsearch before 7.2 knows one kind of interval only.
            "fixed_interval": fixedInterval ? length : nil, "interval": fixedInterval ? nil : length,
        ])
        let lateness: JSONValue = .string(self.field("lateness_ms"))
        return [
            "size": 0, "query": self.query, "track_total_hits": false,
            "aggs": [
                "times": [
                    "date_histogram": histogram,
                    "aggs": [
                        "outcomes": [
                            "terms": ["field": .string(self.field("outcome")), "size": 10],
                            // A record may stand for a run of skipped ones.
                            "aggs": ["occurrences": ["sum": ["field": .string(self.field("count")), "missing": 1]]],
                        ],
                        "lateness": ["percentiles": ["field": lateness, "percents": [50, 95, 99], "keyed": false]],
                        "latest": ["max": ["field": lateness]],
                    ],
                ]
            ],
        ]
    }

    /// Reads the answer to `summary`.
    ///
    /// - Returns: `nil` when it has another shape.
    static func buckets(_ aggregations: JSONValue?) -> [ActivationBucket]? {
        // Without any index there are no aggregations.
        guard let aggregations else { return [] }
        guard let found = aggregations["times"]?["buckets"]?.arrayValue else { return nil }
        return found.compactMap { bucket in
            guard let start = bucket["key"]?.doubleValue else { return nil }
            var outcomes: [String: Int64] = [:]
            for outcome in bucket["outcomes"]?["buckets"]?.arrayValue ?? [] {
                guard let name = outcome["key"]?.stringValue else { continue }
                outcomes[name] = Int64(outcome["occurrences"]?["value"]?.doubleValue ?? 0)
            }
            var percentiles: [Double: Double] = [:]
            for value in bucket["lateness"]?["values"]?.arrayValue ?? [] {
                if let percent = value["key"]?.doubleValue { percentiles[percent] = value["value"]?.doubleValue }
            }
            var lateness: ActivationBucket.Lateness?
            if let p50 = percentiles[50], let p95 = percentiles[95], let p99 = percentiles[99],
                let max = bucket["latest"]?["value"]?.doubleValue
            {
                lateness = .init(p50: p50, p95: p95, p99: p99, max: max)
            }
            return ActivationBucket(
                start: WallInstant(milliseconds: Int64(start)), outcomes: outcomes, lateness: lateness)
        }
    }
}
