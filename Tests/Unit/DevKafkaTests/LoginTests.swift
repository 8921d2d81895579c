import DevKafka
import NIOCore
import Testing

@Suite struct LoginTests {
    private static func handshake(_ client: RawClient, _ mechanism: String, version: Int16 = 1) throws -> Int16 {
        var body = ByteBuffer()
        body.string(mechanism)
        var answer = try client.connection.call(17, version, body)
        return answer.readInteger() ?? -99
    }

    private static func authenticate(_ client: RawClient, _ token: String) throws -> (code: Int16, message: String?) {
        var body = ByteBuffer()
        body.writeInteger(Int32(token.utf8.count))
        body.writeString(token)
        var answer = try client.connection.call(36, 1, body)
        return (answer.readInteger() ?? -99, answer.takeString())
    }

    @Test func `nothing is answered before a login but what a login needs`() async throws {
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            let versions = try client.connection.call(18, 0, ByteBuffer())
            #expect(versions.getInteger(at: versions.readerIndex, as: Int16.self) == 0)
            #expect(throws: RawConnection.Closed.self) { try client.fetch(from: 0) }
        }
    }

    @Test func `a wrong password gets Kafka's answer and then a closed connection`() async throws {
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            #expect(try Self.handshake(client, "PLAIN") == 0)
            let refused = try Self.authenticate(client, "\0user\0wrong")
            #expect(refused.code == .code(.saslAuthenticationFailed))
            #expect(refused.message == "Authentication failed: Invalid username or password")
            #expect(throws: RawConnection.Closed.self) { try client.connection.receive(1) }
        }
    }

    @Test func `a mechanism that is not offered is refused`() async throws {
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            #expect(try Self.handshake(client, "GSSAPI") == .code(.unsupportedSaslMechanism))
        }
    }

    @Test func `tokens without request headers follow the oldest handshake`() async throws {
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            #expect(try Self.handshake(client, "PLAIN", version: 0) == 0)
            #expect(try client.connection.exchange(ByteBuffer(string: "\0user\0secret")).readableBytes == 0)
            #expect(try client.fetch(from: 0).code == 0)
        }
    }

    @Test func `a bearer token is accepted or refused with a status`() async throws {
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            #expect(try Self.handshake(client, "OAUTHBEARER") == 0)
            #expect(try Self.authenticate(client, "n,,\u{1}auth=Bearer a.b.c\u{1}\u{1}").code == 0)
            #expect(try client.fetch(from: 0).code == 0)
        }
        try await RawClient.with(security: .saslPlaintext) { client async throws in
            #expect(try Self.handshake(client, "OAUTHBEARER") == 0)
            #expect(try Self.authenticate(client, "n,,\u{1}auth=Bearer other\u{1}\u{1}").code == 0)
            let refused = try Self.authenticate(client, "\u{1}")
            #expect(refused.code == .code(.saslAuthenticationFailed))
            #expect(refused.message?.contains("invalid_token") == true)
        }
    }
}
