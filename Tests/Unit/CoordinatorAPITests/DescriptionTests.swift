import CoordinatorService
import EscapementModel
import HTTPClient
import JSON
import Synchronization
import Testing

@Suite struct DescriptionTests {
    /// Every reference in a document.
    private static func references(_ value: JSONValue) -> [String] {
        switch value {
        case .object(let members):
            members.flatMap { member in
                if member.name == "$ref", let text = member.value.stringValue { return [text] }
                return Self.references(member.value)
            }
        case .array(let elements): elements.flatMap { Self.references($0) }
        default: []
        }
    }

    @Test func `the description covers the routes, and every operation it names answers`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let description = try await calls.send(.get, "/openapi.json").document
            #expect(description["openapi"]?.stringValue == "3.1.0")
            let schemas = Set((description["components"]?["schemas"]?.objectValue ?? []).map(\.name))
            for reference in Self.references(description) {
                let name = reference.split(separator: "/").last.map(String.init) ?? ""
                #expect(schemas.contains(name), "\(reference) leads nowhere")
            }
            var ids: [String] = []
            for path in description["paths"]?.objectValue ?? [] {
                for operation in path.value.objectValue ?? [] {
                    ids.append(operation.value["operationId"]?.stringValue ?? "")
                    let parameters = (operation.value["parameters"]?.arrayValue ?? [])
                        .filter { $0["in"]?.stringValue == "path" }.compactMap { $0["name"]?.stringValue }
                    var concrete = path.name
                    for name in parameters { concrete = concrete.replacing("{\(name)}", with: "guest") }
                    #expect(!concrete.contains("{"), "\(path.name) has a parameter that is not described")
                    guard let method = HTTPMethod(rawValue: operation.name.uppercased()),
                        operation.value["responses"]?["200"]?["content"]?["text/event-stream"] == nil
                    else { continue }
                    let reply = try await calls.send(method, concrete, method == .get || method == .delete ? nil : [:])
                    #expect(reply.status != 405, "\(method) \(path.name) has no route")
                    #expect(reply.status != 500, "\(method) \(path.name): \(reply.document.text)")
                    #expect(reply.headers["X-Request-Id"]?.isEmpty == false)
                }
            }
            #expect(ids.count == Set(ids).count, "operation ids are unique")
            #expect(ids.contains("createSchedule"))
        }
    }

    @Test func `unknown paths and methods are told apart`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let nowhere = try await calls.send(.get, "/v1/nowhere")
            #expect(nowhere.status == 404)
            #expect(nowhere.code == "NOT_FOUND")
            let method = try await calls.send(.post, "/version", [:])
            #expect(method.status == 405)
            #expect(method.headers["Allow"] == "GET")
            let named = try await calls.send(.get, "/version", headers: ["X-Request-Id": "mine-1"])
            #expect(named.headers["X-Request-Id"] == "mine-1")
        }
    }

    @Test func `activations pass the filters on, and say when the store is away`() async throws {
        let api = try await TestAPI()
        let id = String(repeating: "ab", count: 16)
        api.gateway.state.withLock {
            $0.activations = .success(["items": [["activation_id": .string(id)]], "nextPageToken": "n"])
        }
        try await api.serve { calls in
            let path = "/v1/namespaces/guest/activations"
            let list = try await calls.send(
                .get, "\(path)?schedule=nightly&outcome=skipped&from=2026-11-23T00:00:00Z&pageSize=5")
            #expect(list.document["nextPageToken"]?.stringValue == "n")
            let history = try await calls.send(.get, "\(Samples.schedules)/nightly/activations")
            #expect(history.status == 200)
            let one = try await calls.send(.get, "\(path)/\(id)")
            #expect(one.document["activation_id"]?.stringValue == id)
            #expect(try await calls.send(.get, "\(path)?outcome=lost").faults == ["outcome INVALID_VALUE"])
            let questions = api.gateway.state.withLock { $0.questions }
            #expect(
                Set(questions[0].objectValue ?? []) == [
                    JSONMember("namespace", "guest"), JSONMember("schedule", "nightly"),
                    JSONMember("outcome", "skipped"), JSONMember("from", "2026-11-23T00:00:00.000Z"),
                    JSONMember("pageSize", "5"),
                ])
            #expect(questions[1] == ["namespace": "guest", "schedule": "nightly"])
            let summary = "/v1/namespaces/guest/activation-summary"
            #expect(try await calls.send(.get, "\(summary)?label=team=billing").faults == ["every MISSING_FIELD"])
            _ = try await calls.send(.get, "\(summary)?every=1h&label=team%3Dbilling&q=nightly")
            #expect(
                Set(api.gateway.state.withLock { $0.questions.last?.objectValue } ?? []) == [
                    JSONMember("namespace", "guest"), JSONMember("every", "1h"), JSONMember("label", "team=billing"),
                    JSONMember("q", "nightly"),
                ])
            api.gateway.state.withLock {
                $0.activations = .failure(ClusterError(ClusterError.activationStoreUnavailable, "no answer from it"))
            }
            let away = try await calls.send(.get, path)
            #expect(away.status == 503)
            #expect(away.code == "ACTIVATION_STORE_UNAVAILABLE")
        }
    }

    @Test func `the cluster's status is the leader's, or there is no leader`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let none = try await calls.send(.get, "/v1/cluster")
            #expect(none.status == 503)
            #expect(none.code == "NO_LEADER")
            api.gateway.state.withLock { $0.status = .success(["cluster": "test", "members": [["id": "a"]]]) }
            #expect(try await calls.send(.get, "/v1/cluster").document["cluster"]?.stringValue == "test")
            #expect(try await calls.send(.get, "/v1/cluster/members").document["items"]?[0]?["id"]?.stringValue == "a")
        }
    }
}
