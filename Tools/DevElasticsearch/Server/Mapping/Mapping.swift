import JSON

/// The fields of an index: what was declared, and what documents added.
struct Mapping: Equatable, Sendable {
    /// What happens to a field that nobody declared.
    enum Dynamic: String, Sendable {
        case add = "true"
        case ignore = "false"
        case refuse = "strict"
    }

    private struct ObjectOptions: Equatable, Sendable {
        var dynamic: Dynamic
        /// `false` keeps the object in the source only.
        var isEnabled: Bool
    }

    /// Fields and objects together.
    static let fieldCountMax = 1000

    /// As `GET _mapping` shows it.
    private(set) var json: JSONValue
    /// By full path, subfields included.
    private(set) var fields: [String: FieldMapping] = [:]
    private var objects: [String: ObjectOptions] = [:]

    /// - Parameter json: `{"dynamic": …, "properties": {…}}`.
    /// - Throws: a 400 that names the mistake.
    init(_ json: JSONValue = [:]) throws(ElasticsearchError) {
        self.json = json
        try self.compile()
    }

    /// The empty mapping, to which documents may add.
    static let empty = Mapping()

    private init() {
        self.json = [:]
        self.objects[""] = ObjectOptions(dynamic: .add, isEnabled: true)
    }

    /// `nil` when `path` is not a declared object; the empty path is the document.
    func dynamic(ofObject path: String) -> Dynamic? { self.objects[path]?.dynamic }

    /// Whether what lies below the object is looked at.
    func isEnabled(object path: String) -> Bool { self.objects[path]?.isEnabled ?? true }

    /// Whether `path` is a field, or an object with fields.
    func knows(_ path: String) -> Bool { self.fields[path] != nil || self.objects[path] != nil }

    /// Paths of all fields at or below `path`.
    func fields(below path: String) -> [String] {
        self.fields.keys.filter { $0 == path || $0.hasPrefix(path + ".") }
    }

    /// Adds what `update` declares.
    ///
    /// - Throws: a 400 when a field would change its type, or `update` is wrong in itself.
    mutating func merge(_ update: JSONValue) throws(ElasticsearchError) {
        var merged = self
        merged.json = try Self.merge(self.json, update, path: "")
        merged.fields = [:]
        merged.objects = [:]
        try merged.compile()
        self = merged
    }

    // MARK: Reading a declaration

    private static let rootKeys: Set<String> = [
        "dynamic", "properties", "_meta", "date_detection", "numeric_detection", "dynamic_date_formats", "_source",
        "_routing",
    ]
    private static let objectKeys: Set<String> = ["type", "dynamic", "properties", "enabled"]
    private static let fieldKeys: Set<String> = [
        "type", "fields", "index", "doc_values", "store", "null_value", "ignore_above", "format", "norms", "coerce",
        "ignore_malformed", "scaling_factor", "meta", "eager_global_ordinals", "index_options", "analyzer",
        "search_analyzer", "similarity", "depth_limit", "split_queries_on_whitespace", "fielddata",
    ]

    static func refusal(_ reason: String) -> ElasticsearchError {
        let inner = ElasticsearchError.simpleCause("mapper_parsing_exception", reason)
        var error = ElasticsearchError(
            400, "mapper_parsing_exception", "Failed to parse mapping: \(reason)", causedBy: inner)
        error.rootCauses = [inner]
        return error
    }

    private mutating func compile() throws(ElasticsearchError) {
        guard case .object(let members) = self.json else { throw Self.refusal("Expected map for the mapping") }
        for member in members where !Self.rootKeys.contains(member.name) {
            throw Self.refusal(
                "Root mapping definition has unsupported parameters:  [\(member.name) : \(member.value.text)]")
        }
        try self.compileObject(self.json, path: "", inherited: .add)
        if self.fields.count + self.objects.count - 1 > Self.fieldCountMax {
            throw .illegalArgument("Limit of total fields [\(Self.fieldCountMax)] has been exceeded")
        }
    }

    private mutating func compileObject(
        _ json: JSONValue, path: String, inherited: Dynamic
    ) throws(ElasticsearchError) {
        let dynamic = try json["dynamic"].map { value throws(ElasticsearchError) in
            try Self.dynamic(value, path: path)
        }
        let options = ObjectOptions(dynamic: dynamic ?? inherited, isEnabled: json["enabled"]?.boolValue ?? true)
        self.objects[path] = options
        guard let properties = json["properties"] else { return }
        guard case .object(let members) = properties else {
            throw Self.refusal("Expected map for property [properties] on field [\(path)] but got \(properties.text)")
        }
        for member in members {
            let name = path.isEmpty ? member.name : "\(path).\(member.name)"
            if member.name.isEmpty { throw Self.refusal("field name cannot be an empty string") }
            guard case .object(let keys) = member.value else {
                throw Self.refusal("Expected map for property [\(member.name)] but got \(member.value.text)")
            }
            let type = member.value["type"]?.stringValue
            if type == "object" || type == nil && (member.value["properties"] != nil || member.value["dynamic"] != nil)
            {
                try Self.check(keys, allowed: Self.objectKeys, name: member.name, type: "object")
                try self.compileObject(member.value, path: name, inherited: options.dynamic)
            } else {
                try self.compileField(member.value, name: member.name, path: name, mayHaveSubfields: true)
            }
        }
    }

