import Discovery
import EscapementModel
import Synchronization
import Testing

@Suite struct KubernetesDiscoveryTests {
    private static func found(_ discovery: KubernetesDiscovery) async -> [String] {
        await discovery.addresses().map(\.host)
    }

    private static func until(_ hosts: [String], _ discovery: KubernetesDiscovery) async throws {
        try await eventually("\(hosts) are found") { await Self.found(discovery) == hosts }
    }

    @Test func `only pods with an address that have not ended count, ready or not`() async throws {
        let server = FakeAPIServer()
        server.put("waiting", ip: "")
        server.put("done", ip: "10.0.0.2", phase: "Succeeded")
        server.put("crashed", ip: "10.0.0.3", phase: "Failed")
        server.put("leaving", ip: "10.0.0.4", isBeingDeleted: true)
        server.put("ticker", ip: "10.0.0.5", component: "ticker")
        server.put("good", ip: "10.0.0.6")
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until(["10.0.0.6"], discovery)
            server.put("waiting", ip: "10.0.0.1")
            try await Self.until(["10.0.0.1", "10.0.0.6"], discovery)
            server.put("good", ip: "10.0.0.6", isBeingDeleted: true)
            try await Self.until(["10.0.0.1"], discovery)
            #expect(server.lists == 1, "all the rest came by the watch")
        }
    }

    @Test func `a long list comes in pages`() async throws {
        let server = FakeAPIServer()
        server.setPageSize(2)
        for number in 1...5 { server.put("pod-\(number)", ip: "10.0.0.\(number)") }
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until((1...5).map { "10.0.0.\($0)" }, discovery)
            #expect(server.lists == 1)
        }
    }

    @Test func `a list whose pages expire under way is begun anew`() async throws {
        let server = FakeAPIServer()
        server.setPageSize(2)
        for number in 1...5 { server.put("pod-\(number)", ip: "10.0.0.\(number)") }
        server.failNextList(.pass)
        server.failNextList(.status(410))
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until((1...5).map { "10.0.0.\($0)" }, discovery)
            #expect(server.lists == 2)
        }
    }

    @Test func `a watch that ends is followed by one from the last version seen, a bookmark's too`() async throws {
        let server = FakeAPIServer()
        server.put("one", ip: "10.0.0.1")
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until(["10.0.0.1"], discovery)
            try await eventually("a watch is there") { server.watches == [101] }
            server.bookmark()
            server.endWatches()
            try await eventually("a second one is there") { server.watches.count == 2 }
            #expect(server.watches == [101, 111] && server.lists == 1)
            server.put("two", ip: "10.0.0.2")
            try await Self.until(["10.0.0.1", "10.0.0.2"], discovery)
        }
    }

    @Test func `a version that is too old leads to a new list`() async throws {
        let server = FakeAPIServer()
        server.put("one", ip: "10.0.0.1")
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until(["10.0.0.1"], discovery)
            try await eventually("a watch is there") { server.watches.count == 1 }
            server.compact()
            server.endWatches()
            try await eventually("it is listed again") { server.lists == 2 }
            server.put("two", ip: "10.0.0.2")
            try await Self.until(["10.0.0.1", "10.0.0.2"], discovery)
        }
    }

    @Test(arguments: ["gone", "status", "garbage", "cut"])
    func `a watch that goes wrong is mended`(how: String) async throws {
        let fault: FakeAPIServer.Fault =
            switch how {
            case "gone": .gone
            case "status": .status(410)
            case "garbage": .garbage
            default: .cutLine
            }
        let server = FakeAPIServer()
        server.put("one", ip: "10.0.0.1")
        server.failNextWatch(fault)
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until(["10.0.0.1"], discovery)
            try await eventually("a sound watch is there") { server.watches.count >= (how == "status" ? 1 : 2) }
            server.put("two", ip: "10.0.0.2")
            try await Self.until(["10.0.0.1", "10.0.0.2"], discovery)
            #expect(server.lists == (how == "cut" ? 1 : 2))
        }
    }

    @Test func `an overloaded server is asked again, and then found`() async throws {
        let server = FakeAPIServer()
        server.put("one", ip: "10.0.0.1")
        server.failNextList(.status(429, retryAfter: 0))
        server.failNextList(.status(500))
        try await KubernetesSubject.run(server) { discovery in
            try await Self.until(["10.0.0.1"], discovery)
        }
    }

    /// Nobody sleeps in it: it says how long each pause was to be, and stops after `count`.
    private final class PauseRecorder: Clocks {
        private let system = SystemClocks()
        private let count: Int
        private let noted = Mutex<[Duration]>([])

        init(count: Int) { self.count = count }

        var pauses: [Duration] { self.noted.withLock { $0 } }
        func wallNow() -> WallInstant { self.system.wallNow() }
        func monotonicNow() -> MonotonicInstant { self.system.monotonicNow() }
        func sleep(for duration: Duration) async throws {
            let isEnough = self.noted.withLock { pauses in
                pauses.append(duration)
                return pauses.count >= self.count
            }
            if isEnough { throw CancellationError() }
        }
    }

    @Test func `attempts to reach a server that refuses connections follow in doubling, jittered pauses up to a bound`()
        async throws
    {
        let clocks = PauseRecorder(count: 12)
        let discovery = KubernetesDiscovery(
            KubernetesDiscovery.Settings(
                url: "https://127.0.0.1:1", namespace: "n", labelSelector: "app=a", port: 7400, tokenFile: nil,
                authorityFile: nil), clocks: clocks, logger: quietLogger, seed: 3, readToken: { _ in "" })
        await discovery.run()
        var expected = Duration.milliseconds(200)
        for pause in clocks.pauses {
            #expect(pause >= expected / 2 && pause <= expected, "\(pause) of \(expected)")
            expected = min(expected * 2, .seconds(30))
        }
        #expect(clocks.pauses.count == 12)
        let shares = zip(clocks.pauses.suffix(4), repeatElement(Duration.seconds(30), count: 4)).map { $0 / $1 }
        #expect(Set(shares).count > 1, "jittered: \(shares)")
    }

    @Test func `the token is read again for every request`() async throws {
        let server = FakeAPIServer()
        let token = Mutex("token-1")
        server.put("one", ip: "10.0.0.1")
        try await KubernetesSubject.run(server, token: { token.withLock { $0 } }) { discovery in
            try await Self.until(["10.0.0.1"], discovery)
            try await eventually("a watch is there") { server.watches.count == 1 }
            server.setToken("token-2")
            server.endWatches()
            try await eventually("the old token is refused") { server.tokensSeen.count >= 3 }
            token.withLock { $0 = "token-2" }
            server.put("two", ip: "10.0.0.2")
            try await Self.until(["10.0.0.1", "10.0.0.2"], discovery)
            #expect(server.tokensSeen.contains("token-2"))
        }
    }

    @Test func `a server of another authority is told nothing`() async throws {
        let server = FakeAPIServer()
        server.put("one", ip: "10.0.0.1")
        let reads = Atomic<Int>(0)
        try await KubernetesSubject.run(
            server,
            token: {
                reads.wrappingAdd(1, ordering: .relaxed)
                return "token-1"
            }, trusts: false
        ) { discovery in
            try await eventually("it has tried twice") { reads.load(ordering: .relaxed) >= 2 }
            #expect(await Self.found(discovery).isEmpty)
            #expect(server.tokensSeen.isEmpty)
        }
    }
}
