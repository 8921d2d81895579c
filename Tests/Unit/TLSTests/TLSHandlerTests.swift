import EscapementModel
import NIOCore
import NIOEmbedded
import TLS
import Testing
import TestSupport

@Suite struct TLSHandlerTests {
    let authorities: Authorities

    init() throws { self.authorities = try Authorities() }

    private func establishedPair() throws -> ChannelPair {
        let pair = try ChannelPair(server: self.authorities.server(), client: self.authorities.client())
        try pair.pump()
        return pair
    }

    @Test func `both ends authenticate and agree on TLS 1_3 and a protocol`() throws {
        let pair = try self.establishedPair()
        #expect(pair.clientEnd.negotiated == ["escapement/1"])
        #expect(pair.serverEnd.negotiated == ["escapement/1"])
        #expect(try pair.tls(of: pair.server).version == "TLSv1.3")
        #expect(try pair.tls(of: pair.server).peerCertificate?.commonName == "client.test")
        #expect(try pair.tls(of: pair.server).peerCertificate?.uris == ["spiffe://escapement/test/ticker/client.test"])
        #expect(try pair.tls(of: pair.client).peerCertificate?.dnsNames == ["server.test"])
        #expect(pair.clientEnd.errors.isEmpty && pair.serverEnd.errors.isEmpty)
    }

