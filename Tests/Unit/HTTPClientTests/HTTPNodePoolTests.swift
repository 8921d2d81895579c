import EscapementModel
import HTTPClient
import Synchronization
import TestSupport
import Testing

/// Sleeps end at once and move the clock.
private final class SkippingClocks: Clocks {
    private let now = Mutex(MonotonicInstant(nanoseconds: 0))
    private let slept = Mutex<[Duration]>([])

    var sleeps: [Duration] { self.slept.withLock { $0 } }

    func wallNow() -> WallInstant { WallInstant(milliseconds: 0) }
    func monotonicNow() -> MonotonicInstant { self.now.withLock { $0 } }

    func sleep(for duration: Duration) async throws {
        self.now.withLock { $0 = $0.advanced(by: duration) }
        self.slept.withLock { $0.append(duration) }
    }
}

@Suite struct HTTPNodePoolTests {
    private let clocks = SkippingClocks()

    private func pool(
        _ urls: [String], _ policy: RetryPolicy = RetryPolicy()
    ) -> HTTPNodePool {
        HTTPNodePool(
            client: HTTPClient(), baseURLs: urls, policy: policy, clocks: self.clocks, random: SeededRandom(seed: 1))
    }

    @Test func `503 and then 200 is a 200 after one wait`() async throws {
        try await ScriptedServer.with([.status(503), .status(200, body: [0x61])]) { server in
            let response = try await pool([server.url + "/base/"]).send(HTTPRequest(.post, "/x", body: [1]))
            #expect(response.status == 200)
            #expect(server.received.map(\.line) == ["POST /base/x HTTP/1.1", "POST /base/x HTTP/1.1"])
            #expect(server.received.map(\.body) == [[1], [1]])
            #expect(clocks.sleeps.count <= 1)
        }
    }

    @Test func `Retry-After is waited for, and the jitter comes on top`() async throws {
        try await ScriptedServer.with([.status(429, headers: ["Retry-After": "7"]), .status(200)]) { server in
            let policy = RetryPolicy(firstDelayMax: .milliseconds(100))
            let status = try await pool([server.url], policy).send(HTTPRequest(.get, "/")).status
            #expect(status == 200)
            let sleep = try #require(clocks.sleeps.first)
            #expect(sleep >= .seconds(7) && sleep <= .milliseconds(7100))
        }
    }

    @Test func `attempts are bounded and the last answer is handed on`() async throws {
        try await ScriptedServer.with([.status(429)]) { server in
            let status = try await pool([server.url]).send(HTTPRequest(.get, "/")).status
            #expect(status == 429)
            #expect(server.received.count == 4)
        }
    }

    @Test(arguments: [200, 400, 401, 404, 409, 413, 500]) func `other answers are final`(code: Int) async throws {
        try await ScriptedServer.with([.status(code)]) { server in
            let status = try await pool([server.url]).send(HTTPRequest(.get, "/")).status
            #expect(status == code)
            #expect(server.received.count == 1)
        }
    }

    @Test func `a dead node is passed over without waiting and then rested`() async throws {
        let port = try await unusedPort()
        try await ScriptedServer.with([.status(200)]) { server in
            let pool = pool(["http://127.0.0.1:\(port)", server.url])
            #expect(pool.wellNodeCount == 2)
            for _ in 0..<3 {
                let status = try await pool.send(HTTPRequest(.get, "/")).status
                #expect(status == 200)
            }
            #expect(clocks.sleeps.isEmpty)
            #expect(pool.wellNodeCount == 1)
            #expect(server.received.count == 3)
        }
    }

    @Test func `a broken connection is tried again`() async throws {
        try await ScriptedServer.with([.hangUp, .status(200)]) { server in
            let status = try await pool([server.url]).send(HTTPRequest(.get, "/")).status
            #expect(status == 200)
            #expect(server.connectionCount == 2)
        }
    }

    @Test func `when nothing answers the last error is thrown`() async throws {
        let port = try await unusedPort()
        do {
            _ = try await pool(["http://127.0.0.1:\(port)"]).send(HTTPRequest(.get, "/"))
            Issue.record("expected an error")
        } catch {
            #expect(error.code == .unreachable)
        }
        #expect(clocks.sleeps.count <= 3)
    }

    @Test func `no attempt goes on beyond the deadline`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            let deadline = clocks.monotonicNow().advanced(by: .milliseconds(50))
            let error = await #expect(throws: HTTPClientError.self) {
                _ = try await pool([server.url]).send(
                    HTTPRequest(.get, "/", timeout: .seconds(600)), deadline: deadline)
            }
            #expect(error?.code == .timeout)
        }
    }

    @Test func `no attempt begins after the deadline`() async throws {
        try await ScriptedServer.with([.status(503, headers: ["Retry-After": "5"]), .status(200)]) { server in
            let deadline = clocks.monotonicNow().advanced(by: .seconds(4))
            let response = try await pool([server.url]).send(HTTPRequest(.get, "/"), deadline: deadline)
            #expect(response.status == 503)
            #expect(clocks.sleeps.isEmpty)
        }
    }
}

@Suite struct RetryPolicyTests {
    private let policy = RetryPolicy(
        attemptCountMax: 10, firstDelayMax: .milliseconds(100), delayMax: .seconds(1), retryAfterMax: .seconds(30))

