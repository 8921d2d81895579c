import DispatcherDomain
import EscapementModel
import Logging
import NIOCore
import Observability
import WireProtocol

@testable import DispatcherService

/// Values that tests share, with the figures of the documentation's examples.
enum Samples {
    static let due = WallInstant(milliseconds: 1_795_397_400_000)
    static let produced = WallInstant(milliseconds: 1_795_397_400_004)
    static let uid = UID(high: 0x01a0_f198_8e62_7c33, low: 0x9a0b_51f2_a8c9_d001)
    static let id = ActivationID(UID(high: 0x9d0c_1f6e_2b7a_4c55, low: 0xa1f0_e3d2_c4b5_9687))
    static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    static var template: FireTemplate {
        FireTemplate(
            origin: .schedule, namespace: "guest", name: "nightly-report", action: "/guest/reports/nightly",
            payload: ByteBuffer(string: #"{"report":"daily","limit":9007199254740993}"#),
            labels: [.init(name: "team", value: "billing")], expireAfterMilliseconds: 7_200_000, traceparent: trace)
    }

    static func occurrence(
        _ template: FireTemplate = template, kind: FireKind = .cron, outcome: Outcome = .dispatched,
        reason: Reason = .dispatched, scheduled: WallInstant = due, uid: UID = uid, caughtUp: Bool = false
    ) -> FireOccurrence {
        FireOccurrence(
            kind: kind, uid: uid, generation: 3, scheduled: scheduled, due: scheduled, outcome: outcome,
            reason: reason, caughtUp: caughtUp, template: template.encoded())
    }

    static func fire(_ template: FireTemplate = template, kind: FireKind = .cron, caughtUp: Bool = false)
        -> EventFormat.Fire
    {
        do throws(WireError) {
            return try .of(
                occurrence(template, kind: kind, caughtUp: caughtUp), id: id, lane: LaneID(13), sequence: 42)
        } catch {
            preconditionFailure("an encoded template cannot be read: \(error)")
        }
    }

    static var rules: PublishingRules {
        PublishingRules(
            cluster: "test", dispatcher: NodeID("dispatcher-1"),
            topics: TopicPolicy(
                defaultTopic: "escapement.fires", deadLetterTopic: "escapement.deadletters", pattern: "team\\..+",
                internalPrefix: "escapement.test."))
    }

    static func cursor(_ milliseconds: Int64) -> Cursor {
        let mark = Watermark(through: WallInstant(milliseconds: milliseconds))
        return Cursor(cron: mark, delay: mark, revision: Revision(1))
    }

    static func round(
        _ occurrences: [FireOccurrence], shard: ShardID = ShardID(13), sequence: UInt64 = 1
    ) -> Lane<FireWork>.Round {
        var lane = Lane<FireWork>(id: LaneID(13), epoch: Epoch(1))
        _ = lane.recovered(LaneMark(laneEpoch: .none, sequence: sequence - 1))
        _ = lane.open(shard, epoch: Epoch(89), session: SessionID(1))
        _ = lane.beginRound()
        _ = lane.commitRound()
        let refusal = lane.offer(
            .init(
                session: SessionID(1), shard: shard, epoch: Epoch(89), from: .start, to: cursor(due.milliseconds),
                byteCount: 100, work: FireWork(occurrences: occurrences, ticker: NodeID("ticker-1"))), now: due)
        guard refusal == nil, let round = lane.beginRound() else { preconditionFailure("no round: \(refusal as Any)") }
        return round
    }

    static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static let half = UID(high: 0x9f9f_9f9f_9f9f_9f9f, low: 0x9f9f_9f9f_9f9f_9f9f)

    static func outcome(_ number: UInt64 = 1) -> OutcomeRecord {
        OutcomeRecord(
            id: ActivationID(UID(high: 0, low: number)), kind: .cron, uid: uid, generation: 3, shard: ShardID(173),
            epoch: Epoch(89), scheduled: due, due: due, settledAt: WallInstant(milliseconds: due.milliseconds + 21),
            outcome: .dispatched, reason: .dispatched, namespace: "guest", name: "nightly-report",
            action: "/guest/reports/nightly", labels: [.init(name: "team", value: "billing")],
            position: .init(topic: "escapement.fires", partition: 7, offset: 4_411_223),
            payload: .init(byteCount: 44, sha256: SHA256Digest(high: self.half, low: self.half)), attempts: 1,
            ticker: NodeID("ticker-5d8b-a1"), traceparent: trace)
    }

    /// The journal records of an entry, and its outcomes.
    static func journal(
        _ record: JournalRecord, _ outcomes: [OutcomeRecord], bytesMax: Int = JournalCodec.recordBytesMax
    ) -> (records: [ByteBuffer], outcomes: ByteBuffer) {
        var writer = JournalCodec.EntryWriter(count: outcomes.count)
        for outcome in outcomes { writer.add { JournalCodec.encode(outcome, into: &$0) } }
        return writer.finish(record, bytesMax: bytesMax)
    }

    /// What a round leaves that ended so.
    static func settlement(_ outcomes: [OutcomeRecord]) -> Settlement {
        var settlement = Settlement(
            settledAt: outcomes.first?.settledAt ?? due,
            fires: outcomes.map {
                .init(
                    kind: $0.kind, outcome: $0.outcome, reason: $0.reason, isCanary: false, count: $0.count,
                    due: $0.due)
            })
        let entry = JournalRecord(
            lane: LaneID(1), laneEpoch: Epoch(1), sequence: 1, dispatcher: NodeID("d"), body: .entry([], []))
        settlement.encodedOutcomes = self.journal(entry, outcomes).outcomes
        return settlement
    }
}
