import CoordinatorAPI
import EscapementModel
import HTTPClient
import JSON
import Store
import TestSupport
import Testing

@Suite struct AccessTests {
    private static func line(_ token: String, _ rest: String) -> String {
        var hash = SHA256()
        hash.update(token.utf8)
        return "\(Hexadecimal.text(hash.finish())) \(rest)\n"
    }

    @Test func `tokens open what their role and namespaces allow, and nothing else`() async throws {
        let folder = TemporaryFolder()
        let file = folder.path + "/tokens"
        folder.write(
            "# tokens\n" + Self.line("boss", "root admin *") + Self.line("writer", "ci editor guest,shop")
                + Self.line("reader", "eyes viewer guest") + Self.line("night", "ops operator guest")
                + Self.line("old", "gone admin * expires=2026-01-01T00:00:00Z") + "not a line\n", to: "tokens")
        let api = try await TestAPI(authentication: .tokens(file: file))
        try await api.serve { (calls: Calls) async throws in
            func status(_ token: String?, _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil) async throws
                -> Int
            {
                var calls = calls
                calls.token = token
                return try await calls.send(method, path, body).status
            }
            let path = Samples.schedules
            #expect(try await status(nil, .get, path) == 401)
            #expect(try await status("wrong", .get, path) == 401)
            #expect(try await status("old", .get, path) == 401, "an expired token is an unknown one")
            #expect(try await status("boss", .post, path, Samples.schedule("a")) == 201)
            #expect(try await status("writer", .post, path, Samples.schedule("b")) == 201)
            #expect(try await status("writer", .get, "/v1/namespaces/other/schedules") == 403)
            #expect(try await status("reader", .get, "\(path)/a") == 200)
            #expect(try await status("reader", .post, path, Samples.schedule("c")) == 403)
            #expect(try await status("night", .post, path, Samples.schedule("c")) == 403)
            #expect(try await status("boss", .post, Samples.timers, ["id": "t", "delay": "1h"]) == 201)
            #expect(try await status("reader", .delete, "\(Samples.timers)/t") == 403)
            #expect(try await status("night", .delete, "\(Samples.timers)/t") == 200)
            #expect(try await status("reader", .get, "/v1/namespaces/_/schedules/b") == 200, "_ is the token's own")
            #expect(try await status(nil, .get, "/version") == 200, "what the program is, anyone may know")
        }
        let stored = try #require(try await api.store.schedule(namespace: "guest", name: "b"))
        #expect(stored.createdBy == "token:ci")
    }

    @Test func `a token that is taken out of the file is refused within a second`() async throws {
        let folder = TemporaryFolder()
        folder.write(Self.line("one", "one admin *"), to: "tokens")
        let api = try await TestAPI(authentication: .tokens(file: folder.path + "/tokens"))
        try await api.serve(token: "one") { (calls: Calls) async throws in
            #expect(try await calls.send(.get, Samples.schedules).status == 200)
            folder.write(Self.line("two", "two admin *"), to: "tokens")
            #expect(try await calls.send(.get, Samples.schedules).status == 200, "not looked at yet")
            api.clocks.advance(by: .seconds(1))
            #expect(try await calls.send(.get, Samples.schedules).status == 401)
            var other = calls
            other.token = "two"
            #expect(try await other.send(.get, Samples.schedules).status == 200)
            folder.remove("tokens")
            api.clocks.advance(by: .seconds(2))
            #expect(try await other.send(.get, Samples.schedules).status == 200, "a missing file locks nobody out")
        }
    }

    @Test func `guessing is slowed down, a right token passes all the same`() async throws {
        let folder = TemporaryFolder()
        folder.write(Self.line("right", "one admin *"), to: "tokens")
        let api = try await TestAPI(authentication: .tokens(file: folder.path + "/tokens"))
        try await api.serve { (calls: Calls) async throws in
            var statuses: [Int] = []
            for guess in 0..<25 {
                var calls = calls
                calls.token = "guess\(guess)"
                statuses.append(try await calls.send(.get, Samples.schedules).status)
            }
            #expect(statuses.prefix(20).allSatisfy { $0 == 401 })
            #expect(statuses.suffix(5).allSatisfy { $0 == 429 })
            var owner = calls
            owner.token = "right"
            #expect(try await owner.send(.get, Samples.schedules).status == 200)
        }
    }

    @Test func `lines of the token file that make no sense are left out, each with its reason`() {
        let hash = String(repeating: "ab", count: 32)
        let (table, faults) = TokenTable.parse(
            "\(hash) a admin *\n\nxyz b admin *\n\(hash) c king *\n\(hash) d viewer ,\n\(hash) e viewer *  until=now\n")
        #expect(table.entries.count == 1)
        #expect(faults.map(\.line) == [3, 4, 5, 6])
        #expect(!faults.map(\.detail).joined().contains(hash))
    }
}
