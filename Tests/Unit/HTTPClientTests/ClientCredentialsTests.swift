import EscapementModel
import HTTPClient
import Testing

@Suite struct ClientCredentialsTests {
    /// Claims `{"sub":"escapement"}`, without a signature that anyone checks.
    private static let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJlc2NhcGVtZW50In0.c2ln"

    private static func token(_ server: ScriptedServer, scope: String? = nil) async throws -> ClientCredentials.Token {
        try await ClientCredentials(
            endpoint: "\(server.url)/token", clientID: "id:1", clientSecret: "s3 cret/", scope: scope
        ).token(client: HTTPClient(), clocks: SystemClocks())
    }

    @Test func `a token is asked for as the grant says`() async throws {
        let answer = #"{"access_token": "\#(Self.jwt)", "token_type": "Bearer", "expires_in": 900}"#
        try await ScriptedServer.with([.status(200, body: Array(answer.utf8))]) { server in
            let before = SystemClocks().wallNow()
            let token = try await Self.token(server, scope: "kafka read")
            #expect(token.value == Self.jwt)
            #expect(token.subject == "escapement")
            #expect(token.expiresAt.duration(since: before) >= .seconds(900))
            let request = try #require(server.received.first)
            #expect(request.line.hasPrefix("POST /token "))
            #expect(String(decoding: request.body, as: UTF8.self) == "grant_type=client_credentials&scope=kafka%20read")
            // id%3A1:s3%20cret%2F
            #expect(request.headers["authorization"] == "Basic aWQlM0ExOnMzJTIwY3JldCUyRg==")
        }
    }

    @Test(arguments: [
        (401, #"{"error": "invalid_client", "error_description": "unknown"}"#, "invalid_client: unknown"),
        (200, #"{"token_type": "Bearer"}"#, "no access_token"), (200, "hello", "no JSON"),
        (200, #"{"access_token": "x", "token_type": "mac"}"#, "not Bearer"),
    ])
    func `a refusal says why and shows no secret`(status: Int, body: String, reason: String) async throws {
        try await ScriptedServer.with([.status(status, body: Array(body.utf8))]) { server in
            let error = await #expect(throws: ClientCredentialsError.self) { _ = try await Self.token(server) }
            #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
            #expect(error?.description.contains("cret") == false)
        }
    }

    @Test func `an opaque token has no subject`() async throws {
        try await ScriptedServer.with([.status(200, body: Array(#"{"access_token": "opaque"}"#.utf8))]) { server in
            let token = try await Self.token(server)
            #expect(token.value == "opaque" && token.subject == nil)
        }
    }
}
