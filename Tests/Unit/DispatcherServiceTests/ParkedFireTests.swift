import DispatcherDomain
@testable import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Synchronization
import Testing
import WireProtocol

@Suite struct ParkedFireTests {
    let session = SessionID(1)
    let a = Samples.cursor(Samples.due.milliseconds - 2000)
    let b = Samples.cursor(Samples.due.milliseconds - 1000)

    @Test func `a parked fire comes back as it was`() throws {
        let fire = ParkedFire(
            occurrence: Samples.occurrence(), shard: ShardID(7), epoch: Epoch(9), ticker: NodeID("t"), attempts: 3,
            notBefore: Samples.produced, detail: "HTTP 503")
        #expect(try ParkedFire(decoding: fire.encoded()) == fire)
        #expect(throws: WireError.self) { try ParkedFire(decoding: ByteBuffer(bytes: [1, 2, 3])) }
        var letter = fire
        letter.letter = ParkedFire.Letter(
            reason: .payloadTooLarge, error: "too large", topic: "team.a", keepsPayload: false)
        #expect(try ParkedFire(decoding: letter.encoded()) == letter)
    }

    /// Publishes one fire for `topic` at a lane whose other topics work.
    func publish(
        _ topic: String, _ fixture: LaneFixture, from: Cursor, to: Cursor, timePasses: Bool = true
    ) async {
        var template = Samples.template
        template.topic = topic
        template.expireAfterMilliseconds = 0
        fixture.shell.offer(
            .init(
                session: self.session, shard: ShardID(0), epoch: Epoch(5), from: from, to: to, byteCount: 100,
                work: FireWork(
                    occurrences: [Samples.occurrence(template, scheduled: to.cron.instant)], ticker: NodeID("t"))))
        let reply = LaneReply.acknowledged(self.session, ShardID(0), Epoch(5), to)
        if timePasses {
            await self.passing(fixture) { await fixture.replies.wait(for: reply) }
        } else {
            await fixture.replies.wait(for: reply)
        }
    }

    /// Moves time in the background while `body` waits for something.
    func passing(_ fixture: LaneFixture, _ body: () async -> Void) async {
        let time = Task {
            while !Task.isCancelled {
                fixture.clocks.advance(by: .milliseconds(500))
                await Task.yield()
            }
        }
        await body()
        time.cancel()
        await time.value
    }

    func wait(_ fixture: LaneFixture, until condition: @escaping () -> Bool) async {
        await self.passing(fixture) {
            while !condition() { await Task.yield() }
        }
    }

