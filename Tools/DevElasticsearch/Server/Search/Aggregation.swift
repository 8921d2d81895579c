import EscapementModel
import JSON

/// Aggregations over the documents that a query found.
struct Aggregation {
    /// A document and the index it is in.
    struct Row {
        var document: StoredDocument
        var target: Query.Target

        func values(_ path: String) -> [FieldValue] {
            self.target.number(of: path).map { self.document.values($0) } ?? []
        }
    }

    private static let bucketsMax = 65_536

    private let json: JSONValue
    private let body: RequestBody
    private let dialect: ServerDialect

    /// - Parameter json: `{"name": {"terms": {…}, "aggs": {…}}}`.
    init(_ json: JSONValue, body: RequestBody, dialect: ServerDialect) {
        self.json = json
        self.body = body
        self.dialect = dialect
    }

    func compute(_ rows: [Row]) throws(ElasticsearchError) -> JSONValue {
        var results: [JSONMember] = []
        for aggregation in self.json.objectValue ?? [] {
            var kind: JSONMember?
            var inner: JSONValue?
            for member in aggregation.value.objectValue ?? [] {
                switch member.name {
                case "aggs", "aggregations": inner = member.value
                case "meta": continue
                default:
                    if let kind {
                        throw .parsing(
                            "Found two aggregation type definitions in [\(aggregation.name)]: [\(kind.name)] and "
                                + "[\(member.name)]", at: member.name, in: self.body)
                    }
                    kind = member
                }
            }
            guard let kind else {
                throw .parsing(
                    "Missing definition for aggregation [\(aggregation.name)]", at: aggregation.name, in: self.body)
            }
            let nested = inner.map { Aggregation($0, body: self.body, dialect: self.dialect) }
            results.append(JSONMember(aggregation.name, try self.one(kind.name, kind.value, nested, rows)))
        }
        return .object(results)
    }

    private func one(
        _ kind: String, _ options: JSONValue, _ nested: Aggregation?, _ rows: [Row]
    ) throws(ElasticsearchError) -> JSONValue {
        switch kind {
        case "terms": return try self.terms(options, nested, rows)
        case "date_histogram": return try self.dateHistogram(options, nested, rows)
        case "filter": return try self.bucket(rows.filtered(by: options), nested)
        case "filters":
            var buckets: [JSONMember] = []
            for filter in options["filters"]?.objectValue ?? [] {
                buckets.append(JSONMember(filter.name, try self.bucket(rows.filtered(by: filter.value), nested)))
            }
            return ["buckets": .object(buckets)]
        case "missing":
            let path = try self.field(kind, options)
            return try self.bucket(rows.filter { $0.values(path).isEmpty }, nested)
        case "percentiles": return try self.percentiles(options, rows)
        case "value_count":
            let path = try self.field(kind, options)
            return ["value": .integer(Int64(rows.reduce(0) { $0 + $1.values(path).count }))]
        case "cardinality":
            let path = try self.field(kind, options)
            return ["value": .integer(Int64(Set(rows.flatMap { $0.values(path) }).count))]
        case "min", "max", "avg", "sum", "stats": return try self.numbers(kind, options, rows)
        default:
            throw .parsing("Unknown aggregation type [\(kind)]", at: kind, in: self.body)
        }
    }

    private func field(_ kind: String, _ options: JSONValue) throws(ElasticsearchError) -> String {
        guard let path = options["field"]?.stringValue else {
            throw .illegalArgument("Required one of fields [field, script], but none were specified. ")
        }
        return path
    }

    private func bucket(
        _ rows: [Row], _ nested: Aggregation?, _ head: [JSONMember] = []
    ) throws(ElasticsearchError) -> JSONValue {
        var members = head + [JSONMember("doc_count", .integer(Int64(rows.count)))]
        if let nested { members += try nested.compute(rows).objectValue ?? [] }
        return .object(members)
    }

