import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import Testing
import WireProtocol

@Suite struct RoundPlanTests {
    private func plan(_ occurrences: [FireOccurrence], now: WallInstant = Samples.due) -> RoundPlan {
        RoundPlan(
            Samples.round(occurrences), lane: LaneID(13), laneEpoch: Epoch(1), rules: Samples.rules, now: now)
    }

    private func delivered(_ count: Int) -> [RecordFate] {
        (0..<count).map { .delivered(partition: 2, offset: Int64($0), attempts: 1) }
    }

    @Test func `what is due becomes records, and what is skipped only an outcome`() {
        let plan = self.plan([
            Samples.occurrence(), Samples.occurrence(outcome: .skipped, reason: .coalesced), Samples.occurrence(),
        ])
        #expect(plan.records.count == 2)
        let settlement = plan.settlement(self.delivered(2), now: Samples.produced)
        #expect(settlement.outcomes.map(\.reason) == [.dispatched, .coalesced, .dispatched])
        #expect(settlement.outcomes.map { $0.position?.offset } == [0, nil, 1])
        #expect(settlement.outcomes.allSatisfy { $0.settledAt == Samples.produced })
        #expect(settlement.deadLetters.isEmpty)
        #expect(settlement.journal.count == 1)
        #expect(settlement.journal[0].topic == "escapement.test.journal")
        #expect(settlement.journal[0].partition == 13)
    }

    @Test func `ids follow from cluster, kind, uid and nominal instant alone`() {
        let first = self.plan([Samples.occurrence()]).settlement(self.delivered(1), now: Samples.due)
        let again = self.plan([Samples.occurrence()], now: Samples.produced).settlement(
            self.delivered(1), now: Samples.produced)
        #expect(first.outcomes[0].id == again.outcomes[0].id)
        #expect(
            first.outcomes[0].id
                == ActivationID(cluster: "test", kind: .cron, uid: Samples.uid, scheduledTime: Samples.due))
    }

    @Test func `a fire that came after its expiry is not sent`() {
        let plan = self.plan(
            [Samples.occurrence()], now: WallInstant(milliseconds: Samples.due.milliseconds + 7_200_001))
        #expect(plan.records.isEmpty)
        let outcome = plan.settlement([], now: Samples.due).outcomes[0]
        #expect(outcome.outcome == .skipped && outcome.reason == .expired)
    }

    @Test func `a topic that is not allowed fails with a dead letter that holds everything`() throws {
        var template = Samples.template
        template.topic = "escapement.test.journal"
        let plan = self.plan([Samples.occurrence(template)])
        #expect(plan.records.isEmpty)
        let settlement = plan.settlement([], now: Samples.due)
        #expect(settlement.outcomes[0].outcome == .failed)
        #expect(settlement.outcomes[0].reason == .topicNotAllowed)
        let letter = try #require(settlement.deadLetters.first)
        #expect(letter.topic == "escapement.deadletters")
        #expect(letter.headers.contains(.init("esc-reason", "TOPIC_NOT_ALLOWED")))
        #expect(letter.headers.contains(.init("esc-topic", "escapement.test.journal")))
        #expect(letter.value == template.payload)
    }

    @Test func `a record that Kafka refuses fails alone`() {
        let plan = self.plan([Samples.occurrence(), Samples.occurrence()])
        let settlement = plan.settlement(
            [.refused(.tooLarge, detail: "too large", attempts: 2), .delivered(partition: 0, offset: 9, attempts: 1)],
            now: Samples.due)
        #expect(settlement.outcomes.map(\.outcome) == [.failed, .dispatched])
        #expect(settlement.outcomes[0].reason == .payloadTooLarge)
        #expect(settlement.outcomes[0].attempts == 2)
        #expect(settlement.deadLetters.count == 1)
        #expect(
            settlement.deadLetters[0].value == ByteBuffer(string: "{}"), "what was too large once is too large twice")
    }

    @Test func `a dead letter waits without what was too large, and the journal names where`() throws {
        let plan = self.plan([Samples.occurrence()])
        let fates: [RecordFate] = [.refused(.tooLarge, detail: "too large", attempts: 1)]
        let waiting = try #require(plan.settlement(fates, now: Samples.due).waitingLetters.first)
        #expect(waiting.topic == "escapement.test.parked")
        let fire = try ParkedFire(decoding: waiting.value)
        #expect(fire.letter?.reason == .payloadTooLarge && fire.letter?.topic == "escapement.fires")
        #expect(try FireTemplate(decoding: fire.occurrence.template).payload.readableBytes == 0)
        let settlement = plan.settlement(fates, letters: [.waits(offset: 7)], now: Samples.due)
        #expect(settlement.waiting.last == ["escapement.deadletters": 7])
        #expect(try JournalCodec.decode(settlement.journal[0].value).waiting == settlement.waiting)
        #expect(settlement.unavailableTopics == ["escapement.deadletters"])
        #expect(settlement.outcomes.map(\.reason) == [.payloadTooLarge])
    }

    @Test func `a fire that cannot be put aside is a dead letter in the form that consumers know`() throws {
        var template = Samples.template
        template.web = .hook(url: "https://hooks.test/a", secret: "")
        let plan = self.plan([Samples.occurrence(template)])
        #expect(plan.records.map(\.topic) == ["escapement.test.parked"])
        #expect(plan.records[0].partition != nil)
        let settlement = plan.settlement([.refused(.invalid, detail: "no", attempts: 1)], now: Samples.due)
        #expect(settlement.outcomes.map(\.outcome) == [.failed])
        let letter = try #require(settlement.deadLetters.first)
        #expect(letter.topic == "escapement.deadletters" && letter.partition == nil)
        #expect(letter.headers.contains { $0.name == "ce_id" })
        #expect(letter.value == template.payload)
    }

    @Test func `a template that cannot be read is settled and visible`() {
        var occurrence = Samples.occurrence()
        occurrence.template = ByteBuffer(bytes: [0xff, 0xff, 0xff])
        let settlement = self.plan([occurrence]).settlement([], now: Samples.due)
        #expect(settlement.outcomes[0].outcome == .failed)
        #expect(settlement.outcomes[0].error.contains("template"))
    }
}
