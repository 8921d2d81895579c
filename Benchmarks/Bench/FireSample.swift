import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import TLS
import WireProtocol

/// The fire that the benchmarks of the dispatcher send, and the rules it is sent by: the same in every process.
struct FireSample {
    static let cluster = "bench"
    static let topic = "escapement.fires"
    /// Of that topic.
    static let partitions = 4
    static let deadLetterTopic = "escapement.deadletters"
    /// Fires of one batch, as a ticker sends them at load.
    static let batchCount = 500
    /// How many are sent before the clock starts when `count` are measured: a dispatcher runs for long, and its memory
    /// grows and its code is bound once.
    static func warmUp(for count: Int) -> Int { count / 2 }
    /// When it is due where that does not matter.
    static let due = WallInstant(milliseconds: 1_795_397_400_000)

    /// Of the payload.
    let size: Int

    var template: FireTemplate {
        var random = SplitMix64(seed: 1)
        let letters = (0..<max(0, self.size - 2)).map { _ in UInt8(ascii: "a") + UInt8(random.next() % 26) }
        return FireTemplate(
            origin: .schedule, namespace: "guest", name: "nightly-report", action: "/guest/reports/nightly",
            payload: ByteBuffer(bytes: [UInt8(ascii: "\"")] + letters + [UInt8(ascii: "\"")]),
            labels: [.init(name: "team", value: "billing")])
    }

    /// Of the record that is sent for it.
    func headers() throws -> [OutgoingRecord.Header] {
        let occurrence = FireOccurrence(
            kind: .cron, uid: .zero, generation: 1, scheduled: Self.due, due: Self.due, outcome: .dispatched,
            reason: .dispatched, template: self.template.encoded())
        let fire = try EventFormat.Fire.of(occurrence, id: ActivationID(.zero), lane: LaneID(0), sequence: 1)
        return try Self.rules().format.record(of: fire, topic: Self.topic, now: Self.due).headers
    }

    static func rules() -> PublishingRules {
        PublishingRules(
            cluster: Self.cluster, dispatcher: NodeID("dispatcher-1"),
            topics: TopicPolicy(
                defaultTopic: Self.topic, deadLetterTopic: Self.deadLetterTopic, pattern: "",
                internalPrefix: "escapement.\(Self.cluster)."), sha256: .libcrypto)
    }

    /// One batch of one shard, from `cursor` on, which moves behind it.
    ///
    /// - Parameter now: when the batch is due, if the cursor is not there yet.
    static func batch(
        _ shard: ShardID, epoch: Epoch, from cursor: inout Cursor, now: WallInstant, template: ByteBuffer
    ) -> FireBatch {
        let from = cursor
        let due = max(now, from.cron.instant.advanced(by: .milliseconds(1)))
        let mark = Watermark(through: due)
        cursor = Cursor(cron: mark, delay: mark, revision: Revision(1))
        // As the slices of a frame are, and not of all frames.
        let template = ByteBuffer(bytes: template.readableBytesView)
        var random = SplitMix64(seed: UInt64(bitPattern: due.milliseconds) ^ UInt64(shard.rawValue) << 48)
        let occurrences = (0..<Self.batchCount).map { _ in
            FireOccurrence(
                kind: .cron, uid: UID.random(using: &random), generation: 1, scheduled: due, due: due,
                outcome: .dispatched, reason: .dispatched, template: template)
        }
        return FireBatch(shard: shard, epoch: epoch, from: from, to: cursor, occurrences: occurrences)
    }

    /// The same as a lane takes it.
    static func offer(
        _ shard: ShardID, epoch: Epoch, session: SessionID, from cursor: inout Cursor, now: WallInstant,
        template: ByteBuffer
    ) -> Lane<FireWork>.Offer {
        let batch = Self.batch(shard, epoch: epoch, from: &cursor, now: now, template: template)
        return Lane<FireWork>.Offer(
            session: session, shard: shard, epoch: epoch, from: batch.from, to: batch.to,
            byteCount: batch.sizeEstimate,
            work: FireWork(occurrences: batch.occurrences, ticker: NodeID("ticker-1")))
    }
}
