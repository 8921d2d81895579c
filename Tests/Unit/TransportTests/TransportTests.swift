import EscapementModel
import NIOCore
import NIOPosix
import Synchronization
import TLS
import Testing
import WireProtocol

@testable import Transport

@Suite(.timeLimit(.minutes(2))) struct TransportTests {
    let cluster: Cluster

    init() throws { self.cluster = try Cluster() }

    // MARK: Frames

    @Test func `frames travel both ways and each end knows the other`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        #expect(ticker.peer == Cluster.identity(.dispatcher, "d1"))
        #expect(dispatcher.peer == Cluster.identity(.ticker, "t1"))
        let question = Frame(kind: 0x0301, correlation: 7, payload: ByteBuffer(string: "question"))
        let answer = Frame(kind: 0x0302, flags: .answer, correlation: 7, payload: ByteBuffer(string: "answer"))
        #expect(ticker.send(question))
        #expect(await dispatcher.take(1) == [question])
        #expect(dispatcher.send(answer))
        #expect(await ticker.take(1) == [answer])
        ticker.close()
        #expect(await dispatcher.drain() == [])
        #expect(dispatcher.failure == nil && ticker.failure == nil)
    }

    @Test func `ten thousand small frames keep their order in both directions`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        let count = 10_000
        let sending = Task {
            for number in 0..<count { dispatcher.send(.numbered(-number)) }
        }
        for number in 0..<count { ticker.send(.numbered(number)) }
        let there = await dispatcher.take(count)
        let back = await ticker.take(count)
        await sending.value
        #expect(there == (0..<count).map { .numbered($0) })
        #expect(back == (0..<count).map { .numbered(-$0) })
        ticker.close()
    }

    @Test func `frames of all sizes keep their order`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        let sizes = [0, 100, 32_767, 32_768, 5, 200_000, 700_000, 12, 2_000_000, 300_000, 1, 40_000]
        let frames = [.greeting] + sizes.enumerated().map { Frame.numbered($0.offset, size: $0.element) }
        for frame in frames { ticker.send(frame) }
        #expect(await dispatcher.take(frames.count) == frames)
        for frame in frames.reversed() { dispatcher.send(frame) }
        #expect(await ticker.take(frames.count) == frames.reversed())
        ticker.close()
    }

    @Test func `the largest frames pass after the greeting`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        ticker.send(.greeting)
        let large = Frame.numbered(5, size: Frame.payloadMax)
        ticker.send(large)
        ticker.send(.numbered(6))
        #expect(await dispatcher.take(3) == [.greeting, large, .numbered(6)])
        dispatcher.send(large)
        #expect(await ticker.take(1) == [large])
        ticker.close()
    }

    @Test func `a large frame before the greeting ends the link`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        ticker.send(.numbered(1, size: Frame.payloadMaxBeforeHello))
        ticker.send(.numbered(2, size: Frame.payloadMaxBeforeHello + 1))
        #expect(await dispatcher.drain() == [.numbered(1, size: Frame.payloadMaxBeforeHello)])
        #expect(dispatcher.linkFailure?.code == .protocolViolation)
        #expect(await ticker.drain() == [])
    }

    @Test func `a frame that no peer would accept is not sent`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        #expect(!ticker.send(Frame(kind: 9, payload: ByteBuffer(repeating: 0, count: Frame.payloadMax + 1))))
        #expect(ticker.linkFailure?.code == .protocolViolation)
        #expect(await dispatcher.drain() == [])
        #expect(!ticker.send(.numbered(1)))
    }

    @Test func `garbage ends the link`() async throws {
        let listener = try await self.cluster.listen()
        let client = try await self.cluster.rawClient(self.cluster.tickerConfiguration(), to: listener.address)
        let link = try await listener.next()
        try await client.channel.writeAndFlush(ByteBuffer(bytes: [0, 0, 0, 3, 1, 2, 3]))
        #expect(await link.drain() == [])
        #expect(link.linkFailure?.code == .protocolViolation)
        #expect(try await client.failure.get() == nil, "closed with close_notify")
        await listener.close()
    }

    @Test func `a frame may arrive in pieces`() async throws {
        let listener = try await self.cluster.listen()
        let client = try await self.cluster.rawClient(self.cluster.tickerConfiguration(), to: listener.address)
        let link = try await listener.next()
        var bytes = ByteBuffer()
        for number in 0..<20 { Frame.numbered(number, size: 300).write(to: &bytes) }
        while let piece = bytes.readSlice(length: min(101, bytes.readableBytes)), piece.readableBytes > 0 {
            try await client.channel.writeAndFlush(piece)
        }
        #expect(await link.take(20) == (0..<20).map { .numbered($0, size: 300) })
        link.close()
        await listener.close()
    }

    // MARK: Bounds

    @Test func `a peer that does not read ends the link when the queue is full`() async throws {
        var limits = TransportLimits()
        limits.outboundBytesMax = 9 << 20
        let (ticker, dispatcher) = try await self.cluster.link(connecting: limits)
        ticker.send(.greeting)
        var sent = 0
        // The dispatcher takes nothing: at most its queue, the sockets' buffers and ours fill up.
        while ticker.send(.numbered(sent, size: 1 << 20)), sent < 1000 { sent += 1 }
        #expect(sent < 1000)
        #expect(ticker.linkFailure?.code == .overflow)
        #expect(!ticker.send(.numbered(0)))
        #expect(await ticker.drain() == [])
        let received = await dispatcher.drain()
        let all = [Frame.greeting] + (0..<sent).map { .numbered($0, size: 1 << 20) }
        #expect(received == Array(all.prefix(received.count)), "what arrives has no gap")
    }

    @Test func `whoever asks for room never fills the queue, and hears when there is some again`() async throws {
        // Behind what makes senders wait there is room for one frame.
        let room = 2 << 20
        let limits = TransportLimits(
            outboundBytesMax: room + Frame.headerLength + Frame.payloadMax, outboundBytesRoom: room)
        let (ticker, dispatcher) = try await self.cluster.link(connecting: limits)
        let (calls, call) = AsyncStream<Void>.makeStream()
        ticker.onRoom { call.yield() }
        ticker.send(.greeting)
        let count = 64
        let sending = Task {
            var waits = 0
            var calls = calls.makeAsyncIterator()
            for number in 0..<count {
                if !ticker.hasRoom {
                    waits += 1
                    await calls.next()
                }
                #expect(ticker.send(.numbered(number, size: 1 << 20)))
            }
            return waits
        }
        #expect(await dispatcher.take(1) == [.greeting])
        for number in 0..<count { #expect(await dispatcher.take(1) == [.numbered(number, size: 1 << 20)]) }
        #expect(await sending.value > 0, "64 MB do not fit into sockets")
        ticker.close()
    }

    @Test func `while one waits for room nobody has it, until half has left`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        try await loop.submit {
            let limits = TransportLimits(outboundBytesRoom: 1000)
            let handler = LinkHandler(
                policy: PeerPolicy(cluster: "test", roles: [.dispatcher]), limits: limits, eventLoop: loop)
            let link = TransportLink(
                peer: Cluster.identity(.dispatcher, "d1"), eventLoop: loop, handler: handler, limits: limits)
            let calls = Mutex(0)
            link.onRoom { calls.withLock { $0 += 1 } }
            #expect(link.hasRoom)
            for _ in 0..<10 { link.send(.numbered(1, size: 100 - Frame.headerLength)) }
            #expect(!link.hasRoom)
            link.written(400)
            #expect(!link.hasRoom, "600 of 1000 wait, and somebody was told to")
            #expect(calls.withLock { $0 } == 0)
            link.written(100)
            #expect(calls.withLock { $0 } == 1)
            #expect(link.hasRoom)
            link.written(500)
            #expect(calls.withLock { $0 } == 1, "nobody waits any more")
            handler.abort(LinkError(.broken, "the test is over"))
        }.get()
    }

    @Test func `a slow reader loses nothing`() async throws {
        let limits = TransportLimits(inboundFramesMax: 4, inboundBytesMax: 10_000)
        let (ticker, dispatcher) = try await self.cluster.link(accepting: limits)
        ticker.send(.greeting)
        let count = 2000
        for number in 0..<count { #expect(ticker.send(.numbered(number, size: number % 7 * 3000))) }
        ticker.close()
        let received = await dispatcher.drain()
        #expect(received == [.greeting] + (0..<count).map { .numbered($0, size: $0 % 7 * 3000) })
        #expect(dispatcher.failure == nil)
    }

    @Test func `one frame above the bound of bytes does not stop reading for ever`() async throws {
        let limits = TransportLimits(inboundFramesMax: 1, inboundBytesMax: 1)
        let (ticker, dispatcher) = try await self.cluster.link(accepting: limits)
        for number in 0..<50 {
            ticker.send(.numbered(number, size: 2000))
            #expect(await dispatcher.take(1) == [.numbered(number, size: 2000)])
        }
        ticker.close()
    }

    @Test func `silent connections are bounded and given up`() async throws {
        let limits = TransportLimits(handshakeTimeout: .seconds(2), pendingHandshakesMax: 1)
        let listener = try await self.cluster.listen(limits: limits)
        let first = try await self.cluster.silentConnection(to: listener.address)
        let second = try await self.cluster.silentConnection(to: listener.address)
        try await second.closeFuture.get()
        await self.cluster.log.wait(for: "link_flood")
        try await first.closeFuture.get()
        await self.cluster.log.wait(for: "link_refused")
        // The place is free again.
        let link = try await self.cluster.connector().connect(to: listener.address, expecting: .dispatcher)
        #expect(try await listener.next().peer.node == NodeID("t1"))
        link.close()
        await listener.close()
    }

    @Test func `a link is closed in order at its greatest age`() async throws {
        let limits = TransportLimits(linkAgeMax: .milliseconds(50))
        let (ticker, dispatcher) = try await self.cluster.link(accepting: limits)
        #expect(await ticker.drain() == [])
        #expect(await dispatcher.drain() == [])
        #expect(ticker.failure == nil && dispatcher.failure == nil)
    }

    @Test func `a silent link breaks where a read timeout is set`() async throws {
        let limits = TransportLimits(readTimeout: .milliseconds(50))
        let (ticker, dispatcher) = try await self.cluster.link(accepting: limits)
        #expect(await dispatcher.drain() == [])
        #expect(dispatcher.linkFailure?.code == .broken)
        #expect(await ticker.drain() == [])
    }

    // MARK: Ends

    @Test func `what was queued is sent before the close`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        ticker.send(.greeting)
        for number in 0..<100 { ticker.send(.numbered(number, size: 50_000)) }
        ticker.close()
        #expect(!ticker.send(.numbered(0)), "nothing is sent after the close")
        #expect(await dispatcher.drain().count == 101)
        #expect(dispatcher.failure == nil && ticker.failure == nil)
        #expect(await ticker.drain() == [])
        ticker.close()
    }

    @Test func `a cut connection is broken`() async throws {
        let listener = try await self.cluster.listen()
        let client = try await self.cluster.rawClient(self.cluster.tickerConfiguration(), to: listener.address)
        let link = try await listener.next()
        try await client.channel.triggerUserOutboundEvent(Cut())
        #expect(await link.drain() == [])
        #expect(link.linkFailure?.code == .broken)
        await listener.close()
    }

    @Test func `a cancelled reader ends its stream and no other`() async throws {
        let (ticker, dispatcher) = try await self.cluster.link()
        let reader = Task { await dispatcher.drain() }
        reader.cancel()
        #expect(await reader.value == [])
        #expect(dispatcher.send(.numbered(1)))
        #expect(await ticker.take(1) == [.numbered(1)])
        dispatcher.close()
    }

    @Test func `links that were taken outlive their listener`() async throws {
        let listener = try await self.cluster.listen()
        let connector = try self.cluster.connector()
        let ticker = try await connector.connect(to: listener.address, expecting: .dispatcher)
        let dispatcher = try await listener.next()
        await listener.close()
        await listener.close()
        for await _ in listener.links { Issue.record("a link of a closed listener") }
        ticker.send(.numbered(1))
        #expect(await dispatcher.take(1) == [.numbered(1)])
        await #expect(throws: LinkError.self) {
            try await connector.connect(to: listener.address, expecting: .dispatcher)
        }
        ticker.close()
    }
}

extension Cluster {
    /// TCP without a word.
    func silentConnection(to address: PeerAddress) async throws -> any Channel {
        try await ClientBootstrap(group: self.group).connect(host: address.host, port: address.port).get()
    }
}
