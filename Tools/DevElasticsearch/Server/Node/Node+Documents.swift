import EscapementModel
import JSON

extension Node {
    private static let shards: JSONValue = ["total": 1, "successful": 1, "failed": 0]

    // MARK: Reading

    func getOne(_ request: RESTRequest, onlySource: Bool, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let name = request.capture("index")
        let id = request.capture("id")
        let names = try self.resolve(name, request, state)
        guard names.count == 1, let index = state.indices[names[0]] else { throw .indexNotFound(name) }
        let found = try self.shown(index, id, try SourceFilter(request))
        if onlySource {
            guard let source = found["_source"] else {
                throw ElasticsearchError(
                    404, "resource_not_found_exception", "Document not found [\(name)]/[\(id)]")
            }
            return RESTResponse(200, source)
        }
        return RESTResponse(found["found"]?.boolValue == true ? 200 : 404, found)
    }

    /// A document as a get shows it.
    private func shown(_ index: IndexStore, _ id: String, _ filter: SourceFilter) throws(ElasticsearchError)
        -> JSONValue
    {
        guard let document = index.document(id) else {
            return ["_index": .string(index.name), "_id": .string(id), "found": false]
        }
        var members = [
            JSONMember("_index", .string(index.name)), JSONMember("_id", .string(id)),
            JSONMember("_version", .integer(document.version)),
            JSONMember("_seq_no", .integer(document.sequenceNumber)), JSONMember("_primary_term", 1),
            JSONMember("found", true),
        ]
        if let source = try filter.source(of: document, in: index) { members.append(JSONMember("_source", source)) }
        return .object(members)
    }

    func multiGet(_ request: RESTRequest, _ state: State) throws(ElasticsearchError) -> RESTResponse {
        let body = try request.object()
        let filter = try SourceFilter(request)
        let standard = request.captures["index"]
        var wanted: [(index: String?, id: String?)] = []
        for member in body {
            switch member.name {
            case "docs":
                for entry in member.value.arrayValue ?? [] {
                    wanted.append((entry["_index"]?.stringValue ?? standard, entry["_id"]?.stringValue))
                }
            case "ids": wanted += (member.value.arrayValue ?? []).map { (standard, $0.stringValue) }
            default:
                throw .parsing(
                    "unknown key [\(member.name)] for a START_ARRAY, expected [docs] or [ids]",
                    at: member.name, in: request.body)
            }
        }
        if wanted.isEmpty { throw .validation("no documents to get") }
        var documents: [JSONValue] = []
        for (name, id) in wanted {
            guard let name else { throw .validation("index is missing for doc 0") }
            guard let id else { throw .validation("id is missing for doc 0") }
            guard let index = state.indices[name] else {
                documents.append([
                    "_index": .string(name), "_id": .string(id), "error": ElasticsearchError.indexNotFound(name).cause,
                ])
                continue
            }
            documents.append(try self.shown(index, id, filter))
        }
        return RESTResponse(200, ["docs": .array(documents)])
    }

    // MARK: Writing

    /// One write, alone or in a bulk request.
    private struct Write {
        var operation: String
        var index: String
        var id: String?
        var source: [UInt8]
        var ifSequenceNumber: Int?
    }

    func writeOne(
        _ request: RESTRequest, _ operation: String, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        guard ["index", "create", "delete", "update"].contains(operation) else {
            throw .illegalArgument("opType must be 'create' or 'index', found: [\(operation)]")
        }
        if operation != "delete", request.body.isEmpty {
            throw .validation("source is missing")
        }
        let write = Write(
            operation: operation, index: request.capture("index"), id: request.captures["id"],
            source: request.body.bytes, ifSequenceNumber: try request.integer("if_seq_no"))
        let (status, item) = try self.apply(write, &state)
        try self.finish(Set([write.index]), request, &state)
        return RESTResponse(status, item)
    }

