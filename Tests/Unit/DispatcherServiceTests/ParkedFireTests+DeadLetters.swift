import DispatcherDomain
@testable import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Synchronization
import Testing
import WireProtocol

/// What becomes of dead letters that cannot be written.
extension ParkedFireTests {
    private var dead: String { "escapement.deadletters" }

    @Test(arguments: [true, false])
    func `dead letters wait for their topic, hold up nobody and arrive once, as they would have`(hasLeader: Bool) async
    {
        let topics = FakeTopics(missing: ["team.gone"])
        let one = LaneFixture(epoch: 1, topics: topics)
        let run = await self.started(one)
        await self.publish("team.gone", one, from: .start, to: self.cursor(0))
        topics.state.withLock { state in
            if hasLeader { state.closed = [self.dead] } else { state.leaderless = [self.dead] }
        }
        for number in 1..<4 {
            await self.publish("team.gone", one, from: self.cursor(number - 1), to: self.cursor(number))
        }
        await self.publish("", one, from: self.cursor(3), to: self.cursor(4))
        #expect(topics.committed("escapement.fires").count == 1)
        #expect(topics.committed(self.dead).count == 1)
        #expect(self.outcomes(one).count { $0.reason == .topicMissing } == 4)
        one.shell.stop()
        _ = await run.value
        topics.state.withLock { state in
            state.closed = []
            state.leaderless = []
        }
        let two = LaneFixture(epoch: 2, topics: topics)
        let secondRun = Task { await two.shell.run() }
        await self.wait(two) { two.shell.mark?.waiting.isEmpty == true }
        two.shell.stop()
        _ = await secondRun.value
        let letters = topics.committed(self.dead)
        #expect(letters.count == 4)
        #expect(Set(letters.map { $0.headers.first { $0.name == "ce_id" }?.value }).count == 4)
        #expect(
            letters.allSatisfy { letter in
                letter.headers.map(\.name) == letters[0].headers.map(\.name) && letter.value == letters[0].value
                    && letter.headers.contains(.init("esc-reason", "TOPIC_MISSING"))
                    && letter.headers.contains(.init("esc-topic", "team.gone"))
            })
        #expect(self.outcomes(two).count == 5, "a letter that has waited is no outcome")
        #expect(one.metrics.lostLetters + two.metrics.lostLetters == 0)
    }

    @Test func `without transactions dead letters wait likewise, and each arrives`() async {
        let topics = FakeTopics(missing: ["team.gone"])
        let one = LaneFixture(epoch: 1, topics: topics, isTransactional: false)
        let run = await self.started(one)
        topics.state.withLock { $0.leaderless = [self.dead] }
        await self.publish(0..<4, "team.gone", one)
        await self.publish("", one, from: self.cursor(3), to: self.cursor(4))
        #expect(topics.committed("escapement.fires").count == 1)
        #expect(topics.committed(self.dead).isEmpty)
        #expect(self.outcomes(one).count { $0.reason == .topicMissing } == 4)
        one.shell.stop()
        _ = await run.value
        topics.state.withLock { $0.leaderless = [] }
        let two = LaneFixture(epoch: 2, topics: topics, isTransactional: false)
        let secondRun = Task { await two.shell.run() }
        await self.wait(two) { two.shell.mark?.waiting.isEmpty == true }
        two.shell.stop()
        _ = await secondRun.value
        // To find out whether the topic takes records again one may have been written: then it is there twice.
        let ids = Set(topics.committed(self.dead).map { $0.headers.first { $0.name == "ce_id" }?.value })
        #expect(ids.count == 4 && !ids.contains(nil))
        #expect(self.outcomes(two).count == 5, "a letter that has waited is no outcome")
        #expect(one.metrics.lostLetters + two.metrics.lostLetters == 0)
    }

    @Test func `dead letters wait while nobody may write them, and are lost when that lasts too long`() async {
        let fixture = LaneFixture(topics: FakeTopics(missing: ["team.gone", self.dead]))
        let run = await self.started(fixture)
        fixture.topics.state.withLock { $0.writtenAt = fixture.clocks.wallNow() }
        await self.publish("team.gone", fixture, from: .start, to: self.a)
        #expect(fixture.shell.mark?.waiting.holds(self.dead) == true)
        #expect(fixture.metrics.lostLetters == 0)
        fixture.clocks.advance(by: PublishingRules.parkedMax + .seconds(1))
        await self.wait(fixture) { fixture.shell.mark?.waiting.isEmpty == true }
        fixture.shell.stop()
        _ = await run.value
        #expect(fixture.metrics.lostLetters == 1)
        #expect(fixture.topics.committed(self.dead).isEmpty)
    }
}
