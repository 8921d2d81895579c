@testable import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Synchronization
import Testing
import WireProtocol

/// Answers as told, and keeps what it was sent.
final class ScriptedSender: WebSender {
    private let answers: Mutex<[WebAnswer]>
    private let sent = Mutex<[WebRequest]>([])

    init(_ answers: [WebAnswer]) { self.answers = Mutex(answers) }

    var requests: [WebRequest] { self.sent.withLock { $0 } }

    func send(_ request: WebRequest) async -> WebAnswer {
        self.sent.withLock { $0.append(request) }
        return self.answers.withLock { $0.isEmpty ? .unavailable("no more answers") : $0.removeFirst() }
    }
}

private struct Keys: NamespaceKeys {
    func whiskKey(of namespace: String) -> WhiskKey? { namespace == "guest" ? WhiskKey(text: "uuid:secret") : nil }
    func signingKey(_ name: String) -> [UInt8]? { name == "guest.hook" ? Array("key".utf8) : nil }
}

@Suite struct WebDeliveryTests {
    private func attempt(
        _ target: FireTemplate.Web, _ answer: WebAnswer, attempt: UInt32 = 1, namespace: String = "guest",
        host: String? = "https://whisk"
    ) async -> (result: WebDelivery.Result, request: WebRequest?) {
        let sender = ScriptedSender([answer])
        let delivery = WebDelivery(sender: sender, keys: Keys(), whiskHost: host, clocks: ManualClocks())
        var template = Samples.template
        template.namespace = namespace
        template.web = target
        let result = await delivery.deliver(
            Samples.fire(template), to: target, format: EventFormat(), attempt: attempt)
        return (result, sender.requests.first)
    }

    private func isAgain(_ result: WebDelivery.Result) -> Bool { if case .again = result { true } else { false } }
    private func isRefused(_ result: WebDelivery.Result) -> Bool { if case .refused = result { true } else { false } }
    private func isDelivered(_ result: WebDelivery.Result) -> Bool {
        if case .delivered = result { true } else { false }
    }

    @Test func `a trigger is fired with the namespace's key`() async throws {
        let (result, sent) = await self.attempt(.trigger("/guest/night ly"), .status(202, retryAfter: nil))
        #expect(self.isDelivered(result))
        let request = try #require(sent)
        #expect(request.url == "https://whisk/api/v1/namespaces/guest/triggers/night%20ly")
        #expect(request.basic?.uuid == "uuid")
        #expect(request.isTrusted)
        #expect("\(request)".contains("secret") == false)
    }

    @Test func `an action in a package has a path of its own`() async {
        let sent = await self.attempt(.action("/guest/reports/nightly"), .status(202, retryAfter: nil)).request
        #expect(sent?.url == "https://whisk/api/v1/namespaces/guest/actions/reports/nightly")
    }

    /// One attempt, as a lane makes it.
    private func end(
        _ target: FireTemplate.Web, status: Int, _ metrics: DispatcherMetrics
    ) async -> (outcome: Outcome, reason: Reason, detail: String)? {
        let clocks = ManualClocks()
        let sender = ScriptedSender([.status(status, retryAfter: nil)])
        let keeper = ParkedKeeper(
            probe: FakeTopics(),
            web: WebDelivery(sender: sender, keys: Keys(), whiskHost: "https://whisk", clocks: clocks), clocks: clocks)
        var template = Samples.template
        template.web = target
        template.expireAfterMilliseconds = 0
        let fire = ParkedFire(
            occurrence: Samples.occurrence(template), shard: ShardID(0), epoch: Epoch(5), ticker: NodeID("t"),
            notBefore: .distantPast)
        let decision = await keeper.deliver(fire, isOver: false, LaneID(0), Samples.rules, metrics)
        guard case .settle(_, let outcome, let reason, let detail) = decision else { return nil }
        return (outcome, reason, detail)
    }