    private func terms(_ options: JSONValue, _ nested: Aggregation?, _ rows: [Row]) throws(ElasticsearchError)
        -> JSONValue
    {
        let known = ["field", "size", "order", "min_doc_count", "missing", "shard_size", "include", "exclude"]
        for member in options.objectValue ?? [] where !known.contains(member.name) {
            throw .parsing("[terms] unknown field [\(member.name)]", at: member.name, in: self.body)
        }
        let path = try self.field("terms", options)
        var groups: [FieldValue: [Row]] = [:]
        for row in rows {
            if let field = row.target.field(path), !field.hasDocValues {
                throw .illegalArgument("Fielddata is disabled on [\(path)] in [\(row.target.index.name)].")
            }
            for value in Set(row.values(path)) { groups[value, default: []].append(row) }
        }
        let least = Int(options["min_doc_count"]?.integerValue ?? 1)
        let byKey = options["order"]?["_key"]?.stringValue
        let sorted = groups.filter { $0.value.count >= least }.sorted { left, right in
            if let byKey {
                let order = FieldOrder.compare(left.key, right.key)
                return byKey == "desc" ? order > 0 : order < 0
            }
            if left.value.count != right.value.count {
                return (left.value.count > right.value.count) == (options["order"]?["_count"]?.stringValue != "asc")
            }
            return FieldOrder.compare(left.key, right.key) < 0
        }
        let size = Int(options["size"]?.integerValue ?? 10)
        guard size > 0 else { throw .illegalArgument("[size] must be greater than 0. Found [\(size)] in [terms]") }
        var buckets: [JSONValue] = []
        for (key, rows) in sorted.prefix(size) {
            var head = [JSONMember("key", Sort.json(key))]
            if case .date(let milliseconds) = key {
                head.append(
                    JSONMember("key_as_string", .string(WallInstant(milliseconds: milliseconds).description)))
            }
            buckets.append(try self.bucket(rows, nested, head))
        }
        let others = sorted.dropFirst(size).reduce(0) { $0 + $1.value.count }
        return [
            "doc_count_error_upper_bound": 0, "sum_other_doc_count": .integer(Int64(others)),
            "buckets": .array(buckets),
        ]
    }

    private func dateHistogram(
        _ options: JSONValue, _ nested: Aggregation?, _ rows: [Row]
    ) throws(ElasticsearchError) -> JSONValue {
        var known = [
            "field", "min_doc_count", "extended_bounds", "time_zone", "format", "offset", "order", "keyed", "missing",
            "hard_bounds",
        ]
        if self.dialect.hasFixedIntervals { known += ["fixed_interval", "calendar_interval"] }
        if self.dialect.hasPlainIntervals { known.append("interval") }
        for member in options.objectValue ?? [] where !known.contains(member.name) {
            throw .parsing("[date_histogram] unknown field [\(member.name)]", at: member.name, in: self.body)
        }
        let path = try self.field("date_histogram", options)
        let names = [
            "1s": 1000, "second": 1000, "1m": 60_000, "minute": 60_000, "1h": 3_600_000, "hour": 3_600_000,
            "1d": 86_400_000, "day": 86_400_000,
        ]
        let interval: Int64
        if let text = (options["fixed_interval"] ?? options["interval"])?.stringValue,
            let duration = TimeValue.parse(text),
            duration > .zero
        {
            interval = duration.wholeMilliseconds
        } else if let text = options["calendar_interval"]?.stringValue, let length = names[text] {
            interval = Int64(length)
        } else {
            throw .illegalArgument("Invalid interval specified, must be non-null and non-empty")
        }
        var groups: [Int64: [Row]] = [:]
        for row in rows {
            for case .date(let milliseconds) in row.values(path) {
                let start = milliseconds - ((milliseconds % interval) + interval) % interval
                groups[start, default: []].append(row)
            }
        }
        let least = Int(options["min_doc_count"]?.integerValue ?? 0)
        var keys = groups.keys.sorted()
        if least == 0, let first = keys.first, let last = keys.last {
            guard (last - first) / interval < Self.bucketsMax else {
                throw ElasticsearchError(
                    400, "too_many_buckets_exception",
                    "Trying to create too many buckets. Must be less than or equal to: [\(Self.bucketsMax)]")
            }
            keys = Array(stride(from: first, through: last, by: Int64.Stride(interval)))
        }
        var buckets: [JSONValue] = []
        for key in keys where (groups[key]?.count ?? 0) >= least {
            let head = [
                JSONMember("key_as_string", .string(WallInstant(milliseconds: key).description)),
                JSONMember("key", .integer(key)),
            ]
            buckets.append(try self.bucket(groups[key] ?? [], nested, head))
        }
        return ["buckets": .array(buckets)]
    }

