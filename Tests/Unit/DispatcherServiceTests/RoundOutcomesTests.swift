import DispatcherDomain
import EscapementModel
import NIOCore
import Observability
import Testing
import WireProtocol

@testable import DispatcherService

/// What a round writes of each fire, against the outcome that it has to be, made by hand.
@Suite struct RoundOutcomesTests {
    private static let scheduled = Samples.due.advanced(by: .milliseconds(-250))

    private func occurrence(_ template: FireTemplate, _ change: (inout FireOccurrence) -> Void = { _ in })
        -> FireOccurrence
    {
        var occurrence = Samples.occurrence(template, scheduled: Self.scheduled)
        occurrence.due = Samples.due
        change(&occurrence)
        return occurrence
    }

    private func outcome(_ change: (inout OutcomeRecord) -> Void) -> OutcomeRecord {
        var outcome = OutcomeRecord(
            id: ActivationID(cluster: "test", kind: .cron, uid: Samples.uid, scheduledTime: Self.scheduled),
            kind: .cron, uid: Samples.uid, generation: 3, shard: ShardID(13), epoch: Epoch(89),
            scheduled: Self.scheduled, due: Samples.due, settledAt: Samples.produced, outcome: .dispatched,
            reason: .dispatched, namespace: "guest", name: "nightly-report", action: "/guest/reports/nightly",
            labels: [.init(name: "team", value: "billing"), .init(name: "none", value: "")], ticker: NodeID("ticker-1"),
            traceparent: Samples.trace)
        change(&outcome)
        return outcome
    }

    private var template: FireTemplate {
        var template = Samples.template
        template.labels.append(.init(name: "none", value: ""))
        template.payload = ByteBuffer(string: "hello")
        return template
    }

    private func plan(_ occurrences: [FireOccurrence], _ change: (inout PublishingRules) -> Void = { _ in })
        -> RoundPlan
    {
        var rules = Samples.rules
        change(&rules)
        return RoundPlan(
            Samples.round(occurrences), lane: LaneID(13), laneEpoch: Epoch(1), rules: rules, now: Samples.due)
    }

    private let hello = SHA256Digest.of("hello")

