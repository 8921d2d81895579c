import EscapementModel
import JSON

/// A query against the mapping of one index, ready to be asked of documents. An unknown query, field option or shape is
/// refused as the real server refuses it.
struct Query {
    typealias Test = (StoredDocument) -> Bool

    /// What a query is compiled for.
    struct Target {
        var index: IndexStore
        var now: WallInstant
        /// For the place of a mistake.
        var body: RequestBody

        func number(of path: String) -> UInt16? { self.index.fieldNumbers[path] }

        /// The mapping of `path`, or of the flattened field that it lies in.
        func field(_ path: String) -> FieldMapping? {
            if let field = self.index.mapping.fields[path] { return field }
            var steps = path.split(separator: ".")[...]
            while steps.count > 1 {
                steps = steps.dropLast()
                if let field = self.index.mapping.fields[steps.joined(separator: ".")], field.type.isFlattened {
                    return field
                }
            }
            return nil
        }
    }

    let matches: Test

    /// - Parameter json: `{"term": {"outcome": "dispatched"}}`; `nil` matches all.
    init(_ json: JSONValue?, for target: Target) throws(ElasticsearchError) {
        self.matches =
            try json.map { json throws(ElasticsearchError) in try Self.compile(json, target) } ?? { _ in true }
    }

    private static func compile(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        guard case .object(let members) = json else {
            throw .parsing("[_na] query malformed, must start with start_object", at: "query", in: target.body)
        }
        guard let query = members.first else { throw .illegalArgument("query malformed, empty clause found") }
        guard members.count == 1 else {
            throw .parsing(
                "[\(query.name)] malformed query, expected [END_OBJECT] but found [FIELD_NAME]", at: members[1].name,
                in: target.body)
        }
        switch query.name {
        case "match_all": return { _ in true }
        case "match_none": return { _ in false }
        case "term": return try self.term(query.value, target)
        case "terms": return try self.terms(query.value, target)
        case "range": return try self.range(query.value, target)
        case "exists": return try self.exists(query.value, target)
        case "ids": return try self.ids(query.value, target)
        case "prefix": return try self.pattern(query.name, query.value, target) { value, text in text.hasPrefix(value) }
        case "wildcard":
            return try self.pattern(query.name, query.value, target) { value, text in
                Wildcard(value, knowsQuestionMark: true).matches(text)
            }
        case "match", "match_phrase": return try self.match(query.name, query.value, target)
        case "bool": return try self.bool(query.value, target)
        case "constant_score":
            guard let filter = query.value["filter"] else {
                throw .parsing("[constant_score] requires a 'filter' element", at: query.name, in: target.body)
            }
            return try self.compile(filter, target)
        default:
            throw .parsing("unknown query [\(query.name)]", at: query.name, in: target.body)
        }
    }

    // MARK: Leaves

    /// The one field of a leaf query, and what it says of it.
    private static func single(
        _ name: String, _ json: JSONValue, _ target: Target
    ) throws(ElasticsearchError) -> JSONMember {
        let members = (json.objectValue ?? []).filter { $0.name != "boost" && $0.name != "_name" }
        guard let member = members.first else {
            throw .illegalArgument("field name is null or empty")
        }
        guard members.count == 1 else {
            throw .parsing(
                "[\(name)] query doesn't support multiple fields, found [\(member.name)] and [\(members[1].name)]",
                at: members[1].name, in: target.body)
        }
        return member
    }

    private static func options(
        _ name: String, _ json: JSONValue, _ known: Set<String>, _ target: Target
    ) throws(ElasticsearchError) {
        for member in json.objectValue ?? [] where !known.contains(member.name) {
            throw .parsing("[\(name)] query does not support [\(member.name)]", at: member.name, in: target.body)
        }
    }

    /// A value as the field compares it.
    private static func value(
        _ json: JSONValue, _ field: FieldMapping, _ path: String
    ) throws(ElasticsearchError) -> FieldValue? {
        do {
            return try field.parse(json)
        } catch {
            throw ElasticsearchError(
                400, "query_shard_exception", "failed to create query: \(error.reason)",
                causedBy: ElasticsearchError.simpleCause(error.type, error.reason))
        }
    }

