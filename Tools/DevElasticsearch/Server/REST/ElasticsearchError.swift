import JSON

/// An answer other than success, in the shape of the real server's.
struct ElasticsearchError: Error, Equatable {
    var status: Int
    var type: String
    var reason: String
    /// Further members, shown in the cause and at the top, such as `index`.
    var details: [JSONMember] = []
    var causedBy: JSONValue?
    /// Errors of shards, for a search that all of them failed.
    var rootCauses: [JSONValue]?
    /// Header fields of the answer.
    var headers: [(name: String, value: String)] = []

    init(
        _ status: Int, _ type: String, _ reason: String, details: [JSONMember] = [], causedBy: JSONValue? = nil
    ) {
        self.status = status
        self.type = type
        self.reason = reason
        self.details = details
        self.causedBy = causedBy
    }

    /// `{"type": …, "reason": …}` and what else is known: the form inside bulk items too.
    var cause: JSONValue {
        var members = [JSONMember("type", .string(self.type)), JSONMember("reason", .string(self.reason))]
        members += self.details
        if let causedBy = self.causedBy { members.append(JSONMember("caused_by", causedBy)) }
        return .object(members)
    }

    /// The body of an answer.
    var body: JSONValue {
        guard case .object(let members) = self.cause else { return .null }
        let own: JSONValue = .object(members.filter { $0.name != "caused_by" })
        let roots = JSONMember("root_cause", .array(self.rootCauses ?? [own]))
        return ["error": .object([roots] + members), "status": .integer(self.status)]
    }

    static func == (left: ElasticsearchError, right: ElasticsearchError) -> Bool { left.body == right.body }
}

extension ElasticsearchError {
    static func illegalArgument(_ reason: String, causedBy: JSONValue? = nil) -> ElasticsearchError {
        ElasticsearchError(400, "illegal_argument_exception", reason, causedBy: causedBy)
    }

    static func validation(_ problem: String) -> ElasticsearchError {
        ElasticsearchError(400, "action_request_validation_exception", "Validation Failed: 1: \(problem);")
    }

    /// An element of a request body that the parser refuses, with its place in the text.
    static func parsing(_ reason: String, at key: String, in body: RequestBody) -> ElasticsearchError {
        let (line, column) = body.place(of: key)
        return ElasticsearchError(
            400, "parsing_exception", reason,
            details: [JSONMember("line", .integer(line)), JSONMember("col", .integer(column))])
    }

    static func indexNotFound(_ name: String) -> ElasticsearchError {
        ElasticsearchError(
            404, "index_not_found_exception", "no such index [\(name)]",
            details: [
                JSONMember("resource.type", "index_or_alias"), JSONMember("resource.id", .string(name)),
                JSONMember("index_uuid", "_na_"), JSONMember("index", .string(name)),
            ])
    }

    static func indexClosed(_ name: String, uuid: String) -> ElasticsearchError {
        ElasticsearchError(
            400, "index_closed_exception", "closed",
            details: [JSONMember("index_uuid", .string(uuid)), JSONMember("index", .string(name))])
    }

    static func versionConflict(_ reason: String, index: String, uuid: String) -> ElasticsearchError {
        ElasticsearchError(
            409, "version_conflict_engine_exception", reason,
            details: [
                JSONMember("index_uuid", .string(uuid)), JSONMember("shard", "0"),
                JSONMember("index", .string(index)),
            ])
    }

    static func simpleCause(_ type: String, _ reason: String) -> JSONValue {
        ["type": .string(type), "reason": .string(reason)]
    }

    /// A fault of the shards of `index`, as a search reports it.
    static func searchPhase(_ cause: ElasticsearchError, index: String) -> ElasticsearchError {
        var error = ElasticsearchError(cause.status, "search_phase_execution_exception", "all shards failed")
        error.details = [
            JSONMember("phase", "query"), JSONMember("grouped", true),
            JSONMember(
                "failed_shards",
                [["shard": 0, "index": .string(index), "node": "dev-elasticsearch-0", "reason": cause.cause]]),
        ]
        error.rootCauses = [cause.cause]
        return error
    }
}