    @Test func `a topic that is away holds up nobody, and its fires arrive once when it is back`() async {
        let fixture = LaneFixture()
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await fixture.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), .start))
        fixture.topics.state.withLock { $0.leaderless = ["team.away"] }
        await self.publish("team.away", fixture, from: .start, to: self.a)
        await self.publish("", fixture, from: self.a, to: self.b)
        #expect(fixture.topics.committed("escapement.fires").count == 1)
        #expect(fixture.topics.committed("team.away").isEmpty)
        #expect(fixture.topics.committed("escapement.test.parked").isEmpty == false)
        fixture.topics.state.withLock { $0.leaderless = [] }
        await self.wait(fixture) { !fixture.topics.committed("team.away").isEmpty }
        fixture.shell.stop()
        _ = await run.value
        #expect(fixture.topics.committed("team.away").count == 1)
        let ids = fixture.topics.journal().flatMap { record -> [ActivationID] in
            if case .entry(_, let outcomes) = record.body { outcomes.map(\.id) } else { [] }
        }
        #expect(ids.count == 2 && Set(ids).count == 2, "each has one outcome")
    }

    @Test func `a topic led by a broker that does not answer us is a trouble of the lane, one that is away is not`()
        async
    {
        for isOutOfReach in [false, true] {
            let fixture = LaneFixture()
            let run = Task { await fixture.shell.run() }
            fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
            await fixture.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), .start))
            fixture.topics.state.withLock { state in
                state.closed = ["team.away"]
                if isOutOfReach { state.outOfReach = ["team.away"] }
            }
            await self.publish("team.away", fixture, from: .start, to: self.a)
            if isOutOfReach { await self.wait(fixture) { fixture.troubles.contains(.leaderOutOfReach) } }
            fixture.topics.state.withLock { $0.closed = [] }
            await self.wait(fixture) { !fixture.topics.committed("team.away").isEmpty }
            #expect(fixture.troubles.contains(.leaderOutOfReach) == isOutOfReach)
            fixture.shell.stop()
            _ = await run.value
        }
    }

    @Test func `a successor goes on with the parked fires where the journal stands`() async {
        let topics = FakeTopics()
        let one = LaneFixture(epoch: 1, topics: topics)
        let run = Task { await one.shell.run() }
        one.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await one.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), .start))
        topics.state.withLock { $0.leaderless = ["team.away"] }
        await self.publish("team.away", one, from: .start, to: self.a)
        one.shell.stop()
        _ = await run.value
        topics.state.withLock { $0.leaderless = [] }
        for epoch: UInt64 in 2...3 {
            let next = LaneFixture(epoch: epoch, topics: topics)
            let run = Task { await next.shell.run() }
            await self.wait(next) { !topics.committed("team.away").isEmpty }
            next.shell.stop()
            _ = await run.value
        }
        #expect(topics.committed("team.away").count == 1)
    }

    @Test func `an HTTP target is delivered to apart from the lane and its outcome recorded`() async {
        let clocks = ManualClocks()
        let sender = ScriptedSender([.status(503, retryAfter: nil), .status(202, retryAfter: nil)])
        let fixture = LaneFixture(
            clocks: clocks,
            web: WebDelivery(sender: sender, keys: NoNamespaceKeys(), whiskHost: nil, clocks: clocks))
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await fixture.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), .start))
        var template = Samples.template
        template.web = .hook(url: "https://example.com/hook", secret: "")
        template.expireAfterMilliseconds = 0
        fixture.shell.offer(
            .init(
                session: self.session, shard: ShardID(0), epoch: Epoch(5), from: .start, to: self.a, byteCount: 100,
                work: FireWork(occurrences: [Samples.occurrence(template)], ticker: NodeID("t"))))
        await fixture.replies.wait(for: .acknowledged(self.session, ShardID(0), Epoch(5), self.a))
        func outcomes() -> [OutcomeRecord] {
            fixture.topics.journal().flatMap { record -> [OutcomeRecord] in
                if case .entry(_, let outcomes) = record.body { outcomes } else { [] }
            }
        }
        await self.wait(fixture) { !outcomes().isEmpty }
        fixture.shell.stop()
        _ = await run.value
        #expect(outcomes().map(\.outcome) == [.dispatched])
        #expect(outcomes().map(\.attempts) == [2])
        #expect(outcomes().map(\.error) == ["HTTP 202"])
        #expect(sender.requests.map(\.url) == ["https://example.com/hook", "https://example.com/hook"])
    }

    @Test(arguments: [false, true])
    func `a fire is given up after as many attempts as its policy says, and dropped where it says so`(drops: Bool) async
    {
        let clocks = ManualClocks()
        let sender = ScriptedSender([])
        let fixture = LaneFixture(
            clocks: clocks,
            web: WebDelivery(sender: sender, keys: NoNamespaceKeys(), whiskHost: nil, clocks: clocks))
        let run = await self.started(fixture)
        var template = Samples.template
        template.web = .hook(url: "https://example.com/hook", secret: "")
        template.expireAfterMilliseconds = 0
        template.retry.attemptsMax = 3
        template.retry.dropsExhausted = drops
        fixture.shell.offer(
            .init(
                session: self.session, shard: ShardID(0), epoch: Epoch(5), from: .start, to: self.a, byteCount: 100,
                work: FireWork(occurrences: [Samples.occurrence(template)], ticker: NodeID("t"))))
        func outcomes() -> [OutcomeRecord] {
            fixture.topics.journal().flatMap { record -> [OutcomeRecord] in
                if case .entry(_, let outcomes) = record.body { outcomes } else { [] }
            }
        }
        await self.wait(fixture) { !outcomes().isEmpty }
        fixture.shell.stop()
        _ = await run.value
        #expect(outcomes().map(\.reason) == [.retriesExhausted])
        #expect(sender.requests.count == 3)
        #expect(fixture.topics.committed("escapement.deadletters").count == (drops ? 0 : 1))
    }

    // MARK: HTTP targets

    /// Answers at some hosts, and at others never; keeps what was sent.
    private final class HostsSender: WebSender {
        private let dead: Set<String>
        private let sent = Mutex<[String: Int]>([:])

        init(dead: Set<String>) { self.dead = dead }

        func count(_ url: String) -> Int { self.sent.withLock { $0[url] ?? 0 } }

        func send(_ request: WebRequest) async -> WebAnswer {
            self.sent.withLock { $0[request.url, default: 0] += 1 }
            guard self.dead.contains(where: { request.url.hasPrefix($0) }) else { return .status(200, retryAfter: nil) }
            let latch = Latch()
            await withTaskCancellationHandler {
                _ = await latch.wait()
            } onCancel: {
                latch.open()
            }
            return .unavailable("no answer")
        }
    }

    func offer(_ number: Int, _ urls: [String], _ fixture: LaneFixture) {
        let occurrences = urls.enumerated().map { index, url in
            var template = Samples.template
            template.web = .hook(url: url, secret: "")
            template.expireAfterMilliseconds = 0
            return Samples.occurrence(
                template, scheduled: self.cursor(number).cron.instant.advanced(by: .milliseconds(-index)))
        }
        fixture.shell.offer(
            .init(
                session: self.session, shard: ShardID(0), epoch: Epoch(5),
                from: number == 0 ? .start : self.cursor(number - 1), to: self.cursor(number), byteCount: 100,
                work: FireWork(occurrences: occurrences, ticker: NodeID("t"))))
    }

    func outcomes(_ fixture: LaneFixture) -> [OutcomeRecord] {
        fixture.topics.journal().flatMap { record -> [OutcomeRecord] in
            if case .entry(_, let outcomes) = record.body { outcomes } else { [] }
        }
    }

    @Test func `a host that never answers delays its own fires only, and is asked for no more than its share`() async {
        let clocks = ManualClocks()
        let sender = HostsSender(dead: ["https://dead.example/"])
        let fixture = LaneFixture(
            clocks: clocks, web: WebDelivery(sender: sender, keys: NoNamespaceKeys(), whiskHost: nil, clocks: clocks))
        let run = await self.started(fixture)
        self.offer(0, Array(repeating: "https://dead.example/a", count: 100), fixture)
        // Time stands still: neither has the dead host timed out nor is anything waited for.
        while sender.count("https://dead.example/a") < WebPlaces.hostCountMax { await Task.yield() }
        for number in 1..<5 {
            self.offer(number, ["https://alive.example/\(number)"], fixture)
            while self.outcomes(fixture).count < number { await Task.yield() }
        }
        #expect(self.outcomes(fixture).allSatisfy { $0.outcome == .dispatched })
        #expect((1..<5).allSatisfy { sender.count("https://alive.example/\($0)") == 1 })
        #expect(sender.count("https://dead.example/a") == WebPlaces.hostCountMax)
        fixture.shell.stop()
        #expect(await run.value == .released)
    }

    @Test func `a fire that waits for its next attempt is written anew for an attempt and for nothing else`() async {
        let topics = FakeTopics()
        let clocks = ManualClocks()
        let pause = Duration.seconds(500)
        let sender = ScriptedSender(
            Array(repeating: .status(503, retryAfter: pause), count: 2) + [.status(200, retryAfter: nil)])
        func fixture(_ epoch: UInt64) -> LaneFixture {
            LaneFixture(
                epoch: epoch, topics: topics, clocks: clocks,
                web: WebDelivery(sender: sender, keys: NoNamespaceKeys(), whiskHost: nil, clocks: clocks))
        }
        let one = fixture(1)
        let run = await self.started(one)
        self.offer(0, ["https://busy.example/a"], one)
        while topics.committed("escapement.test.parked").count < 2 { await Task.yield() }
        // Rounds and time go by.
        for number in 1..<20 {
            one.clocks.advance(by: .seconds(10))
            await self.publish("", one, from: self.cursor(number - 1), to: self.cursor(number), timePasses: false)
        }
        #expect(topics.committed("escapement.test.parked").count == 2)
        #expect(sender.requests.count == 1)
        one.shell.stop()
        _ = await run.value
        // The next owner knows the attempt and its time.
        let two = fixture(2)
        let secondRun = Task { await two.shell.run() }
        await self.wait(two) { self.outcomes(two).contains { $0.attempts == 3 } }
        #expect(sender.requests.count == 3)
        #expect(topics.committed("escapement.test.parked").count == 3)
        two.shell.stop()
        _ = await secondRun.value
        #expect(self.outcomes(two).count { $0.error == "HTTP 200" } == 1)
    }

    // MARK: Too long

    @Test func `a fire that waits for its topic longer than it may is given up, and said so`() async {
        let fixture = LaneFixture()
        let run = await self.started(fixture)
        fixture.topics.state.withLock { state in
            state.leaderless = ["team.away"]
            state.writtenAt = fixture.clocks.wallNow()
        }
        await self.publish("team.away", fixture, from: .start, to: self.a)
        fixture.clocks.advance(by: PublishingRules.parkedMax - .seconds(3600))
        fixture.topics.state.withLock { $0.writtenAt = fixture.clocks.wallNow() }
        await self.publish("team.away", fixture, from: self.a, to: self.b, timePasses: false)
        fixture.clocks.advance(by: .seconds(3601))
        await self.wait(fixture) { !self.outcomes(fixture).isEmpty }
        fixture.shell.stop()
        _ = await run.value
        #expect(self.outcomes(fixture).map(\.reason) == [.retriesExhausted], "the later one may wait longer")
        #expect(self.outcomes(fixture).first?.error.contains("team.away took nothing in the 6") == true)
        #expect(fixture.topics.committed("escapement.deadletters").count == 1)
    }

    @Test func `a fire that waits for a place at its HTTP host longer than it may is given up`() async {
        let clocks = ManualClocks()
        let sender = HostsSender(dead: ["https://dead.example/"])
        let fixture = LaneFixture(
            clocks: clocks, web: WebDelivery(sender: sender, keys: NoNamespaceKeys(), whiskHost: nil, clocks: clocks))
        let run = await self.started(fixture)
        self.offer(0, Array(repeating: "https://dead.example/a", count: WebPlaces.hostCountMax + 2), fixture)
        while sender.count("https://dead.example/a") < WebPlaces.hostCountMax { await Task.yield() }
        fixture.clocks.advance(by: PublishingRules.parkedMax + .seconds(1))
        await self.wait(fixture) { self.outcomes(fixture).count == 2 }
        fixture.shell.stop()
        _ = await run.value
        #expect(self.outcomes(fixture).allSatisfy { $0.reason == .retriesExhausted })
        #expect(sender.count("https://dead.example/a") == WebPlaces.hostCountMax)
        #expect(fixture.topics.committed("escapement.deadletters").count == 2)
    }

    @Test func `fires of the line that are gone are counted, and the line goes on behind them`() async {
        let topics = FakeTopics()
        let one = LaneFixture(epoch: 1, topics: topics)
        let run = await self.started(one)
        topics.state.withLock { $0.leaderless = ["team.away"] }
        await self.publish(0..<3, "team.away", one)
        one.shell.stop()
        _ = await run.value
        topics.state.withLock { state in
            state.leaderless = []
            state.parkedLow = [ParkedQueue.waiting.partition(of: LaneID(0)): 2]
        }
        let two = LaneFixture(epoch: 2, topics: topics)
        let secondRun = Task { await two.shell.run() }
        await self.wait(two) { two.shell.mark?.waiting.isEmpty == true }
        two.shell.stop()
        _ = await secondRun.value
        #expect(two.metrics.parkedLost.value == 2)
        #expect(topics.committed("team.away").count == 1)
    }

    // MARK: Order

    func cursor(_ number: Int) -> Cursor {
        Samples.cursor(Samples.due.milliseconds - 100_000 + Int64(number) * 1000)
    }

    /// Opens the shard and publishes fires `numbers` for `topic`, each a second later than the one before.
    func publish(_ numbers: Range<Int>, _ topic: String, _ fixture: LaneFixture) async {
        for number in numbers {
            await self.publish(
                topic, fixture, from: number == 0 ? .start : self.cursor(number - 1), to: self.cursor(number))
        }
    }

    func instants(_ topic: String, _ fixture: LaneFixture) -> [String] {
        fixture.topics.committed(topic).map { record in record.headers.first { $0.name == "esc-nominal" }?.value ?? "" }
    }

    func started(_ fixture: LaneFixture) async -> Task<LaneShell.Ending, Never> {
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await fixture.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), .start))
        return run
    }

    @Test(arguments: [true, false])
    func `fires that fall due while others of their topic wait come behind them`(hasLeader: Bool) async {
        let fixture = LaneFixture()
        let run = await self.started(fixture)
        await self.publish(0..<2, "team.away", fixture)
        fixture.topics.state.withLock { state in
            if hasLeader { state.closed = ["team.away"] } else { state.leaderless = ["team.away"] }
        }
        await self.publish(2..<6, "team.away", fixture)
        fixture.topics.state.withLock { state in
            state.closed = []
            state.leaderless = []
        }
        await self.publish(6..<12, "team.away", fixture)
        await self.wait(fixture) { self.instants("team.away", fixture).count == 12 }
        fixture.shell.stop()
        _ = await run.value
        let instants = self.instants("team.away", fixture)
        #expect(instants == instants.sorted())
        #expect(Set(instants).count == 12)
        #expect(!fixture.topics.committed("escapement.test.parked").isEmpty)
        let attempts = fixture.topics.committed("team.away").map { record in
            record.headers.first { $0.name == "ce_attempt" }?.value
        }
        // Who had to try it first has its second attempt afterwards; those behind did not try.
        #expect(attempts.contains("2") && attempts.contains("1"))
        #expect(attempts.first == "1" && attempts.last == "1")
    }

    @Test func `an outage of Kafka as a whole puts nothing aside`() async {
        let fixture = LaneFixture()
        let run = await self.started(fixture)
        await self.publish(0..<2, "team.a", fixture)
        fixture.topics.state.withLock { $0.isDown = true }
        let outage = Task { await self.publish(2..<4, "team.a", fixture) }
        let attempts = fixture.topics.sessionCount
        await self.wait(fixture) { fixture.topics.sessionCount > attempts + 20 }
        fixture.topics.state.withLock { $0.isDown = false }
        await outage.value
        fixture.shell.stop()
        _ = await run.value
        let instants = self.instants("team.a", fixture)
        #expect(instants.count == 4 && instants == instants.sorted())
        #expect(fixture.topics.committed("escapement.test.parked").isEmpty)
    }

    @Test func `a topic that the brokers forget for a while gets its fires`() async {
        let fixture = LaneFixture()
        let run = await self.started(fixture)
        fixture.topics.state.withLock { $0.forgotten = ["team.a"] }
        // It is put aside without an attempt: Kafka says that it does not know the topic.
        await self.publish("team.a", fixture, from: .start, to: self.a, timePasses: false)
        await self.publish("team.a", fixture, from: self.a, to: self.b, timePasses: false)
        fixture.clocks.advance(by: TopicHealth.missingAfter / 2)
        fixture.topics.state.withLock { $0.forgotten = [] }
        await self.wait(fixture) { self.instants("team.a", fixture).count == 2 }
        fixture.shell.stop()
        _ = await run.value
        #expect(fixture.topics.committed("escapement.deadletters").isEmpty)
    }

    @Test func `a topic that stays unknown is missing, and its fires are recorded as failed`() async {
        let fixture = LaneFixture()
        let run = await self.started(fixture)
        fixture.topics.state.withLock { $0.forgotten = ["team.gone"] }
        await self.publish(0..<3, "team.gone", fixture)
        await self.wait(fixture) { fixture.topics.committed("escapement.deadletters").count == 3 }
        fixture.shell.stop()
        _ = await run.value
        let outcomes = fixture.topics.journal().flatMap { record -> [OutcomeRecord] in
            if case .entry(_, let outcomes) = record.body { outcomes } else { [] }
        }
        #expect(outcomes.map(\.reason) == [.topicMissing, .topicMissing, .topicMissing])
    }

    @Test func `a successor keeps the order of the fires that wait`() async {
        let topics = FakeTopics()
        let one = LaneFixture(epoch: 1, topics: topics)
        let run = await self.started(one)
        topics.state.withLock { $0.leaderless = ["team.away"] }
        await self.publish(0..<4, "team.away", one)
        one.shell.stop()
        _ = await run.value
        topics.state.withLock { $0.leaderless = [] }
        let two = LaneFixture(epoch: 2, topics: topics)
        let secondRun = Task { await two.shell.run() }
        two.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await two.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), self.cursor(3)))
        await self.publish(4..<8, "team.away", two)
        await self.wait(two) { self.instants("team.away", two).count == 8 }
        two.shell.stop()
        _ = await secondRun.value
        let instants = self.instants("team.away", two)
        #expect(instants == instants.sorted() && Set(instants).count == 8)
    }
}
