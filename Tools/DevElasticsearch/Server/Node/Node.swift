package import EscapementModel
import JSON
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The server without HTTP: indices, templates and policies, and what each endpoint does to them.
///
/// One request at a time, under one lock: a stand-in serves one cluster on one machine.
package final class Node: Sendable {
    static let name = "dev-elasticsearch-0"
    /// From the first unseen change to the refresh that shows it, unless the index says otherwise.
    static let refreshInterval = Duration.seconds(1)

    static let shardsMaxDefault = 1000

    struct State: Sendable {
        var indices: [String: IndexStore] = [:]
        var templates: [String: JSONValue] = [:]
        var legacyTemplates: [String: JSONValue] = [:]
        /// Of either kind: `policy`, and `sequence` for those of OpenSearch.
        var policies: [String: JSONValue] = [:]
        /// By index: the policy of OpenSearch that it has, and in which version.
        var managed: [String: JSONValue] = [:]
        /// Names of indices that neither take nor show documents.
        var closed: Set<String> = []
        /// `cluster.max_shards_per_node`; this cluster has one node.
        var shardsMax = Node.shardsMaxDefault
        var pointsInTime: [String: PointInTime] = [:]
        var random: SplitMix64
    }

    /// What a search in pages looks at, whatever is written meanwhile.
    struct PointInTime: Sendable {
        var indices: [IndexStore]
        var until: MonotonicInstant
        var keepAlive: Duration
    }

    let folder: String
    let clocks: any Clocks
    package let dialect: ServerDialect
    let cluster: RecordLog
    let state: Mutex<State>

    /// Opens the data of `folder`, which is made when it is missing.
    ///
    /// - Throws: `RecordLogError`, `IndexFileError`.
    package init(folder: String, clocks: any Clocks, seed: UInt64, dialect: ServerDialect = .standard) throws {
        self.dialect = dialect
        self.folder = folder
        self.clocks = clocks
        for path in [folder, "\(folder)/indices"] where mkdir(path, 0o700) != 0 && errno != EEXIST {
            throw RecordLogError(path: path, operation: "make directory", code: errno)
        }
        var state = State(random: SplitMix64(seed: seed))
        self.cluster = try RecordLog(path: "\(folder)/cluster.log") { header, _, _ in
            guard let name = header["name"]?.stringValue else { return }
            switch header["op"]?.stringValue {
            case "template": state.templates[name] = header["value"].flatMap { $0 == .null ? nil : $0 }
            case "legacy-template": state.legacyTemplates[name] = header["value"].flatMap { $0 == .null ? nil : $0 }
            case "policy": state.policies[name] = header["value"].flatMap { $0 == .null ? nil : $0 }
            case "managed": state.managed[name] = header["value"].flatMap { $0 == .null ? nil : $0 }
            case "closed":
                if header["value"] == true { state.closed.insert(name) } else { state.closed.remove(name) }
            case "shards-max": state.shardsMax = header["value"]?.integerValue.map { Int($0) } ?? Self.shardsMaxDefault
            default: return
            }
        }
        for file in Self.files(in: "\(folder)/indices") where file.hasSuffix(".log") {
            let index = try IndexStore(opening: "\(folder)/indices/\(file)")
            state.indices[index.name] = index
        }
        self.state = Mutex(state)
    }

    private static func files(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { raw in
                    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names.sorted()
    }

    /// Answers a request as the real server would, after `filter_path`.
    package func respond(
        method: String, uri: String, headers: [String: String], body: [UInt8],
        refusesItem: @escaping () -> Bool = { false },
        isBusy: @escaping () -> Bool = { false }, lacksShard: Bool = false
    ) -> (status: Int, body: [UInt8], contentType: String, headers: [(name: String, value: String)]) {
        let request = RESTRequest(method: method, uri: uri, headers: headers, body: RequestBody(bytes: body))
        let response: RESTResponse
        switch RESTRouter.resolve(request, self.dialect) {
        case .failure(let refusal): response = refusal.response
        case .success(let (endpoint, resolved)):
            do throws(ElasticsearchError) {
                response = try self.perform(
                    endpoint, resolved, Orders(refuses: refusesItem, isBusy: isBusy, lacksShard: lacksShard))
            } catch {
                response = RESTResponse(error)
            }
        }
        switch response.body {
        case .none: return (response.status, [], "", response.headers)
        case .text(let text):
            return (response.status, Array(text.utf8), "text/plain; charset=UTF-8", response.headers)
        case .json(let value):
            let shown = request.parameters["filter_path"].map { FilterPath($0).apply(to: value) } ?? value
            let isPretty = request.parameters["pretty"].map { $0 != "false" } ?? false
            let text = isPretty ? shown.prettyText + "\n" : shown.text
            return (response.status, Array(text.utf8), "application/json", response.headers)
        }
    }

    /// What goes wrong within a request on order of a test.
    struct Orders {
        /// The next document of a bulk request.
        var refuses: () -> Bool
        var isBusy: () -> Bool
        /// A search does not reach one of the shards.
        var lacksShard: Bool
    }

    private func perform(
        _ endpoint: Endpoint, _ request: RESTRequest, _ orders: Orders
    ) throws(ElasticsearchError) -> RESTResponse {
        try self.locked { state throws(ElasticsearchError) in
            let now = self.clocks.monotonicNow()
            for name in state.indices.keys {
                state.indices[name]?.refreshIfDue(now: now, default: Self.refreshInterval)
            }
            state.pointsInTime = state.pointsInTime.filter { $0.value.until > now }
            switch endpoint {
            case .info: return RESTResponse(200, self.dialect.greeting)
            case .authenticate:
                return RESTResponse(200, ["username": "elastic", "roles": ["superuser"], "enabled": true])
            case .clusterHealth: return try self.health(request, state)
            case .catIndices: return try self.catIndices(request, state)
            case .bulk: return try self.bulk(request, orders, &state)
            case .createDocument: return try self.writeOne(request, "create", &state)
            case .indexDocument:
                return try self.writeOne(request, request.parameters["op_type"] ?? "index", &state)
            case .getDocument: return try self.getOne(request, onlySource: false, state)
            case .getSource: return try self.getOne(request, onlySource: true, state)
            case .deleteDocument: return try self.writeOne(request, "delete", &state)
            case .updateDocument: return try self.writeOne(request, "update", &state)
            case .multiGet: return try self.multiGet(request, state)
            case .search: return try self.search(request, lacksShard: orders.lacksShard, &state)
            case .count: return try self.count(request, state)
            case .refresh: return try self.refresh(request, &state)
            case .deleteByQuery: return try self.deleteByQuery(request, &state)
            case .openPointInTime: return try self.openPointInTime(request, &state)
            case .closePointInTime: return try self.closePointInTime(request, &state)
            default: return try self.administer(endpoint, request, &state)
            }
        }
    }

    private func locked<Answer>(
        _ body: (inout State) throws(ElasticsearchError) -> Answer
    ) throws(ElasticsearchError) -> Answer {
        let result: Result<Answer, ElasticsearchError> = self.state.withLock { state in
            nonisolated(unsafe) var answer: Result<Answer, ElasticsearchError>
            do throws(ElasticsearchError) {
                answer = .success(try body(&state))
            } catch {
                answer = .failure(error)
            }
            return answer
        }
        return try result.get()
    }

    // MARK: For the other files

    /// The indices that an expression such as `activations-*,other` names, in order.
    ///
    /// - Throws: a 404 for a plain name that does not exist, unless the request ignores that.
    func resolve(
        _ expression: String, _ request: RESTRequest, _ state: State
    ) throws(ElasticsearchError) -> [String] {
        let ignores = try request.flag("ignore_unavailable")
        let allowsNone = try request.flag("allow_no_indices", default: true)
        var found: [String] = []
        for part in (expression.isEmpty ? "_all" : expression).split(separator: ",").map(String.init) {
            if part == "_all" || Wildcard.isPattern(part) {
                let pattern = Wildcard(part == "_all" ? "*" : part)
                let names = state.indices.values.filter { index in
                    // Patterns stand for open indices, unless a request says otherwise.
                    !state.closed.contains(index.name)
                        && (pattern.matches(index.name) || index.aliases.keys.contains { pattern.matches($0) })
                }.map(\.name).sorted()
                if names.isEmpty, !allowsNone { throw .indexNotFound(part) }
                found += names
            } else if state.indices[part] != nil {
                if ignores, state.closed.contains(part) { continue }
                found.append(part)
            } else {
                let aliased = state.indices.values.filter { $0.aliases[part] != nil }.map(\.name).sorted()
                if aliased.isEmpty, !ignores { throw .indexNotFound(part) }
                found += aliased
            }
        }
        var seen: Set<String> = []
        return found.filter { seen.insert($0).inserted }
    }

    /// A new index with the settings and the mapping that its template and `body` give it.
    func makeIndex(_ name: String, _ body: JSONValue, _ state: inout State) throws(ElasticsearchError) -> IndexStore {
        try IndexName.check(name)
        if state.indices[name] != nil {
            throw ElasticsearchError(
                400, "resource_already_exists_exception", "index [\(name)] already exists",
                details: [JSONMember("index", .string(name))])
        }
        for member in body.objectValue ?? [] where !["settings", "mappings", "aliases"].contains(member.name) {
            throw ElasticsearchError(400, "parse_exception", "unknown key [\(member.name)] for create index")
        }
        var settings = IndexSettings()
        var mapping = Mapping.empty
        var aliases: [String: JSONValue] = [:]
        func add(_ part: JSONValue) throws(ElasticsearchError) {
            if let more = part["settings"] { settings = settings.merging(try self.settings(more)) }
            if let more = part["mappings"] { try mapping.merge(try self.mapping(more)) }
            for alias in part["aliases"]?.objectValue ?? [] { aliases[alias.name] = alias.value }
        }
        for template in Self.templates(for: name, state) { try add(template) }
        try add(body)
        let added = settings.shardCount * (1 + settings.replicaCount)
        let present = state.indices.values.filter { !state.closed.contains($0.name) }
            .reduce(0) { $0 + $1.settings.shardCount * (1 + $1.settings.replicaCount) }
        if present + added > state.shardsMax {
            throw ElasticsearchError(
                400, "validation_exception",
                "Validation Failed: 1: this action would add [\(added)] \(self.dialect.shardsAdded), but this cluster "
                    + "currently has [\(present)]/[\(state.shardsMax)] \(self.dialect.shardsOpen);")
        }
        let uuid = UID.random(using: &state.random).hex
        do {
            let index = try IndexStore(
                name: name, uuid: uuid, createdAt: self.clocks.wallNow(), settings: settings, mapping: mapping,
                aliases: aliases, path: "\(self.folder)/indices/\(uuid).log")
            state.indices[name] = index
            try self.manage(name, &state)
            return index
        } catch let error as ElasticsearchError {
            throw error
        } catch {
            throw ElasticsearchError(500, "i_o_exception", "\(error)")
        }
    }

    func flush(_ log: RecordLog) throws(ElasticsearchError) {
        do {
            try log.flush()
        } catch {
            throw ElasticsearchError(500, "i_o_exception", "\(error)")
        }
    }
}

/// What an index may be called.
enum IndexName {
    static func check(_ name: String) throws(ElasticsearchError) {
        func refuse(_ why: String) -> ElasticsearchError {
            ElasticsearchError(
                400, "invalid_index_name_exception", "Invalid index name [\(name)], \(why)",
                details: [JSONMember("index", .string(name))])
        }
        if name.isEmpty || name == "." || name == ".." { throw refuse("must not be '.' or '..'") }
        if name != name.lowercased() { throw refuse("must be lowercase") }
        if let first = name.first, "_-+".contains(first) { throw refuse("must not start with '_', '-', or '+'") }
        if name.contains(where: { "\\/*?\"<>| ,#:".contains($0) }) {
            throw refuse("must not contain the following characters ['\\','/','*','?','\"','<','>','|',' ',',']")
        }
        if name.utf8.count > 255 { throw refuse("index name is too long, (\(name.utf8.count) > 255)") }
    }
}

extension RESTRequest {
    init(method: String, uri: String, headers: [String: String], body: RequestBody) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        var parameters: [String: String] = [:]
        if parts.count > 1 {
            for pair in parts[1].split(separator: "&") {
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                parameters[PercentEncoding.decode(sides[0], plusIsSpace: true)] =
                    sides.count > 1 ? PercentEncoding.decode(sides[1], plusIsSpace: true) : ""
            }
        }
        self.init(
            method: method, path: path, uri: uri,
            segments: path.split(separator: "/").map { PercentEncoding.decode($0, plusIsSpace: false) },
            parameters: parameters, headers: headers, body: body)
    }
}

/// `%2F` and its kin.
enum PercentEncoding {
    static func decode(_ text: Substring, plusIsSpace: Bool) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let high = Hexadecimal.value(of: rest[rest.startIndex]),
                let low = Hexadecimal.value(of: rest[rest.startIndex + 1])
            {
                bytes.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") && plusIsSpace ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