    @Test func `a trigger without a rule counts as delivered, says so and is counted`() async throws {
        let registry = MetricsRegistry()
        let metrics = DispatcherMetrics(registry)
        func isCounted(_ count: Int) -> Bool {
            registry.exposition(.prometheusText).contains("\nescapement_http_no_rule_total \(count)\n")
        }
        #expect(isCounted(0), "it is there from the start")
        let end = try #require(await self.end(.trigger("/guest/t"), status: 204, metrics))
        #expect(end.outcome == .dispatched)
        #expect(end.reason == .dispatched)
        #expect(end.detail == "HTTP 204: the trigger has no active rule")
        #expect(isCounted(1))
        for (target, status) in [
            (FireTemplate.Web.trigger("/guest/t"), 202), (.action("/guest/a"), 204),
            (.hook(url: "https://a.example", secret: ""), 204),
        ] {
            let other = try #require(await self.end(target, status: status, metrics))
            #expect(other.outcome == .dispatched)
            #expect(other.detail == "HTTP \(status)")
        }
        #expect(isCounted(1), "nothing else has rules")
    }

    @Test(arguments: [
        (401, Reason.credentialsMissing, "does not accept the key of the namespace guest"),
        (403, .credentialsMissing, "has no right to the trigger /guest/t"),
        (404, .targetRefused, "has no trigger /guest/t"),
    ]) func `what is wrong with a key or a trigger is said apart`(
        status: Int, reason: Reason, says: String
    ) async throws {
        let metrics = DispatcherMetrics(MetricsRegistry())
        let end = try #require(await self.end(.trigger("/guest/t"), status: status, metrics))
        #expect(end.outcome == .failed)
        #expect(end.reason == reason)
        #expect(end.detail.hasPrefix("HTTP \(status): "))
        #expect(end.detail.contains(says))
    }

    @Test(arguments: [408, 409, 429, 500, 503])
    func `what may pass is tried again`(status: Int) async {
        #expect(self.isAgain(await self.attempt(.trigger("/guest/t"), .status(status, retryAfter: nil)).result))
    }

    @Test(arguments: [301, 400, 401, 403, 404, 413])
    func `what will not pass is refused at once`(status: Int) async {
        #expect(self.isRefused(await self.attempt(.trigger("/guest/t"), .status(status, retryAfter: nil)).result))
    }

    @Test func `throttling waits for the next minute`() async {
        guard case .again(let pause, _) = await self.attempt(.trigger("/guest/t"), .status(429, retryAfter: nil)).result
        else {
            Issue.record("429 is not tried again")
            return
        }
        #expect(pause > .seconds(60) - .seconds(1) && pause <= .seconds(65), "the clock stands at a full minute")
    }

    @Test func `a policy's pauses count, and what the target asks for before them`() async {
        let sender = ScriptedSender([
            .status(503, retryAfter: nil), .unavailable("no"), .status(503, retryAfter: .seconds(7)),
        ])
        let delivery = WebDelivery(sender: sender, keys: Keys(), whiskHost: nil, clocks: ManualClocks())
        var template = Samples.template
        template.retry.backoffMinMilliseconds = 100
        template.retry.backoffMaxMilliseconds = 400
        let target = FireTemplate.Web.hook(url: "https://a.example", secret: "")
        var pauses: [Duration] = []
        for attempt in [1, 9, 1] as [UInt32] {
            let result = await delivery.deliver(
                Samples.fire(template), to: target, format: EventFormat(), attempt: attempt)
            if case .again(let pause, _) = result { pauses.append(pause) }
        }
        #expect(pauses.count == 3)
        #expect(pauses.first.map { $0 >= .milliseconds(50) && $0 <= .milliseconds(100) } == true)
        #expect(pauses.dropFirst().first.map { $0 >= .milliseconds(200) && $0 <= .milliseconds(400) } == true)
        #expect(pauses.last == .seconds(7))
    }

    @Test func `a hook that asks for no pause gets ours, which grows`() async {
        var last = Duration.zero
        for attempt: UInt32 in [1, 3, 5] {
            guard
                case .again(let pause, _) = await self.attempt(
                    .hook(url: "https://a.example", secret: ""), .status(503, retryAfter: .zero), attempt: attempt
                ).result
            else {
                Issue.record("503 is not tried again")
                return
            }
            #expect(pause > last)
            last = pause
        }
    }

