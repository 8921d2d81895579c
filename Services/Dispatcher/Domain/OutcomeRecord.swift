package import EscapementModel

/// How one occurrence, or a run of skipped ones, ended: all that its activation document needs.
package struct OutcomeRecord: Equatable, Sendable {
    /// Where a dispatched fire lies.
    package struct Position: Hashable, Sendable {
        package var topic: String
        package var partition: Int32
        package var offset: Int64

        package init(topic: String, partition: Int32, offset: Int64) {
            self.topic = topic
            self.partition = partition
            self.offset = offset
        }
    }

    /// Size and SHA-256 of what was sent.
    package struct PayloadDigest: Hashable, Sendable {
        package var byteCount: Int
        package var sha256: SHA256Digest
        /// The payload itself, where the operator wants it kept.
        package var text: String?

        package init(byteCount: Int, sha256: SHA256Digest, text: String? = nil) {
            self.byteCount = byteCount
            self.sha256 = sha256
            self.text = text
        }
    }

    package var id: ActivationID
    package var kind: FireKind
    package var uid: UID
    package var generation: UInt64
    package var shard: ShardID
    /// The shard's epoch.
    package var epoch: Epoch
    package var scheduled: WallInstant
    package var due: WallInstant
    /// When Kafka acknowledged it, or when it was decided not to send it.
    package var settledAt: WallInstant
    package var outcome: Outcome
    package var reason: Reason
    /// What went wrong, for people; empty when nothing did.
    package var error: String
    /// Occurrences this stands for.
    package var count: UInt32
    /// The last scheduled time of a run.
    package var through: WallInstant
    package var namespace: String
    package var name: String
    package var action: String
    package var labels: [Label]
    package var position: Position?
    package var payload: PayloadDigest?
    /// Times it was handed to Kafka; 0 for a skipped one.
    package var attempts: UInt32
    /// The node that sent the batch.
    package var ticker: NodeID
    /// W3C trace context; may be empty.
    package var traceparent: String

    package init(
        id: ActivationID, kind: FireKind, uid: UID, generation: UInt64, shard: ShardID, epoch: Epoch,
        scheduled: WallInstant, due: WallInstant, settledAt: WallInstant, outcome: Outcome, reason: Reason,
        error: String = "", count: UInt32 = 1, through: WallInstant? = nil, namespace: String, name: String,
        action: String = "", labels: [Label] = [], position: Position? = nil, payload: PayloadDigest? = nil,
        attempts: UInt32 = 0, ticker: NodeID, traceparent: String = ""
    ) {
        self.id = id
        self.kind = kind
        self.uid = uid
        self.generation = generation
        self.shard = shard
        self.epoch = epoch
        self.scheduled = scheduled
        self.due = due
        self.settledAt = settledAt
        self.outcome = outcome
        self.reason = reason
        self.error = error
        self.count = count
        self.through = through ?? scheduled
        self.namespace = namespace
        self.name = name
        self.action = action
        self.labels = labels
        self.position = position
        self.payload = payload
        self.attempts = attempts
        self.ticker = ticker
        self.traceparent = traceparent
    }

    /// Due instant to acknowledgement by Kafka; `nil` when it was not sent.
    package var lateness: Duration? {
        self.outcome == .dispatched ? max(.zero, self.settledAt.duration(since: self.due)) : nil
    }
}
