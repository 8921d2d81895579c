import EscapementModel
import Hummingbird
import JSON

/// Pieces of the API's own description.
enum OpenAPI {
    static let instant: JSONValue = ["type": "string", "format": "date-time"]
    static let dryRun = Route.Parameter(
        "dryRun", ["type": "boolean"], "Check everything and answer what would be, but store nothing")
    static let count = Route.Parameter("count", ["type": "integer", "minimum": 1, "maximum": 1000], "How many")
    static let paging = [
        Route.Parameter("pageSize", ["type": "integer", "minimum": 1, "maximum": 1000], "Items of a page"),
        Route.Parameter("pageToken", ["type": "string"], "nextPageToken of the page before"),
    ]

    /// The description of `table` as an OpenAPI 3.1 document.
    static func document(of table: RouteTable, version: String) -> JSONValue {
        var paths: [JSONMember] = []
        for route in table.routes {
            let operation = JSONMember(route.method.rawValue.lowercased(), self.operation(route))
            if let index = paths.firstIndex(where: { $0.name == route.path }),
                case .object(let operations) = paths[index].value
            {
                paths[index].value = .object(operations + [operation])
            } else {
                paths.append(JSONMember(route.path, .object([operation])))
            }
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Escapement", "version": .string(version),
                "summary": "Schedules and delayed actions, fired on time, once, into Kafka.",
                "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
            ],
            "servers": [["url": "/"]], "paths": .object(paths),
            "components": [
                "schemas": OpenAPISchemas.all,
                "securitySchemes": ["token": ["type": "http", "scheme": "bearer"]],
            ],
        ]
    }

    private static func operation(_ route: Route) -> JSONValue {
        let inPath = route.pathParameters.map { name -> JSONValue in
            ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string"]]
        }
        let inQuery = route.query.map { parameter -> JSONValue in
            [
                "name": .string(parameter.name), "in": "query", "description": .string(parameter.summary),
                "schema": parameter.schema,
            ]
        }
        let body: JSONValue? = route.body.map { schema in
            [
                "required": true,
                "content": .object([JSONMember(route.bodyMediaType, ["schema": self.reference(schema)])]),
            ]
        }
        var responses = route.answers.sorted { $0.key < $1.key }.map { status, schema in
            JSONMember("\(status)", self.response(schema))
        }
        responses.append(
            JSONMember(
                "default",
                [
                    "description": "A problem",
                    "content": ["application/problem+json": ["schema": self.reference("Problem")]],
                ]))
        return .record([
            "operationId": .string(route.id), "summary": .string(route.summary),
            "parameters": inPath.isEmpty && inQuery.isEmpty ? nil : .array(inPath + inQuery), "requestBody": body,
            "responses": .object(responses),
            "security": .array(route.permission == nil ? [] : [["token": []]]),
        ])
    }

    private static func response(_ schema: String) -> JSONValue {
        if schema.isEmpty { return ["description": "Done"] }
        let mediaType = schema == "EventStream" ? "text/event-stream" : "application/json"
        return [
            "description": "Done",
            "content": .object([JSONMember(mediaType, ["schema": self.reference(schema)])]),
        ]
    }

    static func reference(_ schema: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(schema)")] }
}