    private static func dynamic(_ value: JSONValue, path: String) throws(ElasticsearchError) -> Dynamic {
        let text =
            switch value {
            case .bool(let flag): flag ? "true" : "false"
            default: value.stringValue ?? value.text
            }
        guard let dynamic = Dynamic(rawValue: text) else {
            throw Self.refusal("unknown value for dynamic: [\(text)]")
        }
        return dynamic
    }

    private static func check(
        _ members: [JSONMember], allowed: Set<String>, name: String, type: String
    ) throws(ElasticsearchError) {
        for member in members where !allowed.contains(member.name) {
            throw self.refusal("unknown parameter [\(member.name)] on mapper [\(name)] of type [\(type)]")
        }
    }

    private mutating func compileField(
        _ json: JSONValue, name: String, path: String, mayHaveSubfields: Bool
    ) throws(ElasticsearchError) {
        guard let typeName = json["type"]?.stringValue else {
            throw Self.refusal("No type specified for field [\(name)]")
        }
        guard let type = FieldType(rawValue: typeName) else {
            throw Self.refusal("No handler for type [\(typeName)] declared on field [\(name)]")
        }
        if case .object(let members) = json {
            try Self.check(members, allowed: Self.fieldKeys, name: name, type: typeName)
        }
        var field = FieldMapping(type: type)
        field.hasDocValues = !type.isAnalysed
        field.isIndexed = try Self.flag(json, "index", name: name) ?? true
        field.hasDocValues = try Self.flag(json, "doc_values", name: name) ?? field.hasDocValues
        field.coerces = try Self.flag(json, "coerce", name: name) ?? true
        field.ignoresMalformed = try Self.flag(json, "ignore_malformed", name: name) ?? false
        field.ignoreAbove = json["ignore_above"]?.integerValue.flatMap { Int(exactly: $0) }
        field.nullValue = json["null_value"]
        if let text = json["format"]?.stringValue {
            guard let format = DateFormat(text: text) else { throw Self.refusal("Invalid format: [\(text)]") }
            field.dateFormat = format
        }
        if case .object(let subfields)? = json["fields"] {
            guard mayHaveSubfields else { throw Self.refusal("cannot have nested multi fields") }
            for subfield in subfields {
                let subpath = "\(path).\(subfield.name)"
                try self.compileField(subfield.value, name: subfield.name, path: subpath, mayHaveSubfields: false)
                field.subfields.append(subpath)
            }
        }
        self.fields[path] = field
    }

    private static func flag(
        _ json: JSONValue, _ key: String, name: String
    ) throws(ElasticsearchError) -> Bool? {
        switch json[key] {
        case nil: return nil
        case .bool(let flag)?: return flag
        case .string("true")?: return true
        case .string("false")?: return false
        case let value?:
            throw self.refusal(
                "Failed to parse value [\(value.text)] as only [true] or [false] are allowed for [\(key)] of [\(name)]")
        }
    }

    // MARK: Merging

    private static func merge(
        _ old: JSONValue, _ new: JSONValue, path: String
    ) throws(ElasticsearchError) -> JSONValue {
        guard case .object(var members) = old, case .object(let additions) = new else { return new }
        for addition in additions {
            guard let index = members.firstIndex(where: { $0.name == addition.name }) else {
                members.append(addition)
                continue
            }
            if addition.name == "properties" {
                members[index].value = try self.mergeProperties(members[index].value, addition.value, path: path)
            } else if addition.name == "fields", case .object = addition.value {
                members[index].value = try self.mergeProperties(members[index].value, addition.value, path: path)
            } else {
                members[index].value = addition.value
            }
        }
        return .object(members)
    }

    private static func mergeProperties(
        _ old: JSONValue, _ new: JSONValue, path: String
    ) throws(ElasticsearchError) -> JSONValue {
        guard case .object(var members) = old, case .object(let additions) = new else { return new }
        for addition in additions {
            let name = path.isEmpty ? addition.name : "\(path).\(addition.name)"
            guard let index = members.firstIndex(where: { $0.name == addition.name }) else {
                members.append(addition)
                continue
            }
            let (oldType, newType) = (self.typeName(members[index].value), self.typeName(addition.value))
            guard oldType == newType else {
                if oldType == "object" || newType == "object" {
                    throw .illegalArgument("can't merge a non object mapping [\(name)] with an object mapping")
                }
                throw .illegalArgument("mapper [\(name)] cannot be changed from type [\(oldType)] to [\(newType)]")
            }
            members[index].value = try self.merge(members[index].value, addition.value, path: name)
        }
        return .object(members)
    }

    private static func typeName(_ json: JSONValue) -> String { json["type"]?.stringValue ?? "object" }
}
