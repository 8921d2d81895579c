import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments

extension APIServer {
    /// What has happened, from the activation store.
    var activationRoutes: [Route] {
        let filters: [Route.Parameter] =
            [
                Route.Parameter(
                    "outcome", ["type": "string", "enum": .array(Outcome.allCases.map { .string($0.name) })],
                    "Only this outcome"),
                Route.Parameter(
                    "reason", ["type": "string", "enum": .array(Reason.allCases.map { .string($0.code) })],
                    "Only this reason"),
                Route.Parameter(
                    "kind", ["type": "string", "enum": .array(FireKind.allCases.map { .string($0.name) })],
                    "Only this kind of fire"),
                Route.Parameter("from", OpenAPI.instant, "Scheduled at or after"),
                Route.Parameter("to", OpenAPI.instant, "Scheduled before"),
                Route.Parameter(
                    "q", ["type": "string"],
                    "Words: of the schedule's name or the error, or the beginning of the name or the action"),
                Route.Parameter("action", ["type": "string"], "Only of this action"),
                Route.Parameter(
                    "label", ["type": "string"], "Only with this label, team=billing; several with commas between"),
            ]
        let schedule = Route.Parameter("schedule", ["type": "string"], "Only of this schedule or timer")
        let paging =
            [
                Route.Parameter(
                    "countUpTo", ["type": "integer", "minimum": 1, "maximum": 10_000],
                    "Count the matches, so far and no further: total")
            ] + OpenAPI.paging
        return [
            Route(
                .get, "/v1/namespaces/{namespace}/activations", id: "listActivations",
                "Records of outcomes, newest scheduled time first", needs: .read,
                query: [schedule] + filters + paging,
                answers: [200: "ActivationList"],
                handler: { call in try await self.listActivations(call, schedule: nil) }),
            Route(
                .get, "/v1/namespaces/{namespace}/activation-summary", id: "summarizeActivations",
                "Outcomes and lateness over time", needs: .read,
                query: [
                    schedule,
                    Route.Parameter(
                        "every", ["type": "string"], "Length of a bucket, such as 1h; needs from and to"),
                ] + filters,
                answers: [200: "ActivationSummary"],
                handler: { call in try await self.summarizeActivations(call) }),
            Route(
                .get, "/v1/namespaces/{namespace}/activations/{activationId}", id: "getActivation",
                "One record", needs: .read, answers: [200: "Activation"],
                handler: { call in try await self.getActivation(call) }),
            Route(
                .get, "/v1/namespaces/{namespace}/schedules/{name}/activations", id: "listScheduleActivations",
                "The history of a schedule, newest first", needs: .read, query: filters + paging,
                answers: [200: "ActivationList"],
                handler: { call in try await self.listActivations(call, schedule: call.parameter("name")) }),
        ]
    }

    private func listActivations(_ call: APICall, schedule: String?) async throws -> Response {
        var query = QueryReader(call)
        var members = self.filters(call, &query)
        func add(_ name: String, _ value: String?) {
            if let value { members.append(JSONMember(name, .string(value))) }
        }
        if let schedule { add("schedule", schedule) } else { add("schedule", query.text("schedule")) }
        add("countUpTo", query.integer("countUpTo", in: 1...10_000).map(String.init))
        add("pageSize", query.integer("pageSize", in: 1...self.settings.pageSizeMax).map(String.init))
        add("pageToken", query.text("pageToken"))
        try query.finish()
        return Answer.bytes(try await self.cluster.activations(JSONValue.object(members).bytes))
    }

    private func summarizeActivations(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        var members = self.filters(call, &query)
        if let schedule = query.text("schedule") { members.append(JSONMember("schedule", .string(schedule))) }
        if let every = query.text("every") {
            members.append(JSONMember("every", .string(every)))
        } else {
            query.note("every", ProblemCode.missingField, "must be the length of a bucket, such as 1h")
        }
        try query.finish()
        return Answer.bytes(try await self.cluster.activations(JSONValue.object(members).bytes))
    }

    /// What restricts lists and summaries alike.
    private func filters(_ call: APICall, _ query: inout QueryReader) -> [JSONMember] {
        var members: [JSONMember] = [JSONMember("namespace", .string(call.namespace))]
        func add(_ name: String, _ value: String?) {
            if let value { members.append(JSONMember(name, .string(value))) }
        }
        add("outcome", query.word("outcome", Outcome.allCases.map(\.name)))
        add("reason", query.word("reason", Reason.allCases.map(\.code)))
        add("kind", query.word("kind", FireKind.allCases.map(\.name)))
        add("q", query.text("q"))
        add("action", query.text("action"))
        add("label", query.text("label"))
        let from = query.instant("from")
        let to = query.instant("to")
        if let from, let to, to <= from { query.note("to", ProblemCode.conflictingFields, "must be after from") }
        add("from", from?.description)
        add("to", to?.description)
        return members
    }

    private func getActivation(_ call: APICall) async throws -> Response {
        let id = call.parameter("activationId")
        guard let uid = UID(text: id) else { throw Problem.notFound("activation '\(ObjectReader.clipped(id))'") }
        let document: JSONValue = [
            "namespace": .string(call.namespace), "activationId": .string(uid.hex), "pageSize": 1,
        ]
        let answer = try JSONParser.parse(try await self.cluster.activations(document.bytes))
        guard let record = answer["items"]?[0] else {
            throw Problem.notFound("activation '\(uid.hex)' in the namespace '\(call.namespace)'")
        }
        return Answer.json(record)
    }
}