    @Test func `each field of a fire and of a run is what it has to be`() throws {
        var run = self.template
        run.labels = []
        run.traceparent = ""
        run.action = ""
        let plan = self.plan([
            self.occurrence(self.template),
            self.occurrence(run) {
                ($0.outcome, $0.reason, $0.kind, $0.count) = (.skipped, .coalesced, .interval, 7)
                $0.through = Samples.due.advanced(by: .seconds(60))
            },
        ]) { $0.payloads = .full }
        let settlement = plan.settlement([.delivered(partition: 5, offset: 77, attempts: 2)], now: Samples.produced)
        let expected = [
            self.outcome {
                $0.position = .init(topic: "escapement.fires", partition: 5, offset: 77)
                $0.payload = .init(byteCount: 5, sha256: self.hello, text: "hello")
                $0.attempts = 2
            },
            self.outcome {
                ($0.outcome, $0.reason, $0.kind, $0.count) = (.skipped, .coalesced, .interval, 7)
                $0.through = Samples.due.advanced(by: .seconds(60))
                $0.id = ActivationID(
                    cluster: "test", kind: .interval, uid: Samples.uid, scheduledTime: Self.scheduled)
                ($0.labels, $0.traceparent, $0.action) = ([], "", "")
            },
        ]
        #expect(settlement.outcomes == expected)
        let journal = try #require(settlement.journal.first)
        guard case .entry(let shards, let outcomes) = try JournalCodec.decode(journal.value).body else {
            Issue.record("no entry")
            return
        }
        #expect(outcomes == expected)
        #expect(
            journal.value
                == Samples.journal(
                    JournalRecord(
                        lane: LaneID(13), laneEpoch: Epoch(1), sequence: plan.sequence,
                        dispatcher: NodeID("dispatcher-1"),
                        body: .entry(shards, [])), expected
                ).records.first, "no byte more or less")
        #expect(settlement.fires.map(\.count) == [1, 7] && settlement.fires.map(\.due) == [Samples.due, Samples.due])
        #expect(settlement.fires.map(\.kind) == [.cron, .interval])
        #expect(settlement.fires.map(\.reason) == [.dispatched, .coalesced])
    }

    @Test func `the digest of a long payload is the template's, or made here for one without`() throws {
        var template = self.template
        template.payload = ByteBuffer(repeating: UInt8(ascii: "x"), count: FireTemplate.digestedFrom)
        let own = SHA256Digest(high: UID(high: 1, low: 2), low: UID(high: 3, low: 4))
        // The last one counts. Nobody else would write another one than the payload's.
        var told = FieldWriter()
        told.digest(26, own)
        let toldBytes = told.finish()
        var short = template
        short.payload = ByteBuffer(string: "hello")
        let settlement = self.plan([
            self.occurrence(template), self.occurrence(template) { $0.template.writeImmutableBuffer(toldBytes) },
            self.occurrence(short),
        ]).settlement(
            (0..<3).map { .delivered(partition: 0, offset: $0, attempts: 1) }, now: Samples.produced)
        let digests = settlement.outcomes.map { $0.payload?.sha256 }
        #expect(digests == [SHA256Digest.of(String(repeating: "x", count: 512)), own, self.hello])
    }

    @Test func `a record that Kafka refuses has its reason, and keeps what was known`() {
        let plan = self.plan([self.occurrence(self.template)])
        let settlement = plan.settlement(
            [.refused(.tooLarge, detail: "Broker: Message size too large", attempts: 3)], now: Samples.produced)
        #expect(
            settlement.outcomes == [
                self.outcome {
                    ($0.outcome, $0.reason, $0.error) = (.failed, .payloadTooLarge, "Broker: Message size too large")
                    $0.payload = .init(byteCount: 5, sha256: self.hello)
                    $0.attempts = 3
                }
            ])
        #expect(settlement.fires.map(\.reason) == [.payloadTooLarge])
    }

    @Test func `an error of any length leaves an entry that can be read`() throws {
        // One character to Swift, and five thousand bytes.
        let word = "e" + String(repeating: "\u{301}", count: 2500)
        let plan = self.plan([
            self.occurrence(self.template) { [template = self.template] occurrence in
                var pattern = template
                pattern.isPattern = true
                pattern.payload = ByteBuffer(string: "{{\(word)}}")
                occurrence.template = pattern.encoded()
            }
        ])
        let settlement = plan.settlement([], now: Samples.produced)
        #expect(settlement.outcomes.map(\.reason) == [.invalidTemplate])
        let refused = self.plan([self.occurrence(self.template)]).settlement(
            [.refused(.invalid, detail: word, attempts: 1)], now: Samples.produced)
        for settlement in [settlement, refused] {
            let error = try #require(settlement.outcomes.first?.error)
            #expect(!error.isEmpty && error.utf8.count <= 1024)
            for letter in settlement.waitingLetters {
                let waiting = try ParkedFire(decoding: letter.value)
                let kept = try #require(waiting.letter?.error)
                #expect(!kept.isEmpty && error.utf8.starts(with: kept.utf8))
                #expect(settlement.deadLetters.map { self.header("esc-error", of: $0) } == [kept])
            }
            #expect(settlement.waitingLetters.count == 1)
        }
        let parked = ParkedFire(
            occurrence: self.occurrence(self.template), shard: ShardID(13), epoch: Epoch(89), ticker: NodeID("t"),
            notBefore: Samples.due, detail: word)
        #expect(try ParkedFire(decoding: parked.encoded()).detail == word.prefix(bytes: 512))
    }

    @Test(arguments: [
        (0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé"), (6, "aé"), (7, "aé😀"), (8, "aé😀b"), (9, "aé😀b"),
    ])
    func `a text is cut between scalars`(count: Int, expected: String) {
        #expect("aé😀b".prefix(bytes: count) == expected)
        #expect("xaé😀b".dropFirst().prefix(bytes: count) == expected)
    }

    @Test func `an outcome that cannot be read hides no other`() {
        let outcomes = (1...3).map { Samples.outcome($0) }
        var writer = JournalCodec.EntryWriter(count: 3)
        for (index, outcome) in outcomes.enumerated() {
            writer.add {
                JournalCodec.encode(outcome, into: &$0)
                if index == 1 { $0.bytes(16, ByteBuffer(bytes: [0xff])) }
            }
        }
        let entry = JournalRecord(
            lane: LaneID(1), laneEpoch: Epoch(1), sequence: 1, dispatcher: NodeID("d"), body: .entry([], []))
        let encoded = writer.finish(entry).outcomes
        #expect(JournalCodec.outcomes(in: encoded) == [outcomes[0], outcomes[2]])
        #expect(JournalCodec.outcomes(in: encoded) { $0 == outcomes[2].id } == [outcomes[2]])
        #expect(JournalCodec.outcomes(in: ByteBuffer(bytes: [0x4a, 9, 1])).isEmpty)
    }

    @Test(arguments: [(0.0, 0), (1.0, 4)])
    func `a settled round leaves the spans of the fires that are sampled`(ratio: Double, count: Int) {
        let recorder = SpanRecorder(MetricsRegistry())
        recorder.switchOn(ratio: ratio, followsParent: true)
        let spans = FireSpans(recorder)
        let plan = self.plan([self.occurrence(self.template), self.occurrence(self.template) { $0.kind = .interval }]) {
            $0.spans = spans
        }
        let fates: [RecordFate] = (0..<2).map { .delivered(partition: 0, offset: $0, attempts: 1) }
        spans.settled(
            plan.settlement(fates, now: Samples.produced), creators: plan.creators, sentAt: Samples.due)
        #expect(recorder.take(10).count == count)
    }

    // MARK: - Traces of its own

    private func spans() -> FireSpans {
        let recorder = SpanRecorder(MetricsRegistry())
        recorder.switchOn(ratio: 1, followsParent: true)
        return FireSpans(recorder)
    }

    private func header(_ name: String, of record: OutgoingRecord?) -> String? {
        record?.headers.first { $0.name == name }?.value
    }

    @Test func `a fire's own trace goes into each form of its record`() throws {
        let spans = self.spans()
        let own = spans.sending(self.outcome { _ in }.id).header
        func plan(_ change: (inout FireTemplate) -> Void) -> RoundPlan {
            var template = self.template
            change(&template)
            return self.plan([self.occurrence(template)]) { $0.spans = spans }
        }
        let binary = plan { _ in }.records.first
        #expect(self.header("ce_traceparent", of: binary) == own && self.header("traceparent", of: binary) == own)
        let structured = try #require(plan { $0.format = "cloudevents-structured" }.records.first)
        #expect(self.header("traceparent", of: structured) == own)
        #expect(String(buffer: structured.value).contains(#""traceparent":"\#(own)""#))
        let letter = plan { $0.topic = "escapement.test.journal" }.settlement([], now: Samples.due).deadLetters.first
        #expect(self.header("ce_traceparent", of: letter) == own && self.header("traceparent", of: letter) == own)
    }

    // MARK: - Fallbacks

    @Test func `what becomes of a record whose topic goes away follows from where its fire comes from`() throws {
        func parked(_ number: UInt64, letter: ParkedFire.Letter? = nil) -> ParkedFire {
            var fire = ParkedFire(
                occurrence: Samples.occurrence(uid: UID(high: 0, low: number)), shard: ShardID(13), epoch: Epoch(89),
                ticker: NodeID("ticker-1"), notBefore: Samples.due)
            fire.letter = letter
            return fire
        }
        var web = Samples.template
        web.web = .hook(url: "https://hooks.test/a", secret: "")
        var away = Samples.template
        away.topic = "team.away"
        let health = TopicHealth()
        health.lost("team.away")
        let plan = RoundPlan(
            Samples.round([Samples.occurrence(), Samples.occurrence(web), Samples.occurrence(away)]),
            takenUp: RoundPlan.TakenUp(ends: [.init(offset: 0, decision: .park(parked(9)))]),
            resumed: RoundPlan.Resumed(
                fires: [
                    .init(offset: 1, topic: "escapement.fires", fire: parked(1)),
                    .init(
                        offset: 2, topic: "escapement.deadletters",
                        fire: parked(
                            2, letter: .init(reason: .topicMissing, error: "e", topic: "t", keepsPayload: true))),
                ], stretch: 0..<3, isEnd: true, pass: WaitingPass(from: WaitingLine())),
            lane: LaneID(13), laneEpoch: Epoch(1), rules: Samples.rules, health: health, now: Samples.due)
        let fallbacks = plan.records.indices.map { plan.fallback($0) }
        #expect(fallbacks.count == 6)
        guard case .stays = fallbacks[0], case .stays = fallbacks[1], case .other(let waiting) = fallbacks[2],
            case .none = fallbacks[3], case .none = fallbacks[4], case .none = fallbacks[5]
        else {
            Issue.record("\(fallbacks)")
            return
        }
        let fire = try ParkedFire(decoding: waiting.value)
        #expect(fire.occurrence == Samples.occurrence() && fire.attempts == 1 && fire.letter == nil)
        #expect(waiting.partition == ParkedQueue.waiting.partition(of: LaneID(13)))
    }
}

extension SHA256Digest {
    fileprivate static func of(_ text: String) -> SHA256Digest {
        var text = text
        return text.withUTF8 { SHA256Function.plain.digest(UnsafeRawBufferPointer($0)) }
    }
}
