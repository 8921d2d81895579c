import JSON

/// Turns a source into values to search by, after a mapping, and extends the mapping where that is dynamic.
struct DocumentParser {
    /// The mapping with the fields that this document added.
    private(set) var mapping: Mapping
    /// Path and value, in the order of the source.
    private(set) var values: [(path: String, value: FieldValue)] = []

    private let id: String
    private let body: RequestBody

    /// - Throws: a 400 in the shape of the real server's: `document_parsing_exception` or one of its kin.
    init(_ source: [UInt8], id: String, mapping: Mapping) throws(ElasticsearchError) {
        self.mapping = mapping
        self.id = id
        self.body = RequestBody(bytes: source)
        let document: JSONValue
        do {
            document = try JSONParser.parse(source, depthMax: RequestBody.depthMax)
        } catch {
            let place = error.offset + 1
            throw ElasticsearchError(
                400, "document_parsing_exception", "[1:\(place)] failed to parse",
                causedBy: ElasticsearchError.simpleCause(
                    "x_content_parse_exception", "[1:\(place)] \(error.message)"))
        }
        guard case .object(let members) = document else {
            throw ElasticsearchError(
                400, "document_parsing_exception", "[1:1] failed to parse",
                causedBy: ElasticsearchError.simpleCause(
                    "not_x_content_exception",
                    "Compressor detection can only be called on some xcontent bytes or compressed xcontent bytes"))
        }
        try self.walk(members, path: "")
    }

    private mutating func walk(_ members: [JSONMember], path: String) throws(ElasticsearchError) {
        for member in members {
            if member.name.isEmpty || member.name.split(separator: ".", omittingEmptySubsequences: false).contains("") {
                throw self.refusal(
                    member.name, "[\(member.name)] failed to parse",
                    cause: ("illegal_argument_exception", "field name cannot be an empty string"))
            }
            try self.take(member.value, path: path.isEmpty ? member.name : "\(path).\(member.name)", parent: path)
        }
    }

    private mutating func take(_ value: JSONValue, path: String, parent: String) throws(ElasticsearchError) {
        if let field = self.mapping.fields[path] {
            if field.type.isFlattened {
                try self.takeFlattened(value, field, path: path)
            } else {
                try self.takeValue(value, field, path: path)
            }
        } else if self.mapping.dynamic(ofObject: path) != nil {
            try self.takeObject(value, path: path)
        } else {
            try self.takeUndeclared(value, path: path, parent: parent)
        }
    }

    private mutating func takeObject(_ value: JSONValue, path: String) throws(ElasticsearchError) {
        guard self.mapping.isEnabled(object: path) else { return }
        switch value {
        case .null: break
        case .object(let members): try self.walk(members, path: path)
        case .array(let elements): for element in elements { try self.takeObject(element, path: path) }
        case .bool, .number, .string:
            let leaf = path.split(separator: ".").last ?? ""
            throw self.refusal(
                String(leaf),
                "object mapping for [\(path)] tried to parse field [\(leaf)] as object, but found a concrete value")
        }
    }

    private mutating func takeValue(
        _ value: JSONValue, _ field: FieldMapping, path: String
    ) throws(ElasticsearchError) {
        if case .array(let elements) = value {
            for element in elements { try self.takeValue(element, field, path: path) }
            return
        }
        let actual = value == .null ? field.nullValue ?? .null : value
        do {
            if let parsed = try field.parse(actual), field.isIndexed || field.hasDocValues {
                self.values.append((path, parsed))
            }
        } catch {
            if field.ignoresMalformed { return }
            let preview = Self.preview(value)
            throw self.refusal(
                String(path.split(separator: ".").last ?? ""),
                "failed to parse field [\(path)] of type [\(field.type.rawValue)] in document with id '\(self.id)'. "
                    + "Preview of field's value: '\(preview)'",
                cause: (error.type, error.reason))
        }
        for subpath in field.subfields {
            guard let subfield = self.mapping.fields[subpath] else { continue }
            try self.takeValue(value, subfield, path: subpath)
        }
    }

    /// Every leaf, under the field's name and under its own path.
    private mutating func takeFlattened(
        _ value: JSONValue, _ field: FieldMapping, path: String
    ) throws(ElasticsearchError) {
        switch value {
        case .null: break
        case .array(let elements): for element in elements { try self.takeFlattened(element, field, path: path) }
        case .object(let members): try self.takeLeaves(members, field, root: path, path: path)
        case .bool, .number, .string:
            throw self.refusal(
                path,
                "failed to parse field [\(path)] of type [flattened] in document with id '\(self.id)'. "
                    + "Preview of field's value: '\(Self.preview(value))'",
                cause: (
                    "parsing_exception",
                    "Failed to parse object: expecting token of type [START_OBJECT] but "
                        + "found [\(value.tokenName)]"
                ))
        }
    }