    private func sample(_ path: String, _ rows: [Row]) throws(ElasticsearchError) -> [Double] {
        var numbers: [Double] = []
        for row in rows {
            if let field = row.target.field(path), !field.type.isNumber, !field.type.isDate, field.type != .boolean {
                throw .illegalArgument(
                    "Field [\(path)] of type [\(field.type.rawValue)] is not supported for aggregation")
            }
            numbers += row.values(path).map { FieldOrder.number($0) }
        }
        return numbers
    }

    private func numbers(_ kind: String, _ options: JSONValue, _ rows: [Row]) throws(ElasticsearchError) -> JSONValue {
        let path = try self.field(kind, options)
        var sample = try self.sample(path, rows)
        if let missing = options["missing"]?.doubleValue {
            sample += rows.filter { $0.values(path).isEmpty }.map { _ in missing }
        }
        let sum = sample.reduce(0, +)
        func number(_ value: Double?) -> JSONValue { value.map { .number("\($0)") } ?? .null }
        let average = sample.isEmpty ? nil : sum / Double(sample.count)
        switch kind {
        case "min": return ["value": number(sample.min())]
        case "max": return ["value": number(sample.max())]
        case "avg": return ["value": number(average)]
        case "sum": return ["value": number(sum)]
        default:
            return [
                "count": .integer(Int64(sample.count)), "min": number(sample.min()), "max": number(sample.max()),
                "avg": number(average), "sum": number(sum),
            ]
        }
    }

    /// Linear between the two nearest of the sorted sample, as the real server's digest is for small samples.
    private func percentiles(_ options: JSONValue, _ rows: [Row]) throws(ElasticsearchError) -> JSONValue {
        let sample = try self.sample(try self.field("percentiles", options), rows).sorted()
        let percents = options["percents"]?.arrayValue?.compactMap(\.doubleValue) ?? [1, 5, 25, 50, 75, 95, 99]
        let isKeyed = options["keyed"]?.boolValue ?? true
        var values: [JSONMember] = []
        for percent in percents {
            guard (0...100).contains(percent) else {
                throw .illegalArgument("percent must be in [0,100], got [\(percent)]")
            }
            var value: JSONValue = .null
            if !sample.isEmpty {
                let position = percent / 100 * Double(sample.count - 1)
                let low = Int(position.rounded(.down))
                let high = min(low + 1, sample.count - 1)
                value = .number("\(sample[low] + (sample[high] - sample[low]) * (position - Double(low)))")
            }
            values.append(JSONMember("\(percent)", value))
        }
        if isKeyed { return ["values": .object(values)] }
        return ["values": .array(values.map { ["key": .number($0.name), "value": $0.value] })]
    }
}

extension [Aggregation.Row] {
    /// The rows that `query` matches.
    func filtered(by query: JSONValue) throws(ElasticsearchError) -> [Aggregation.Row] {
        var compiled: [String: Query] = [:]
        var found: [Aggregation.Row] = []
        for row in self {
            let name = row.target.index.name
            let test: Query
            if let known = compiled[name] {
                test = known
            } else {
                test = try Query(query, for: row.target)
                compiled[name] = test
            }
            if test.matches(row.document) { found.append(row) }
        }
        return found
    }
}
