import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Testing
import WireProtocol

/// One round that takes every path of a plan, so that none is confused with another: of what is due, of what waited,
/// and of what went to HTTP targets. All that is sent is delivered.
@Suite struct RoundPlanPathsTests {
    /// What became of the fire of a number.
    private struct Row: Equatable {
        var number: UInt64
        var outcome: Outcome
        var reason: Reason
        var hasError: Bool
        /// Topic and offset.
        var place: String?

        init(_ number: UInt64, _ outcome: Outcome, _ reason: Reason, hasError: Bool = false, at place: String? = nil) {
            self.number = number
            self.outcome = outcome
            self.reason = reason
            self.hasError = hasError
            self.place = place
        }

        init(_ record: OutcomeRecord) {
            self.init(
                record.uid.low, record.outcome, record.reason, hasError: !record.error.isEmpty,
                at: record.position.map { "\($0.topic)@\($0.offset)" })
        }
    }

    private static let tooLate = Samples.due.advanced(by: .milliseconds(-7_200_001))

    private func fire(
        _ number: UInt64, outcome: Outcome = .dispatched, reason: Reason = .dispatched,
        scheduled: WallInstant = Samples.due, _ change: (inout FireTemplate) -> Void = { _ in }
    ) -> FireOccurrence {
        var template = Samples.template
        change(&template)
        return Samples.occurrence(
            template, outcome: outcome, reason: reason, scheduled: scheduled, uid: UID(high: 0, low: number))
    }

    private func fire(_ number: UInt64, to topic: String, scheduled: WallInstant = Samples.due) -> FireOccurrence {
        self.fire(number, scheduled: scheduled) { $0.topic = topic }
    }

    private func webFire(_ number: UInt64, dropsExhausted: Bool = false) -> FireOccurrence {
        self.fire(number) {
            $0.web = .hook(url: "https://hooks.test/a", secret: "")
            $0.retry.dropsExhausted = dropsExhausted
        }
    }

    private func unreadable(_ occurrence: FireOccurrence) -> FireOccurrence {
        var occurrence = occurrence
        occurrence.template = ByteBuffer(bytes: [0xff, 0xff, 0xff])
        return occurrence
    }

    private func parked(_ occurrence: FireOccurrence) -> ParkedFire {
        ParkedFire(
            occurrence: occurrence, shard: ShardID(13), epoch: Epoch(89), ticker: NodeID("ticker-1"),
            notBefore: Samples.due)
    }

    /// A dead letter as it waits.
    private func letter(_ number: UInt64) throws -> ParkedFire {
        let plan = RoundPlan(
            Samples.round([self.fire(number, to: "escapement.test.journal")]), lane: LaneID(13), laneEpoch: Epoch(1),
            rules: Samples.rules, now: Samples.due)
        let waiting = try #require(plan.settlement([], now: Samples.due).waitingLetters.first)
        return try ParkedFire(decoding: waiting.value)
    }

    private func id(_ number: UInt64) -> ActivationID {
        ActivationID(cluster: "test", kind: .cron, uid: UID(high: 0, low: number), scheduledTime: Samples.due)
    }

    private func header(_ name: String, of record: OutgoingRecord) -> String? {
        record.headers.first { $0.name == name }?.value
    }

    private func delivered(_ plan: RoundPlan) -> [RecordFate] {
        plan.records.indices.map { .delivered(partition: 2, offset: Int64(100 + $0), attempts: 1) }
    }

    private var due: [FireOccurrence] {
        [
            self.fire(1), self.fire(2, outcome: .skipped, reason: .paused), self.unreadable(self.fire(3)),
            self.unreadable(self.fire(4, outcome: .skipped, reason: .coalesced)),
            self.fire(5, scheduled: Self.tooLate), self.webFire(6), self.fire(7, to: "escapement.test.journal"),
            self.fire(8, to: "team.away"), self.fire(9, to: "team.here"),
            // All that waited for the one is in the round; of the other something stays.
            self.fire(10, to: "team.back"), self.fire(11, to: "team.other"),
        ]
    }

    private let line = WaitingLine(last: ["team.back": 7, "escapement.deadletters": 13, "team.other": 16])