    private static func equals(_ path: String, _ value: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test
    {
        if path == "_id" { return { document in document.id == value.stringValue } }
        if path == "_index" { return { [name = target.index.name] _ in name == value.stringValue } }
        guard let field = target.field(path), let number = target.number(of: path),
            let wanted = try self.value(value, field, path)
        else { return { _ in false } }
        if field.type.isAnalysed {
            let word = value.stringValue ?? value.text
            return { document in document.values(number).contains { Analysis.words($0).contains(word) } }
        }
        return { document in document.postings.contains { $0.field == number && $0.value == wanted } }
    }

    private static func term(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        let member = try self.single("term", json, target)
        guard case .object = member.value else { return try self.equals(member.name, member.value, target) }
        try self.options("term", member.value, ["value", "boost", "case_insensitive", "_name"], target)
        return try self.equals(member.name, member.value["value"] ?? .null, target)
    }

    private static func terms(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        let member = try self.single("terms", json, target)
        guard let values = member.value.arrayValue else {
            throw .parsing("[terms] query does not support [\(member.name)]", at: member.name, in: target.body)
        }
        var tests: [Test] = []
        for value in values { tests.append(try self.equals(member.name, value, target)) }
        return { [tests] document in tests.contains { $0(document) } }
    }

    private static func range(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        let member = try self.single("range", json, target)
        let known: Set<String> = ["gt", "gte", "lt", "lte", "boost", "format", "time_zone", "relation", "_name"]
        try self.options("range", member.value, known, target)
        guard let field = target.field(member.name), let number = target.number(of: member.name) else {
            return { _ in false }
        }
        var bounds: [(FieldValue) -> Bool] = []
        for bound in member.value.objectValue ?? [] where bound.value != .null {
            let isLower = bound.name == "gt" || bound.name == "gte"
            guard isLower || bound.name == "lt" || bound.name == "lte" else { continue }
            let isInclusive = bound.name.hasSuffix("e")
            let limit: FieldValue?
            if field.type.isDate {
                // `gt 2026-01-01` begins after that day, `lte` covers it.
                let rounding: DateFormat.Rounding = isLower == isInclusive ? .down : .up
                let text = bound.value.stringValue ?? bound.value.text
                guard
                    let instant = DateMath.parse(
                        text, format: field.dateFormat, rounding: rounding, now: target.now)
                else {
                    throw ElasticsearchError(
                        400, "parse_exception",
                        "failed to parse date field [\(text)] with format [\(field.dateFormat.text)]")
                }
                limit = .date(instant.milliseconds)
            } else {
                limit = try self.value(bound.value, field, member.name)
            }
            guard let limit else { continue }
            bounds.append { value in
                let order = FieldOrder.compare(value, limit)
                return isLower ? (isInclusive ? order >= 0 : order > 0) : (isInclusive ? order <= 0 : order < 0)
            }
        }
        return { [bounds] document in
            document.postings.contains { posting in
                posting.field == number && bounds.allSatisfy { $0(posting.value) }
            }
        }
    }

    private static func exists(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        try self.options("exists", json, ["field", "boost", "_name"], target)
        guard let path = json["field"]?.stringValue else {
            throw .parsing("[exists] must be provided with a [field]", at: "exists", in: target.body)
        }
        let prefix = "\(path)."
        let numbers = Set(
            target.index.fieldNumbers.filter { $0.key == path || $0.key.hasPrefix(prefix) }.map(\.value))
        return { document in document.postings.contains { numbers.contains($0.field) } }
    }

    private static func ids(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        try self.options("ids", json, ["values", "boost", "_name"], target)
        let ids = Set((json["values"]?.arrayValue ?? []).compactMap(\.stringValue))
        return { document in ids.contains(document.id) }
    }

    private static func pattern(
        _ name: String, _ json: JSONValue, _ target: Target, _ test: @escaping (String, String) -> Bool
    ) throws(ElasticsearchError) -> Test {
        let member = try self.single(name, json, target)
        if case .object = member.value {
            try self.options(
                name, member.value, ["value", "wildcard", "boost", "case_insensitive", "rewrite", "_name"], target)
        }
        let value = member.value["value"] ?? member.value["wildcard"] ?? member.value
        guard var text = value.stringValue else {
            throw .illegalArgument("value cannot be null or empty")
        }
        let ignoresCase = member.value["case_insensitive"]?.boolValue ?? false
        if ignoresCase { text = text.lowercased() }
        guard let number = target.number(of: member.name) else { return { _ in false } }
        return { document in
            document.values(number).contains { value in
                guard case .string(let own) = value else { return false }
                return test(text, ignoresCase ? own.lowercased() : own)
            }
        }
    }

    private static func match(_ name: String, _ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        let member = try self.single(name, json, target)
        if case .object = member.value {
            try self.options(
                name, member.value,
                ["query", "operator", "boost", "minimum_should_match", "lenient", "slop", "zero_terms_query", "_name"],
                target)
        }
        let value = member.value["query"] ?? member.value
        guard let field = target.field(member.name), let number = target.number(of: member.name) else {
            return { _ in false }
        }
        guard field.type.isAnalysed else { return try self.equals(member.name, value, target) }
        let wanted = Analysis.words(.string(value.stringValue ?? value.text))
        let needsAll = name == "match_phrase" || member.value["operator"]?.stringValue?.lowercased() == "and"
        return { document in
            document.values(number).contains { value in
                let words = Analysis.words(value)
                if name == "match_phrase" { return words.firstRange(of: wanted) != nil && !wanted.isEmpty }
                return needsAll
                    ? wanted.allSatisfy { words.contains($0) } : wanted.contains { words.contains($0) }
            }
        }
    }

    // MARK: Bool

    private static func bool(_ json: JSONValue, _ target: Target) throws(ElasticsearchError) -> Test {
        let known: Set<String> = ["must", "filter", "should", "must_not", "minimum_should_match", "boost", "_name"]
        for member in json.objectValue ?? [] where !known.contains(member.name) {
            throw .parsing("[bool] query does not support [\(member.name)]", at: member.name, in: target.body)
        }
        func clauses(_ name: String) throws(ElasticsearchError) -> [Test] {
            guard let json = json[name] else { return [] }
            var tests: [Test] = []
            for clause in json.arrayValue ?? [json] { tests.append(try self.compile(clause, target)) }
            return tests
        }
        let must = try clauses("must") + clauses("filter")
        let mustNot = try clauses("must_not")
        let should = try clauses("should")
        let least: Int
        switch json["minimum_should_match"] {
        case nil: least = must.isEmpty && !should.isEmpty ? 1 : 0
        case .number(let text)?: least = Int(text) ?? 0
        case .string(let text)?: least = Int(text) ?? 0
        case let value?: throw .illegalArgument("minimum_should_match [\(value.text)] is not understood")
        }
        return { document in
            must.allSatisfy { $0(document) } && !mustNot.contains { $0(document) }
                && should.count { $0(document) } >= least
        }
    }
}

/// Words of an analysed text: letters and digits, in lower case.
enum Analysis {
    static func words(_ value: FieldValue) -> [String] {
        guard case .string(let text) = value else { return [] }
        return text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }
}

/// The order of values of one field.
enum FieldOrder {
    /// Negative, zero or positive.
    static func compare(_ left: FieldValue, _ right: FieldValue) -> Int {
        switch (left, right) {
        case (.string(let left), .string(let right)):
            left == right ? 0 : left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
        case (.boolean(let left), .boolean(let right)): (left ? 1 : 0) - (right ? 1 : 0)
        default:
            if let left = self.integer(left), let right = self.integer(right) {
                left == right ? 0 : left < right ? -1 : 1
            } else {
                self.compare(self.number(left), self.number(right))
            }
        }
    }

    static func number(_ value: FieldValue) -> Double {
        switch value {
        case .integer(let value), .date(let value): Double(value)
        case .double(let value): value
        case .boolean(let value): value ? 1 : 0
        case .string: .nan
        }
    }

    private static func integer(_ value: FieldValue) -> Int64? {
        switch value {
        case .integer(let value), .date(let value): value
        case .double, .boolean, .string: nil
        }
    }

    private static func compare(_ left: Double, _ right: Double) -> Int { left == right ? 0 : left < right ? -1 : 1 }
}
