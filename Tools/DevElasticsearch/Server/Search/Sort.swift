import JSON

/// How hits are ordered, and where a page begins.
struct Sort {
    private struct Key {
        var field: String
        var isDescending: Bool
        var missingFirst: Bool
        var unmappedType: String?
    }

    /// One hit's values, in the order of the keys; `nil` for a missing one.
    typealias Values = [FieldValue?]

    private var keys: [Key] = []
    /// Whether the request asked for an order; then every hit shows its values.
    var isExplicit: Bool { !self.keys.isEmpty }

    init(_ json: JSONValue?, body: RequestBody) throws(ElasticsearchError) {
        guard let json else { return }
        for element in json.arrayValue ?? [json] {
            if let name = element.stringValue {
                self.keys.append(Key(field: name, isDescending: name == "_score", missingFirst: false))
                continue
            }
            guard case .object(let members) = element, let member = members.first, members.count == 1 else {
                throw .illegalArgument(
                    "malformed sort format, within the sort array, an object, or an actual string are allowed")
            }
            for option in member.value.objectValue ?? []
            where !["order", "missing", "unmapped_type", "mode", "format", "numeric_type"].contains(option.name) {
                throw .parsing("[field_sort] unknown field [\(option.name)]", at: option.name, in: body)
            }
            let order = (member.value.stringValue ?? member.value["order"]?.stringValue)?.lowercased()
            guard order == nil || order == "asc" || order == "desc" else {
                throw .illegalArgument(
                    "No enum constant org.elasticsearch.search.sort.SortOrder.\(order?.uppercased() ?? "")")
            }
            self.keys.append(
                Key(
                    field: member.name, isDescending: order == "desc" || order == nil && member.name == "_score",
                    missingFirst: member.value["missing"]?.stringValue == "_first",
                    unmappedType: member.value["unmapped_type"]?.stringValue))
        }
    }

    /// - Throws: a 400 for a field that cannot be sorted by.
    func values(of document: StoredDocument, in index: IndexStore, position: Int) throws(ElasticsearchError) -> Values {
        var values: Values = []
        for key in self.keys {
            switch key.field {
            case "_score": values.append(.double(1))
            case "_doc", "_shard_doc": values.append(.integer(Int64(position)))
            case "_id": values.append(.string(document.id))
            case "_seq_no": values.append(.integer(document.sequenceNumber))
            default:
                guard let field = index.mapping.fields[key.field] else {
                    if key.unmappedType != nil {
                        values.append(nil)
                        continue
                    }
                    throw ElasticsearchError(
                        400, "query_shard_exception", "No mapping found for [\(key.field)] in order to sort on")
                }
                guard field.hasDocValues else {
                    throw .illegalArgument(
                        "Fielddata is disabled on [\(key.field)] in [\(index.name)]. Text fields are not optimised for "
                            + "operations that require per-document field data like aggregations and sorting")
                }
                let own = index.fieldNumbers[key.field].map { document.values($0) } ?? []
                // An array sorts by its least value upwards and by its greatest downwards.
                values.append(
                    own.max { left, right in
                        let order = FieldOrder.compare(left, right)
                        return key.isDescending ? order < 0 : order > 0
                    })
            }
        }
        return values
    }

    func precedes(_ left: Values, _ right: Values) -> Bool { self.compare(left, right) < 0 }

    func compare(_ left: Values, _ right: Values) -> Int {
        for (index, key) in self.keys.enumerated() {
            let order: Int
            switch (left[index], right[index]) {
            case (nil, nil): order = 0
            case (nil, _?): order = key.missingFirst ? -1 : 1
            case (_?, nil): order = key.missingFirst ? 1 : -1
            case (let left?, let right?):
                let plain = FieldOrder.compare(left, right)
                order = key.isDescending ? -plain : plain
            }
            if order != 0 { return order }
        }
        return 0
    }

    /// `search_after` as values to compare with.
    func position(_ json: JSONValue?) throws(ElasticsearchError) -> Values? {
        guard let json else { return nil }
        guard let elements = json.arrayValue else { throw .illegalArgument("Values must contain at least one value.") }
        guard !self.keys.isEmpty else {
            throw .illegalArgument("Sort must contain at least one field when using search_after")
        }
        guard elements.count == self.keys.count else {
            throw .illegalArgument(
                "search_after has \(elements.count) value(s) but sort has \(self.keys.count).")
        }
        return elements.map { element in
            switch element {
            case .null, .array, .object: nil
            case .bool(let flag): .boolean(flag)
            case .string(let text): .string(text)
            case .number(let text): Int64(text).map { .integer($0) } ?? Double(text).map { .double($0) }
            }
        }
    }

    static func json(_ values: Values) -> JSONValue { .array(values.map { $0.map(Self.json) ?? .null }) }

    static func json(_ value: FieldValue) -> JSONValue {
        switch value {
        case .string(let text): .string(text)
        case .integer(let number), .date(let number): .integer(number)
        case .double(let number): .number("\(number)")
        case .boolean(let flag): .bool(flag)
        }
    }
}