    @Test func `a trigger gets the trace of the fire`() async {
        let sent = await self.attempt(.trigger("/guest/t"), .status(202, retryAfter: nil)).request
        #expect(sent?.headers.first { $0.name == "traceparent" }?.value == Samples.trace)
    }

    @Test(arguments: [(Duration.seconds(7), Duration.seconds(7)), (.seconds(86_400), .seconds(600))])
    func `a hook's answer names its pause, up to ten minutes`(wish: Duration, expected: Duration) async {
        guard
            case .again(let pause, _) = await self.attempt(
                .hook(url: "https://a.example", secret: ""), .status(503, retryAfter: wish)
            ).result
        else {
            Issue.record("503 is not tried again")
            return
        }
        #expect(pause == expected)
    }

    @Test func `without a key or a host nothing is sent`() async {
        let noKey = await self.attempt(.trigger("/other/t"), .status(202, retryAfter: nil), namespace: "other")
        #expect(self.isRefused(noKey.result) && noKey.request == nil)
        let noHost = await self.attempt(.trigger("/guest/t"), .status(202, retryAfter: nil), host: nil)
        #expect(self.isRefused(noHost.result) && noHost.request == nil)
        let noSecret = await self.attempt(
            .hook(url: "https://a.example", secret: "none"), .status(202, retryAfter: nil))
        #expect(self.isRefused(noSecret.result) && noSecret.request == nil)
    }

    @Test func `a hook gets the event's attributes, its id for repetitions and a signature`() async throws {
        let sent = await self.attempt(
            .hook(url: "https://a.example/x", secret: "hook"), .status(200, retryAfter: nil), attempt: 3
        ).request
        let request = try #require(sent)
        func header(_ name: String) -> String? { request.headers.first { $0.name == name }?.value }
        #expect(header("ce-id") == Samples.id.description)
        #expect(header("ce-attempt") == "3")
        #expect(header("Idempotency-Key") == "\"\(Samples.id)\"")
        #expect(header("Content-Type") == "application/json")
        #expect(header("traceparent") == Samples.trace)
        #expect(header("webhook-id") == Samples.id.description)
        #expect(header("webhook-timestamp") == "1795397400")
        let signature = WebSignature.headers(
            key: Array("key".utf8), id: Samples.id, now: Samples.due, body: request.body)
        #expect(header("webhook-signature") == signature[2].value)
        #expect(!request.isTrusted)
        #expect(request.basic == nil)
    }

    @Test func `the signature's function is that of RFC 4231`() {
        let mac = WebSignature.hmac(key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8))
        #expect(
            Hexadecimal.text(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let long = WebSignature.hmac(
            key: Array(repeating: 0xaa, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8))
        #expect(
            Hexadecimal.text(long) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }
}

@Suite struct WebPlacesTests {
    private let lane = LaneID(1)

    @Test func `hosts that never answer leave a place to the next one`() {
        let places = WebPlaces(countMax: 512, hostCountMax: 512)
        func takeAll(_ host: String) -> Int {
            var count = 0
            while places.take(host, for: self.lane, wake: {}) { count += 1 }
            return count
        }
        #expect(takeAll("slow-0") == 102, "a quarter of what is free then")
        for number in 1..<20 { #expect(takeAll("slow-\(number)") > 0) }
        #expect(takeAll("another") > 0)
    }

    @Test func `who found no place is told when one is free`() {
        let places = WebPlaces(countMax: 64, hostCountMax: 1)
        let woken = Mutex(0)
        func take(_ host: String) -> Bool {
            places.take(host, for: self.lane, wake: { woken.withLock { $0 += 1 } })
        }
        let first = take("a")
        let second = take("a")
        #expect(first && !second)
        let other = take("b")
        #expect(other)
        places.free("a")
        places.free("b")
        #expect(woken.withLock { $0 } == 1)
        let again = take("a")
        #expect(again)
    }

    @Test(arguments: [
        ("https://Hooks.Example/a?b", "hooks.example"), ("https://hooks.example:443#c", "hooks.example"),
        ("https://user@hooks.example:8443/a@b", "hooks.example:8443"),
    ]) func `a host is the authority of a URL`(url: String, host: String) {
        #expect(WebDelivery.host(of: .hook(url: url, secret: "")) == host)
    }
}
