import EscapementModel
import HTTPServer
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import ServiceLifecycle
import TLS
import Testing

@Suite struct HTTPListenerTests {
    private let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("hello") { _, _ in "hello" }
        router.post("echo") { request, _ in
            Response(status: .ok, body: ResponseBody(byteBuffer: try await request.body.collect(upTo: 1_000_000)))
        }
        return router
    }

    private func withListener(
        slot: TLSContextSlot? = nil, _ body: @Sendable (Int) async throws -> Void
    ) async throws {
        let bound = BoundPort()
        let listener = HTTPListener(
            name: "api", router: self.router(), host: "127.0.0.1", port: 0, slot: slot, logger: self.logger,
            onBound: { bound.set($0) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [listener], logger: self.logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await body(await bound.wait())
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test func `HTTPS over our own TLS carries small and large bodies`() async throws {
        let now = SystemClocks().wallNow()
        let authority = try CertificateAuthority(
            name: "test", notBefore: now.advanced(by: .seconds(-60)), validity: .seconds(3600))
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "localhost", dnsNames: ["localhost"], notBefore: now.advanced(by: .seconds(-60)),
                validity: .seconds(3600)))
        let slot = try TLSContextSlot(
            TLSConfiguration(
                role: .server, authentication: .serverOnly, certificateChain: .pem(issued.certificatePEM),
                privateKey: .pem(issued.privateKeyPEM), applicationProtocols: ["http/1.1"],
                releasesIdleBuffers: true))
        let client = try TLSContext(
            TLSConfiguration(
                role: .client, authentication: .serverOnly, trust: .pem(authority.certificatePEM),
                applicationProtocols: ["http/1.1"]))
        try await self.withListener(slot: slot) { (port: Int) async throws in
            #expect(try await RawHTTP.get(port, "/hello", tls: client).body == "hello")
            let body = String(repeating: "0123456789", count: 90_000)
            let echo = try await RawHTTP.send(port, "POST", "/echo", body: body, tls: client)
            #expect(echo.status == 200)
            #expect(echo.body == body)
            // Plain HTTP to the TLS port gets no answer.
            await #expect(throws: RawHTTP.NoAnswer.self) { try await RawHTTP.get(port, "/hello") }
        }
    }

    @Test func `an announced body beyond the limit is refused before it is read`() async throws {
        try await self.withListener { (port: Int) async throws in
            let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 16777217\r\n\r\n"
            let answer = try await RawHTTP.exchange(port, head)
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(answer.contains("PAYLOAD_TOO_LARGE"))
        }
    }

    @Test func `a request that trickles is cut off, one that is answered is not`() throws {
        let channel = EmbeddedChannel(handler: RequestDeadlineHandler(timeout: .seconds(30)))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        // Answered in time: the connection stays.
        try channel.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        channel.embeddedEventLoop.advanceTime(by: .seconds(29))
        try channel.writeOutbound(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
        channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(channel.isActive)
        // A byte now and then does not move the deadline.
        for _ in 0..<29 {
            try channel.writeInbound(ByteBuffer(string: "x"))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        }
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!channel.isActive)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }
}