    @Test func `a megabyte arrives whole`() throws {
        let pair = try self.establishedPair()
        let sent = ByteBuffer(bytes: (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) })
        let written = pair.client.writeAndFlush(sent)
        try pair.pump()
        try pair.settled(written)
        #expect(pair.serverEnd.received == sent)
    }

    @Test func `small writes of one flush share records`() throws {
        let pair = try self.establishedPair()
        let before = pair.clientByteCount
        let promises = (0..<1000).map { number in
            pair.client.write(ByteBuffer(repeating: UInt8(truncatingIfNeeded: number), count: 256))
        }
        pair.client.flush()
        try pair.pump()
        for promise in promises { try pair.settled(promise) }
        #expect(pair.serverEnd.received.readableBytes == 256_000)
        #expect(pair.serverEnd.received.getInteger(at: 255_999, as: UInt8.self) == UInt8(truncatingIfNeeded: 999))
        // 16 records of 22 bytes more than they carry; one for each write would be 22 000.
        #expect(pair.clientByteCount - before == 256_000 + 16 * 22)
        #expect(pair.serverEnd.readCount < 10)
    }

    @Test(arguments: [[300_000], [12, 300_000], [12, 114_688, 12, 114_688, 5], [40_000, 90_000, 20_000, 700_000]])
    func `what is encrypted leaves in buffers of 128 KiB at most`(counts: [Int]) throws {
        let pair = try self.establishedPair()
        for count in counts { pair.client.write(ByteBuffer(repeating: 7, count: count), promise: nil) }
        pair.client.flush()
        try pair.pump()
        #expect(pair.serverEnd.received == ByteBuffer(repeating: 7, count: counts.reduce(0, +)))
        #expect(pair.clientBufferMax <= 128 * 1024)
    }

    @Test func `small and large writes keep their order`() throws {
        let pair = try self.establishedPair()
        var expected = ByteBuffer()
        for (index, count) in [1, 20_000, 0, 16_384, 5, 16_383, 1, 16_385, 300_000, 7].enumerated() {
            let bytes = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 + index) })
            expected.writeImmutableBuffer(bytes)
            pair.server.write(bytes, promise: nil)
        }
        pair.server.flush()
        try pair.pump()
        #expect(pair.clientEnd.received == expected)
    }

    @Test func `what is flushed before the handshake is sent after it`() throws {
        let pair = try ChannelPair(server: self.authorities.server(), client: self.authorities.client())
        let early = pair.client.writeAndFlush(ByteBuffer(string: "early"))
        pair.client.write(ByteBuffer(string: "unflushed"), promise: nil)
        try pair.pump()
        try pair.settled(early)
        #expect(pair.serverEnd.received == ByteBuffer(string: "early"))
    }

    @Test func `both ends say close_notify and no error is seen`() throws {
        let pair = try self.establishedPair()
        pair.client.writeAndFlush(ByteBuffer(string: "last words"), promise: nil)
        let closed = pair.client.close()
        #expect(!pair.clientEnd.isInactive, "it waits for the peer's close_notify")
        try pair.pump()
        try pair.settled(closed)
        #expect(pair.serverEnd.received == ByteBuffer(string: "last words"))
        #expect(pair.serverEnd.sawShutdown)
        #expect(pair.clientEnd.isInactive && pair.serverEnd.isInactive)
        #expect(pair.clientEnd.errors.isEmpty && pair.serverEnd.errors.isEmpty)
    }

    @Test func `a peer that does not answer close_notify is left after two seconds`() throws {
        let pair = try self.establishedPair()
        let closed = pair.client.close()
        pair.client.embeddedEventLoop.advanceTime(by: .milliseconds(1999))
        #expect(!pair.clientEnd.isInactive)
        pair.client.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        try pair.settled(closed)
        #expect(pair.clientEnd.isInactive && pair.clientEnd.errors.isEmpty)
    }

    @Test func `writing after close fails`() throws {
        let pair = try self.establishedPair()
        let unflushed = pair.client.write(ByteBuffer(string: "unflushed"))
        pair.client.close(promise: nil)
        let late = pair.client.writeAndFlush(ByteBuffer(string: "late"))
        #expect(throws: ChannelError.ioOnClosedChannel) { try pair.settled(unflushed) }
        #expect(throws: ChannelError.ioOnClosedChannel) { try pair.settled(late) }
    }

    @Test func `another host name is refused`() throws {
        let pair = try ChannelPair(
            server: self.authorities.server(), client: self.authorities.client(), serverName: "elsewhere.test")
        try pair.pump()
        #expect(pair.clientEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.errors.first?.reason.contains("hostname mismatch") == true)
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed], "the alert tells the server")
        #expect(pair.clientEnd.negotiated.isEmpty && pair.serverEnd.negotiated.isEmpty)
    }

    @Test(arguments: ["127.0.0.1", "::1"]) func `an address in the certificate is accepted`(address: String) throws {
        let pair = try ChannelPair(
            server: self.authorities.server(), client: self.authorities.client(), serverName: address)
        try pair.pump()
        #expect(pair.clientEnd.negotiated.count == 1 && pair.serverEnd.negotiated.count == 1)
    }

    @Test(arguments: ["127.0.0.2", "::2"]) func `another address is refused`(address: String) throws {
        let pair = try ChannelPair(
            server: self.authorities.server(), client: self.authorities.client(), serverName: address)
        try pair.pump()
        #expect(pair.clientEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.errors.first?.reason.contains("IP address mismatch") == true)
    }

    @Test(arguments: ["", "a\u{0}b"]) func `what cannot be a name is refused`(name: String) throws {
        let pair = try ChannelPair(
            server: self.authorities.server(), client: self.authorities.client(), serverName: name)
        #expect(pair.clientEnd.errors.map(\.code) == [.handshakeFailed])
    }

    @Test func `a client of another authority is refused`() throws {
        let stranger = try TLSContext(
            self.authorities.configuration(.client, name: "client.test", issuer: self.authorities.other))
        let pair = try ChannelPair(server: self.authorities.server(), client: stranger)
        try pair.pump()
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.serverEnd.negotiated.isEmpty)
        // The client was done before; it learns from its first read.
        #expect(pair.clientEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.errors.first?.reason.contains("unknown ca") == true)
    }

    @Test func `a client without a certificate is refused`() throws {
        let anonymous = try TLSContext(
            TLSConfiguration(
                role: .client, authentication: .serverOnly, trust: .pem(self.authorities.own.certificatePEM),
                applicationProtocols: ["escapement/1"]))
        let pair = try ChannelPair(server: self.authorities.server(), client: anonymous)
        try pair.pump()
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.errors.first?.reason.contains("certificate required") == true)
    }

    @Test func `a server of another authority is refused`() throws {
        let stranger = try TLSContext(
            self.authorities.configuration(.server, name: "server.test", issuer: self.authorities.other))
        let pair = try ChannelPair(server: stranger, client: self.authorities.client())
        try pair.pump()
        #expect(pair.clientEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.negotiated.isEmpty)
    }

    @Test func `a certificate for servers only is no client's`() throws {
        let leaf = try self.authorities.own.issue(Authorities.request("client.test", usages: .server))
        let client = try TLSContext(
            TLSConfiguration(
                role: .client, certificateChain: .pem(leaf.certificatePEM), privateKey: .pem(leaf.privateKeyPEM),
                trust: .pem(self.authorities.own.certificatePEM), applicationProtocols: ["escapement/1"]))
        let pair = try ChannelPair(server: self.authorities.server(), client: client)
        try pair.pump()
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
    }

    @Test func `an expired client is refused`() throws {
        let past = SystemClocks().wallNow().advanced(by: .seconds(-8000))
        let leaf = try self.authorities.own.issue(Authorities.request("client.test", notBefore: past))
        let client = try TLSContext(
            TLSConfiguration(
                role: .client, certificateChain: .pem(leaf.certificatePEM), privateKey: .pem(leaf.privateKeyPEM),
                trust: .pem(self.authorities.own.certificatePEM), applicationProtocols: ["escapement/1"]))
        let pair = try ChannelPair(server: self.authorities.server(), client: client)
        try pair.pump()
        #expect(pair.serverEnd.errors.first?.reason.contains("expired") == true)
    }

    @Test func `without a common protocol there is no connection`() throws {
        let client = try TLSContext(
            self.authorities.configuration(.client, name: "client.test", protocols: ["http/1.1", "escapement/0"]))
        let pair = try ChannelPair(server: self.authorities.server(), client: client)
        try pair.pump()
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(pair.clientEnd.errors.first?.reason.contains("no application protocol") == true)
    }

    @Test func `the server's wish decides among common protocols`() throws {
        let server = try TLSContext(
            self.authorities.configuration(.server, name: "server.test", protocols: ["b", "a", "c"]))
        let client = try TLSContext(
            self.authorities.configuration(.client, name: "client.test", protocols: ["x", "c", "a"]))
        let pair = try ChannelPair(server: server, client: client)
        try pair.pump()
        #expect(pair.clientEnd.negotiated == ["a"])
    }

    @Test(arguments: [true, false]) func `offering no protocol is refused where one is required`(required: Bool) throws
    {
        var configuration = try self.authorities.configuration(.server, name: "server.test")
        configuration.requiresApplicationProtocol = required
        let client = try TLSContext(self.authorities.configuration(.client, name: "client.test", protocols: []))
        let pair = try ChannelPair(server: TLSContext(configuration), client: client)
        try pair.pump()
        #expect(pair.serverEnd.errors.map(\.code) == (required ? [.handshakeFailed] : []))
        #expect(pair.serverEnd.negotiated == (required ? [] : [nil]))
    }

    @Test func `TLS 1_2 is refused unless allowed`() throws {
        var old = try self.authorities.configuration(.client, name: "client.test")
        old.minimumVersion = .tls12
        old.maximumVersion = .tls12
        let refused = try ChannelPair(server: self.authorities.server(), client: TLSContext(old))
        try refused.pump()
        #expect(refused.serverEnd.errors.map(\.code) == [.handshakeFailed])

        var tolerant = try self.authorities.configuration(.server, name: "server.test")
        tolerant.minimumVersion = .tls12
        let pair = try ChannelPair(server: TLSContext(tolerant), client: TLSContext(old))
        try pair.pump()
        #expect(try pair.tls(of: pair.client).version == "TLSv1.2")
        pair.client.writeAndFlush(ByteBuffer(string: "old"), promise: nil)
        try pair.pump()
        #expect(pair.serverEnd.received == ByteBuffer(string: "old"))
        #expect(pair.serverEnd.errors.isEmpty)
    }

    @Test func `an end without close_notify is reported as truncation`() throws {
        let pair = try self.establishedPair()
        pair.server.pipeline.fireChannelInactive()
        #expect(pair.serverEnd.errors.map(\.code) == [.truncated])
        #expect(pair.serverEnd.isInactive)
    }

    @Test func `half a connection closed without close_notify is truncated too`() throws {
        let pair = try self.establishedPair()
        pair.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        pair.server.embeddedEventLoop.run()
        #expect(pair.serverEnd.errors.map(\.code) == [.truncated])
        #expect(pair.serverEnd.isInactive)
    }

    @Test func `an end during the handshake fails it`() throws {
        let pair = try ChannelPair(server: self.authorities.server(), client: self.authorities.client())
        pair.server.pipeline.fireChannelInactive()
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
    }

    @Test func `garbage fails the connection`() throws {
        let pair = try self.establishedPair()
        try pair.server.writeInbound(ByteBuffer(bytes: [0x17, 3, 3, 0, 32] + [UInt8](repeating: 7, count: 32)))
        pair.server.embeddedEventLoop.run()
        #expect(pair.serverEnd.errors.map(\.code) == [.connectionFailed])
        #expect(pair.serverEnd.received.readableBytes == 0)
        #expect(pair.serverEnd.isInactive)
    }

    @Test func `plain text in place of a handshake fails it`() throws {
        let pair = try ChannelPair(server: self.authorities.server(), client: self.authorities.client())
        try pair.server.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\nHost: server.test\r\n\r\n"))
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeFailed])
        #expect(!pair.serverEnd.isInactive, "the alert is given time to arrive")
        pair.server.embeddedEventLoop.advanceTime(by: TLSHandler.closeTimeoutDefault)
        #expect(pair.serverEnd.isInactive)
    }

    @Test func `a handshake that does not end is given up`() throws {
        let pair = try ChannelPair(
            server: self.authorities.server(), client: self.authorities.client(), handshakeTimeout: .seconds(3))
        pair.server.embeddedEventLoop.advanceTime(by: .milliseconds(2999))
        #expect(pair.serverEnd.errors.isEmpty)
        pair.server.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(pair.serverEnd.errors.map(\.code) == [.handshakeTimedOut])
        #expect(pair.serverEnd.isInactive)
    }

    @Test func `records may arrive in pieces`() throws {
        let pair = try self.establishedPair()
        pair.client.writeAndFlush(ByteBuffer(repeating: 9, count: 40_000), promise: nil)
        while var bytes = try pair.client.readOutbound(as: ByteBuffer.self) {
            while let piece = bytes.readSlice(length: min(997, bytes.readableBytes)), piece.readableBytes > 0 {
                try pair.server.writeInbound(piece)
            }
        }
        #expect(pair.serverEnd.received == ByteBuffer(repeating: 9, count: 40_000))
    }

    @Test func `a new certificate is seen by new connections only`() throws {
        let first = try self.authorities.configuration(.server, name: "server.test")
        let directory = TemporaryFolder()
        directory.write(first)
        let slot = try TLSContextSlot(directory.configuration(like: first))
        let old = try ChannelPair(server: slot.current, client: self.authorities.client())
        try old.pump()
        let firstSerial = try old.tls(of: old.client).peerCertificate?.serial

        directory.write(try self.authorities.configuration(.server, name: "server.test"))
        guard case .reloaded(let certificate) = slot.reload() else {
            Issue.record("the changed files were not taken")
            return
        }
        let new = try ChannelPair(server: slot.current, client: self.authorities.client())
        try new.pump()
        let newSerial = try new.tls(of: new.client).peerCertificate?.serial
        #expect(newSerial == certificate?.serial)
        #expect(newSerial != firstSerial)
        old.client.writeAndFlush(ByteBuffer(string: "still here"), promise: nil)
        try old.pump()
        #expect(old.serverEnd.received == ByteBuffer(string: "still here"))
    }
}