    /// Makes one write and answers as the item of a bulk answer does, without its status.
    private func apply(_ write: Write, _ state: inout State) throws(ElasticsearchError) -> (Int, JSONValue) {
        let name = try self.target(write, &state)
        guard var index = state.indices[name] else { throw .indexNotFound(write.index) }
        if state.closed.contains(name) { throw .indexClosed(name, uuid: index.uuid) }
        if let block = index.settings.writeBlock(index: name, fullDiskStatus: self.dialect.fullDiskStatus) {
            // Deleting is what makes room.
            if write.operation != "delete" || block.status == 403 { throw block }
        }
        // The copy and the original share their arrays; only one of them may be changed.
        state.indices[name] = nil
        defer { state.indices[name] = index }
        let now = self.clocks.monotonicNow()
        let id = write.id ?? UID.random(using: &state.random).hex
        guard id.utf8.count <= 512, !id.isEmpty else {
            throw .illegalArgument("id [\(id)] is too long, must be no longer than 512 bytes but was: \(id.utf8.count)")
        }
        let current = index.document(id)
        if let wanted = write.ifSequenceNumber, current?.sequenceNumber != Int64(wanted) {
            throw .versionConflict(
                "[\(id)]: version conflict, required seqNo [\(wanted)], but no document was found or it was changed",
                index: name, uuid: index.uuid)
        }
        var members = [JSONMember("_index", .string(name)), JSONMember("_id", .string(id))]
        func conclude(_ version: Int64, _ sequence: Int64, _ result: String) {
            members += [
                JSONMember("_version", .integer(version)), JSONMember("result", .string(result)),
                JSONMember("_shards", Self.shards), JSONMember("_seq_no", .integer(sequence)),
                JSONMember("_primary_term", 1),
            ]
        }
        switch write.operation {
        case "delete":
            guard let deleted = index.delete(id, now: now) else {
                conclude(1, 0, "not_found")
                return (404, .object(members))
            }
            conclude(deleted.version, deleted.sequenceNumber, "deleted")
            return (200, .object(members))
        case "create":
            if let current {
                throw .versionConflict(
                    "[\(id)]: version conflict, document already exists (current version [\(current.version)])",
                    index: name, uuid: index.uuid)
            }
        case "update":
            return try self.update(write, id, &index, now, &members)
        default: break
        }
        let (document, isNew) = try index.write(write.source, id: id, now: now)
        conclude(document.version, document.sequenceNumber, isNew ? "created" : "updated")
        return (isNew ? 201 : 200, .object(members))
    }

    private func update(
        _ write: Write, _ id: String, _ index: inout IndexStore, _ now: MonotonicInstant, _ members: inout [JSONMember]
    ) throws(ElasticsearchError) -> (Int, JSONValue) {
        let body = RequestBody(bytes: write.source)
        let json = try body.json()
        for member in json.objectValue ?? []
        where !["doc", "doc_as_upsert", "upsert", "detect_noop", "_source"].contains(member.name) {
            throw .parsing("[UpdateRequest] unknown field [\(member.name)]", at: member.name, in: body)
        }
        let old = try index.document(id).map { document throws(ElasticsearchError) in
            try RequestBody(bytes: try index.source(of: document)).json()
        }
        let new: JSONValue
        if let old {
            new = Self.merged(old, json["doc"] ?? [:])
        } else if json["doc_as_upsert"]?.boolValue == true, let document = json["doc"] {
            new = document
        } else if let upsert = json["upsert"] {
            new = upsert
        } else {
            throw ElasticsearchError(
                404, "document_missing_exception", "[\(id)]: document missing",
                details: [JSONMember("index", .string(index.name))])
        }
        let (document, isNew) = try index.write(new.bytes, id: id, now: now)
        members += [
            JSONMember("_version", .integer(document.version)),
            JSONMember("result", .string(isNew ? "created" : "updated")), JSONMember("_shards", Self.shards),
            JSONMember("_seq_no", .integer(document.sequenceNumber)), JSONMember("_primary_term", 1),
        ]
        return (isNew ? 201 : 200, .object(members))
    }