    /// Between any two of the stretch one waits on, so that each shows whether it is settled.
    private func resumed() throws -> RoundPlan.Resumed {
        var unreadableLetter = try self.letter(26)
        unreadableLetter.occurrence = self.unreadable(unreadableLetter.occurrence)
        let dead = "escapement.deadletters"
        return RoundPlan.Resumed(
            fires: [
                .init(offset: 1, topic: "team.back", fire: self.parked(self.fire(21, to: "team.back"))),
                .init(
                    offset: 3, topic: "team.back", fire: self.parked(self.fire(22, to: "team.back")),
                    failure: FormatError(.topicMissing, "it does not exist")),
                .init(
                    offset: 5, topic: "team.back",
                    fire: self.parked(self.fire(23, to: "team.back", scheduled: Self.tooLate))),
                .init(offset: 7, topic: "team.back", fire: self.parked(self.unreadable(self.fire(24)))),
                .init(offset: 9, topic: dead, fire: try self.letter(25)),
                .init(offset: 11, topic: dead, fire: unreadableLetter),
                .init(
                    offset: 13, topic: dead, fire: try self.letter(27),
                    failure: FormatError(.topicMissing, "it waited too long")),
            ], left: stride(from: 0, through: 16, by: 2).map { (offset: $0, topic: "team.other") }, dropped: [15],
            stretch: 0..<17, isEnd: false, pass: WaitingPass(from: self.line))
    }

    private var takenUp: RoundPlan.TakenUp {
        func settle(
            _ fire: FireOccurrence, _ outcome: Outcome, _ reason: Reason, _ detail: String = ""
        ) -> ParkedDecision { .settle(self.parked(fire), outcome, reason, detail: detail) }
        let decisions: [ParkedDecision] = [
            .park(self.parked(self.webFire(31))), settle(self.webFire(32), .dispatched, .dispatched),
            settle(self.webFire(33), .failed, .targetRefused, "410"),
            settle(self.webFire(34, dropsExhausted: true), .failed, .retriesExhausted, "503"), .drop,
            settle(self.webFire(36, dropsExhausted: true), .failed, .targetRefused, "410"),
            settle(self.unreadable(self.webFire(37)), .failed, .targetRefused, "410"),
        ]
        return RoundPlan.TakenUp(
            ends: decisions.enumerated().map { .init(offset: Int64($0.offset), decision: $0.element) })
    }

    private func plan() throws -> RoundPlan {
        let health = TopicHealth()
        health.lost("team.away")
        return RoundPlan(
            Samples.round(self.due), takenUp: self.takenUp, resumed: try self.resumed(), line: self.line,
            lane: LaneID(13), laneEpoch: Epoch(1), rules: Samples.rules, health: health, now: Samples.due)
    }

    private func settlement() throws -> Settlement {
        let plan = try self.plan()
        return plan.settlement(self.delivered(plan), parked: RoundPlan.Parked(line: self.line), now: Samples.produced)
    }