    private mutating func takeLeaves(
        _ members: [JSONMember], _ field: FieldMapping, root: String, path: String
    ) throws(ElasticsearchError) {
        for member in members {
            let leafPath = "\(path).\(member.name)"
            for element in member.value.arrayValue ?? [member.value] {
                if case .object(let deeper) = element {
                    try self.takeLeaves(deeper, field, root: root, path: leafPath)
                    continue
                }
                do {
                    guard let parsed = try field.parse(element) else { continue }
                    self.values.append((root, parsed))
                    self.values.append((leafPath, parsed))
                } catch {
                    throw self.refusal(
                        member.name,
                        "failed to parse field [\(root)] of type [flattened] in document with id "
                            + "'\(self.id)'. Preview of field's value: '\(Self.preview(element))'",
                        cause: (error.type, error.reason))
                }
            }
        }
    }

    // MARK: Fields nobody declared

    private mutating func takeUndeclared(
        _ value: JSONValue, path: String, parent: String
    ) throws(ElasticsearchError) {
        switch self.dynamic(at: path) {
        case .ignore: return
        case .refuse:
            let leaf = path.dropFirst(parent.isEmpty ? 0 : parent.utf8.count + 1)
            let (line, column) = self.body.place(of: String(leaf))
            throw ElasticsearchError(
                400, "strict_dynamic_mapping_exception",
                "[\(line):\(column)] mapping set to strict, dynamic introduction of [\(leaf)] within "
                    + "[\(parent.isEmpty ? "_doc" : parent)] is not allowed")
        case .add: break
        }
        switch value {
        case .null: return
        case .object(let members):
            try self.declare(["type": "object"], path: path)
            try self.walk(members, path: path)
        case .array(let elements):
            // The first value decides the type for the others.
            for element in elements { try self.take(element, path: path, parent: parent) }
        case .bool, .number, .string:
            try self.declare(Self.inferred(value), path: path)
            try self.take(value, path: path, parent: parent)
        }
    }

    /// What the closest declared object says.
    private func dynamic(at path: String) -> Mapping.Dynamic {
        var steps = path.split(separator: ".")[...]
        while !steps.isEmpty {
            steps = steps.dropLast()
            if let dynamic = self.mapping.dynamic(ofObject: steps.joined(separator: ".")) { return dynamic }
        }
        return .add
    }

    private static func inferred(_ value: JSONValue) -> JSONValue {
        switch value {
        case .bool: return ["type": "boolean"]
        case .number(let text):
            return text.contains { $0 == "." || $0 == "e" || $0 == "E" } ? ["type": "float"] : ["type": "long"]
        case .string(let text):
            // Date detection asks for more than a year.
            let looksLikeDate = text.utf8.count >= 10 && text.utf8.dropFirst(4).first == UInt8(ascii: "-")
            if looksLikeDate, DateFormat.standard.parse(text) != nil { return ["type": "date"] }
            return ["type": "text", "fields": ["keyword": ["type": "keyword", "ignore_above": 256]]]
        case .null, .array, .object: return ["type": "object"]
        }
    }

    private mutating func declare(_ declaration: JSONValue, path: String) throws(ElasticsearchError) {
        var json: JSONValue = declaration
        for step in path.split(separator: ".").reversed() {
            json = ["properties": .object([JSONMember(String(step), json)])]
        }
        do {
            try self.mapping.merge(json)
        } catch {
            let leaf = String(path.split(separator: ".").last ?? "")
            throw self.refusal(leaf, "failed to parse", cause: (error.type, error.reason))
        }
    }

    // MARK: Refusals

    private func refusal(
        _ key: String, _ reason: String, cause: (type: String, reason: String)? = nil
    ) -> ElasticsearchError {
        let (line, column) = self.body.place(of: key)
        return ElasticsearchError(
            400, "document_parsing_exception", "[\(line):\(column)] \(reason)",
            causedBy: cause.map { ElasticsearchError.simpleCause($0.type, $0.reason) })
    }

    /// The value as the real server shows it: objects with `=`.
    private static func preview(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .object(let members):
            "{" + members.map { "\($0.name)=\(self.preview($0.value))" }.joined(separator: ", ") + "}"
        case .array(let elements): "[" + elements.map { self.preview($0) }.joined(separator: ", ") + "]"
        case .null, .bool, .number: value.text
        }
    }
}