    private static func merged(_ old: JSONValue, _ new: JSONValue) -> JSONValue {
        guard case .object(var members) = old, case .object(let additions) = new else { return new }
        for addition in additions {
            if let index = members.firstIndex(where: { $0.name == addition.name }) {
                members[index].value = self.merged(members[index].value, addition.value)
            } else {
                members.append(addition)
            }
        }
        return .object(members)
    }

    /// The index that a write goes to; made when it is missing, as `action.auto_create_index` allows.
    private func target(_ write: Write, _ state: inout State) throws(ElasticsearchError) -> String {
        if state.indices[write.index] != nil { return write.index }
        let aliased = state.indices.values.filter { $0.aliases[write.index] != nil }
        if !aliased.isEmpty {
            let chosen =
                aliased.count == 1
                ? aliased.first : aliased.first { $0.aliases[write.index]?["is_write_index"]?.boolValue == true }
            guard let chosen else {
                throw .illegalArgument(
                    "no write index is defined for alias [\(write.index)]. The write index may be explicitly disabled "
                        + "using is_write_index=false or the alias points to multiple indices without one being "
                        + "designated as a write index")
            }
            return chosen.name
        }
        if write.operation == "delete" { throw .indexNotFound(write.index) }
        return try self.makeIndex(write.index, [:], &state).name
    }

    /// Gives what was written to the kernel, and shows it to searches when the request asks for that.
    private func finish(
        _ names: Set<String>, _ request: RESTRequest, _ state: inout State
    ) throws(ElasticsearchError) {
        let refresh = request.parameters["refresh"]
        guard ["true", "false", "wait_for", "", nil].contains(refresh) else {
            throw .illegalArgument("Unknown value for refresh: [\(refresh ?? "")].")
        }
        for name in names.sorted() {
            guard let index = state.indices[name] else { continue }
            try self.flush(index.log)
            if let refresh, refresh != "false" { state.indices[name]?.refresh() }
        }
    }

    // MARK: Bulk