    @Test func `each path sends its own records, in order`() throws {
        let plan = try self.plan()
        let aside = "escapement.test.parked"
        #expect(
            plan.records.map(\.topic) == [
                "team.back", "escapement.deadletters", "escapement.fires", aside, aside, "team.here", "team.back",
                aside, aside,
            ])
        let numbers: [UInt64?] = [21, 25, 1, nil, nil, 9, 10, nil, nil]
        #expect(
            plan.records.map { self.header("esc-activation-id", of: $0) }
                == numbers.map { number in number.map { self.id($0).description } })
        let put = try plan.records.filter { $0.topic == aside }.map { try ParkedFire(decoding: $0.value) }
        #expect(put.map(\.occurrence.uid.low) == [6, 8, 11, 31])
        #expect(plan.topics == ["team.back", "escapement.deadletters", "escapement.fires", "team.here"])
        #expect(plan.creators.isEmpty, "there are no spans")
    }

    @Test func `each path has its own outcome`() throws {
        let settlement = try self.settlement()
        #expect(
            settlement.outcomes.map { Row($0) } == [
                Row(21, .dispatched, .dispatched, at: "team.back@100"),
                Row(22, .failed, .topicMissing, hasError: true),
                Row(23, .skipped, .expired),
                Row(24, .failed, .invalidTemplate, hasError: true),
                Row(1, .dispatched, .dispatched, at: "escapement.fires@102"),
                Row(2, .skipped, .paused),
                Row(3, .failed, .invalidTemplate, hasError: true),
                Row(4, .skipped, .coalesced),
                Row(5, .skipped, .expired),
                Row(7, .failed, .topicNotAllowed, hasError: true),
                Row(9, .dispatched, .dispatched, at: "team.here@105"),
                Row(10, .dispatched, .dispatched, at: "team.back@106"),
                Row(32, .dispatched, .dispatched),
                Row(33, .failed, .targetRefused, hasError: true),
                Row(34, .failed, .retriesExhausted, hasError: true),
                Row(36, .failed, .targetRefused, hasError: true),
                Row(37, .failed, .targetRefused, hasError: true),
            ])
        for outcome in settlement.outcomes {
            #expect(
                outcome.id
                    == ActivationID(
                        cluster: "test", kind: .cron, uid: outcome.uid, scheduledTime: outcome.scheduled))
            #expect(outcome.settledAt == Samples.produced)
            #expect(outcome.namespace == ([3, 4, 24, 37].contains(outcome.uid.low) ? "" : "guest"))
        }
        let journal = try #require(settlement.journal.first)
        #expect(try JournalCodec.decode(journal.value).body == .entry([self.shard], settlement.outcomes))
    }

    /// Where the round leaves its only shard.
    private var shard: ShardState {
        ShardState(shard: ShardID(13), epoch: Epoch(89), cursor: Samples.cursor(Samples.due.milliseconds))
    }

    @Test func `only what failed and can be read leaves a dead letter`() throws {
        let settlement = try self.settlement()
        #expect(
            settlement.deadLetters.map { self.header("esc-activation-id", of: $0) }
                == [22, 7, 33, 36].map { self.id($0).description })
        #expect(
            settlement.deadLetters.map { self.header("esc-reason", of: $0) }
                == ["TOPIC_MISSING", "TOPIC_NOT_ALLOWED", "TARGET_REFUSED", "TARGET_REFUSED"])
        #expect(
            settlement.deadLetters.map { self.header("esc-topic", of: $0) }
                == ["team.back", "escapement.test.journal", "", ""])
        let waiting = try settlement.waitingLetters.map { try ParkedFire(decoding: $0.value) }
        #expect(waiting.map(\.occurrence.uid.low) == [22, 7, 33, 36])
        #expect(settlement.lostLetters == ["the template cannot be read", "it waited too long"])
    }

    @Test func `what was taken of the line is settled, and what has to wait joins it`() throws {
        let settlement = try self.settlement()
        #expect(
            settlement.waiting.settled
                == SettledOffsets(stretches: stride(from: 1, through: 15, by: 2).map { $0..<$0 + 1 }))
        #expect(settlement.waiting.last == ["team.away": 104, "team.other": 107])
        #expect(settlement.joinedCount == 2)
        #expect(settlement.unavailableTopics.isEmpty)
        #expect(settlement.pass?.position == 17 && settlement.pass?.left == ["team.other"])
        #expect(settlement.parked.map(\.fire.occurrence.uid.low) == [6, 31])
        #expect(settlement.parked.map(\.offset) == [103, 108])
    }

    // MARK: - Spans

    private func traced(_ spans: FireSpans) -> RoundPlan {
        var rules = Samples.rules
        rules.spans = spans
        return RoundPlan(
            Samples.round([self.fire(1), self.fire(2) { $0.traceparent = "" }, self.unreadable(self.fire(3))]),
            lane: LaneID(13), laneEpoch: Epoch(1), rules: rules, now: Samples.due)
    }

    private func traces(_ plan: RoundPlan) -> (records: [String?], outcomes: [String]) {
        (
            plan.records.map { self.header("traceparent", of: $0) },
            plan.settlement(self.delivered(plan), now: Samples.due).outcomes.map(\.traceparent)
        )
    }

    @Test func `with spans a fire has a trace of its own, and the template's is its creator's`() {
        let recorder = SpanRecorder(MetricsRegistry())
        recorder.switchOn(ratio: 1, followsParent: true)
        let spans = FireSpans(recorder)
        let plan = self.traced(spans)
        #expect(plan.creators == [self.id(1): Samples.trace], "an empty one names no creator")
        let sent = [spans.sending(self.id(1)).header, spans.sending(self.id(2)).header]
        #expect(Set(sent + [Samples.trace]).count == 3)
        let traces = self.traces(plan)
        #expect(traces.records == sent)
        #expect(traces.outcomes == sent + [""])
    }

    @Test func `while spans are off a fire goes on with the template's trace`() {
        let plan = self.traced(FireSpans(SpanRecorder(MetricsRegistry())))
        #expect(plan.creators.isEmpty)
        let traces = self.traces(plan)
        #expect(traces.records == [Samples.trace, nil])
        #expect(traces.outcomes == [Samples.trace, "", ""])
    }
}