    @Test func `the ceiling doubles up to the most, and the draw uses all of it`() {
        var random = SeededRandom(seed: 7)
        for (attempt, ceiling) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (9, 1000)] {
            let draws = (0..<500).compactMap { _ in
                policy.delay(after: .broken, attempt: attempt, hasFreshNode: false, random: &random)
            }
            #expect(draws.count == 500)
            #expect(draws.allSatisfy { $0 >= .zero && $0 <= .milliseconds(ceiling) })
            #expect(draws.contains { $0 > .milliseconds(ceiling * 9 / 10) })
            #expect(draws.contains { $0 < .milliseconds(ceiling / 10) })
        }
        #expect(policy.delay(after: .broken, attempt: 10, hasFreshNode: true, random: &random) == nil)
    }

    @Test func `a fresh node is tried at once, but not to push an overload on`() {
        var random = SeededRandom(seed: 7)
        #expect(policy.delay(after: .broken, attempt: 1, hasFreshNode: true, random: &random) == .zero)
        let wish = RetryPolicy.Outcome.overloaded(retryAfter: .seconds(3))
        let delay = policy.delay(after: wish, attempt: 1, hasFreshNode: true, random: &random)
        #expect(delay.map { $0 >= .seconds(3) } == true)
    }

    @Test func `a wish that is too long goes to the caller`() {
        var random = SeededRandom(seed: 7)
        let wish = RetryPolicy.Outcome.unavailable(retryAfter: .seconds(31))
        #expect(policy.delay(after: wish, attempt: 1, hasFreshNode: false, random: &random) == nil)
    }

    @Test func `Retry-After is read as seconds and as a date`() {
        func outcome(_ headers: HTTPHeaders) -> RetryPolicy.Outcome {
            RetryPolicy.outcome(of: HTTPResponse(status: 503, headers: headers))
        }
        let date = "Sun, 06 Nov 1994 08:49:37 GMT"
        #expect(outcome(["Retry-After": "120"]) == .unavailable(retryAfter: .seconds(120)))
        #expect(
            outcome(["Date": date, "retry-after": "Sun, 06 Nov 1994 08:50:00 GMT"])
                == .unavailable(retryAfter: .seconds(23)))
        #expect(outcome(["Date": date, "Retry-After": date]) == .unavailable(retryAfter: .zero))
        for unusable in ["-1", "soon", "", "Sun, 06 Nov 1994"] {
            #expect(outcome(["Date": date, "Retry-After": unusable]) == .unavailable(retryAfter: nil))
        }
    }

    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:50:00 GMT", 23), ("Sunday, 06-Nov-94 08:50:00 GMT", 23), ("Sun Nov  6 08:50:00 1994", 23),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0), ("Sunday, 06-Nov-50 08:49:37 GMT", 1_767_225_600),
        ("Sun, 06 Nob 1994 08:50:00 GMT", nil), ("Sun, 31 Nov 1994 08:50:00 GMT", nil),
        ("Sun, 06 Nov 1994 08:50:00 CET", nil), ("Sun, 06 Nov 4 08:50:00 GMT", nil), ("Sun Nov 6 8:50 1994", nil),
    ]) func `a date in Retry-After counts from our clock where the answer has none`(text: String, seconds: Int?) {
        // 1994-11-06T08:49:37Z.
        let now = WallInstant(milliseconds: 784_111_777_000)
        for headers: HTTPHeaders in [["Retry-After": text], ["Retry-After": text, "Date": "today"]] {
            let answer = HTTPResponse(status: 503, headers: headers)
            #expect(RetryPolicy.retryAfter(answer, receivedAt: now) == seconds.map { Duration.seconds($0) })
            #expect(RetryPolicy.retryAfter(answer) == nil, "from nothing it counts not at all")
        }
    }

    @Test func `a date in Retry-After counts from the answer's own before our clock`() {
        let answer = HTTPResponse(
            status: 503,
            headers: ["Retry-After": "Sun, 06 Nov 1994 08:50:00 GMT", "Date": "Sun, 06 Nov 1994 08:49:50 GMT"])
        #expect(RetryPolicy.retryAfter(answer, receivedAt: .distantPast) == .seconds(10))
    }
}

@Suite struct NodeRosterTests {
    private func instant(_ seconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds) * 1_000_000_000)
    }

    @Test func `well nodes are taken in turn`() {
        var roster = NodeRoster(count: 3)
        #expect((0..<6).map { _ in roster.take(avoiding: [], now: instant(0)) } == [0, 1, 2, 0, 1, 2])
    }

    @Test func `a rest doubles with each failure in a row and an answer ends it`() {
        var roster = NodeRoster(count: 1, firstRest: .seconds(1), restMax: .seconds(3))
        for (now, end) in [(0, 1), (10, 12), (20, 23), (30, 33)] {
            roster.failed(0, now: instant(now))
            #expect(roster.wellCount(now: MonotonicInstant(nanoseconds: instant(end).nanoseconds - 1)) == 0)
            #expect(roster.wellCount(now: instant(end)) == 1)
        }
        roster.succeeded(0)
        roster.failed(0, now: instant(40))
        #expect(roster.wellCount(now: instant(41)) == 1)
    }

    @Test func `after a rest one request tries the node and the others stay away`() {
        var roster = NodeRoster(count: 2, firstRest: .seconds(1))
        roster.failed(0, now: instant(0))
        #expect(roster.take(avoiding: [], now: instant(0)) == 1)
        #expect(roster.take(avoiding: [], now: instant(1)) == 0)
        #expect(roster.take(avoiding: [], now: instant(1)) == 1)
        #expect(roster.take(avoiding: [], now: instant(1)) == 1)
    }

    @Test func `when all rest the one that ends first is taken`() {
        var roster = NodeRoster(count: 2, firstRest: .seconds(1))
        roster.failed(0, now: instant(5))
        roster.failed(1, now: instant(3))
        #expect(roster.take(avoiding: [], now: instant(5)) == 1)
        #expect(!roster.hasFresh(besides: [], now: instant(3)))
    }
}