    func bulk(
        _ request: RESTRequest, _ orders: Orders, _ state: inout State
    ) throws(ElasticsearchError) -> RESTResponse {
        if request.body.isEmpty { throw ElasticsearchError(400, "parse_exception", "request body is required") }
        guard request.body.bytes.last == UInt8(ascii: "\n") else {
            throw .illegalArgument("The bulk request must be terminated by a newline [\\n]")
        }
        var lines = request.body.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true)[...]
        var number = 0
        var items: [JSONValue] = []
        var touched: Set<String> = []
        var hasErrors = false
        while let line = lines.popFirst() {
            number += 1
            let (operation, options) = try self.action(Array(line), number)
            var source: [UInt8] = []
            if operation != "delete" {
                guard let next = lines.popFirst() else {
                    throw .illegalArgument("The bulk request must be terminated by a newline [\\n]")
                }
                number += 1
                source = Array(next)
            }
            let (status, item) = self.item(operation, options, source, request, orders, &state, &touched)
            if status >= 400 { hasErrors = true }
            items.append(.object([JSONMember(operation, item)]))
        }
        try self.finish(touched, request, &state)
        return RESTResponse(200, ["errors": .bool(hasErrors), "took": 1, "items": .array(items)])
    }

    private func action(
        _ line: [UInt8], _ number: Int
    ) throws(ElasticsearchError) -> (operation: String, options: JSONValue) {
        let json: JSONValue
        do throws(ElasticsearchError) {
            json = try RequestBody(bytes: line).json()
        } catch {
            throw .illegalArgument(
                "Malformed action/metadata line [\(number)], expected START_OBJECT", causedBy: error.cause)
        }
        guard case .object(let members) = json, let member = members.first, members.count == 1,
            case .object(let options) = member.value
        else { throw .illegalArgument("Malformed action/metadata line [\(number)], expected a simple value for field") }
        guard ["index", "create", "delete", "update"].contains(member.name) else {
            throw .illegalArgument(
                "Malformed action/metadata line [\(number)], expected field [create], [delete], [index] or [update] but "
                    + "found [\(member.name)]")
        }
        if self.dialect.hasTypes, options.first(where: { $0.name == "_type" }) == nil {
            throw .validation("type is missing")
        }
        let known = [
            "_index", "_id", "routing", "if_seq_no", "if_primary_term", "version", "version_type",
            "require_alias", "retry_on_conflict", "dynamic_templates", "require_data_stream",
        ]
        for option in options
        where !known.contains(option.name) && !(option.name == "_type" && self.dialect.toleratesTypes) {
            throw .illegalArgument(
                "Action/metadata line [\(number)] contains an unknown parameter [\(option.name)]")
        }
        return (member.name, member.value)
    }

    private func item(
        _ operation: String, _ options: JSONValue, _ source: [UInt8], _ request: RESTRequest, _ orders: Orders,
        _ state: inout State, _ touched: inout Set<String>
    ) -> (Int, JSONValue) {
        let name = options["_index"]?.stringValue ?? request.captures["index"]
        let id = options["_id"]?.stringValue
        do throws(ElasticsearchError) {
            guard let name else { throw .validation("index is missing") }
            if orders.isBusy() {
                throw ElasticsearchError(
                    429, "es_rejected_execution_exception", "rejected execution of primary operation")
            }
            if orders.refuses() {
                throw ElasticsearchError(400, "document_parsing_exception", "[1:1] failed to parse")
            }
            if operation == "update" || operation == "delete", id == nil {
                throw .validation("an id must be provided")
            }
            let (status, shown) = try self.apply(
                Write(
                    operation: operation, index: name, id: id, source: source,
                    ifSequenceNumber: options["if_seq_no"]?.integerValue.map { Int($0) }), &state)
            touched.insert(shown["_index"]?.stringValue ?? name)
            return (status, .object((shown.objectValue ?? []) + [JSONMember("status", .integer(Int64(status)))]))
        } catch {
            return (
                error.status,
                [
                    "_index": .string(name ?? ""), "_id": id.map { .string($0) } ?? .null,
                    "status": .integer(Int64(error.status)), "error": error.cause,
                ]
            )
        }
    }
}

/// Which parts of a source an answer shows.
struct SourceFilter {
    private var isShown = true
    private var path: FilterPath?

    /// From `_source`, `_source_includes` and `_source_excludes` of the address.
    init(_ request: RESTRequest) throws(ElasticsearchError) {
        switch request.parameters["_source"] {
        case nil, "true", "": break
        case "false": self.isShown = false
        case let list?: self.path = FilterPath(includes: list.split(separator: ",").map(String.init), excludes: [])
        }
        let includes = request.list("_source_includes")
        let excludes = request.list("_source_excludes")
        if !includes.isEmpty || !excludes.isEmpty { self.path = FilterPath(includes: includes, excludes: excludes) }
    }

    /// From the member `_source` of a search's body, over what the address says.
    mutating func read(_ json: JSONValue?) {
        func list(_ value: JSONValue?) -> [String] {
            value?.arrayValue?.compactMap(\.stringValue) ?? value?.stringValue.map { [$0] } ?? []
        }
        switch json {
        case nil: return
        case .bool(let flag)?: self.isShown = flag
        case .object?:
            self.path = FilterPath(
                includes: list(json?["includes"] ?? json?["include"]),
                excludes: list(json?["excludes"] ?? json?["exclude"]))
        default: self.path = FilterPath(includes: list(json), excludes: [])
        }
    }

    func source(of document: StoredDocument, in index: IndexStore) throws(ElasticsearchError) -> JSONValue? {
        guard self.isShown else { return nil }
        let whole = try RequestBody(bytes: try index.source(of: document)).json()
        return self.path?.apply(to: whole) ?? whole
    }
}
