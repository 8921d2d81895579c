package import DispatcherDomain
package import EscapementModel
package import NIOCore

/// Hands records to Kafka and tells what became of each. Adapters: the Kafka client, test doubles.
package protocol RecordProducer: Sendable {
    /// Produces the records, those of one key and partition in order, and waits for all reports, a bounded
    /// time. One report for each record, in order.
    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery]
}

/// What became of one record.
package enum RecordDelivery: Hashable, Sendable {
    /// In its partition, on all replicas that must have it.
    case delivered(partition: Int32, offset: Int64)
    /// Kafka will never take this record.
    case refused(RecordRefusal, detail: String)
    /// Not now; it may or may not have been written.
    case unavailable(String)
    /// This producer is no longer the lane's: somebody else is.
    case fenced(String)
}

/// Why Kafka never takes a record.
package enum RecordRefusal: Hashable, Sendable {
    case tooLarge
    /// The topic does not exist or has an impossible name.
    case unknownTopic
    case forbiddenTopic
    /// A broker's rule, or the record is malformed.
    case invalid
}

/// Whether a lane still is where its owner left it, found with a barrier that `append` writes.
///
/// `append` answers the record's offset, or `nil` when it could not be written.
package typealias LaneConfirmation =
    @Sendable (_ append: @Sendable (OutgoingRecord) async -> Int64?) async -> LaneStanding

package enum LaneStanding: Equatable, Sendable {
    case stands
    /// Somebody else has written, or we have, without knowing it.
    case moved(String)
    /// The journal cannot be read or written now.
    case unknown(String)
}

/// Publishes for one lane: the one place that knows the delivery guarantee.
///
/// With the idempotent producer (at least once) the fires are produced until all are settled, then the
/// journal. With transactions (exactly once) both are one transaction; a record that Kafka refuses then aborts
/// it, and the rest is sent again without it, before `settle` is asked.
package protocol LaneProducer: Sendable {
    /// Becomes the lane's producer; with transactions this fences the one before. Called once, first.
    ///
    /// - Parameter confirm: asked whenever a session had to be replaced, before anything is published through the new
    ///   one: replacing fences whoever came in between, so the journal has to say that nobody did.
    func begin(confirm: @escaping LaneConfirmation) async throws(PublishError)

    /// Appends one journal record on its own and returns its offset.
    func append(_ record: OutgoingRecord) async throws(PublishError) -> Int64

    /// Publishes `records`, asks `settle` what follows from their fates, and writes that: dead letters, then
    /// the journal, last. When it returns, all of it is durable. One call at a time.
    ///
    /// Unavailability is waited out inside, with backoff, and reported to `trouble`; nothing is returned half
    /// done. A record whose topic is away while others are not is replaced by its `fallback`.
    ///
    /// - Parameter fallback: the form in which the record at an index waits elsewhere; `nil` when there is none.
    /// - Throws: `PublishError`; then nothing of the journal is written, as far as anyone knows.
    func publish(
        _ records: [OutgoingRecord], fallback: @Sendable (Int) -> OutgoingRecord?,
        settle: @Sendable ([RecordFate]) -> Settlement, trouble: @Sendable (String) -> Void
    ) async throws(PublishError) -> Settlement
}

/// Which records of a publish go where they wait instead of where they belong.
struct Diversion {
    /// Attempts without any success after which a lone topic is taken for the culprit.
    static let attemptsMin = 3

    private(set) var indices: Set<Int> = []
    private var attempts = 0

    /// An attempt ended: `failed` were not taken, for a reason that may pass.
    mutating func attempted(failed: [Int], of count: Int, canWait: (Int) -> Bool) {
        self.attempts += 1
        if failed.isEmpty { return }
        if failed.contains(where: { self.indices.contains($0) }) {
            // Where they would wait is away too: it is Kafka itself, and no topic in particular.
            self.indices = []
        } else if failed.count < count || self.attempts >= Self.attemptsMin {
            self.indices.formUnion(failed.filter(canWait))
        }
    }
}

/// Makes the producer of a lane when the lane is taken over.
package protocol LaneProducerFactory: Sendable {
    func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer
}

/// The final fate of one fire's record.
package enum RecordFate: Hashable, Sendable {
    case delivered(partition: Int32, offset: Int64, attempts: UInt32)
    case refused(RecordRefusal, detail: String, attempts: UInt32)
    /// Its topic is away; its fallback was delivered.
    case parked
}

/// What is written behind the fires.
package struct Settlement: Sendable {
    /// Copies of what cannot be delivered.
    package var deadLetters: [OutgoingRecord]
    /// The journal entry, in order.
    package var journal: [OutgoingRecord]
    /// The same as values.
    package var outcomes: [OutcomeRecord]
    /// Topics that are away while others are not.
    package var unavailableTopics: Set<String> = []
    /// Fires that wait among the parked ones from now on.
    package var parkedCount = 0

    package init(deadLetters: [OutgoingRecord], journal: [OutgoingRecord], outcomes: [OutcomeRecord]) {
        self.deadLetters = deadLetters
        self.journal = journal
        self.outcomes = outcomes
    }
}

/// Why a lane's publish ended without success.
package enum PublishError: Error, Equatable {
    /// Somebody else publishes the lane: stop, at once, without a retry.
    case laneLost(String)
    /// The caller was cancelled; what was not journaled will be settled by the next owner.
    case stopped
    /// The journal cannot be written, for a reason that waiting does not mend by itself.
    case journalRefused(String)
}

/// Reads a lane's journal: at a takeover, and for questions about the past.
package protocol JournalReader: Sendable {
    /// The first offset that still exists.
    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64
    /// All committed records with `from <= offset < through`, in order. A record at or after `through`
    /// exists.
    func read(_ lane: LaneID, from: Int64, through: Int64) async throws(JournalError) -> [StoredJournalRecord]
    /// Committed records from `start` on, at most `max`, and where to go on. Costs a request or two and the records.
    func scan(_ lane: LaneID, from start: JournalStart, max: Int) async throws(JournalError) -> JournalStretch
}

/// Where a scan of the journal begins.
package enum JournalStart: Hashable, Sendable {
    /// With the first record that was written at or after an instant, by Kafka's clock.
    case since(WallInstant)
    case offset(Int64)
    /// So many offsets before the end; some of them are the marks of transactions.
    case last(Int64)
}

/// A part of a lane's journal.
package struct JournalStretch: Equatable, Sendable {
    package var records: [StoredJournalRecord]
    /// The offset to go on from.
    package var next: Int64
    /// Nothing committed lies at or after `next` for now.
    package var isEnd: Bool
    /// Retention has taken nothing that was written after the start.
    package var reachesBack: Bool

    package init(records: [StoredJournalRecord], next: Int64, isEnd: Bool, reachesBack: Bool) {
        self.records = records
        self.next = next
        self.isEnd = isEnd
        self.reachesBack = reachesBack
    }
}

/// Reads the fires that a lane has parked.
package protocol ParkedReader: Sendable {
    /// Committed records from `from` on, at most `max`, and the offset to go on from. Without any, `next` tells
    /// whether there will be none for now: it is the end of the partition.
    func readParked(
        _ lane: LaneID, from: Int64, max: Int
    ) async throws(JournalError) -> (records: [ByteBuffer], next: Int64)
}

/// Tells whether a topic can take records.
package protocol TopicProbe: Sendable {
    /// Whether all its partitions have a leader. Bounded in time; `false` also when nobody answers.
    func isAvailable(_ topic: String) async -> Bool
}

/// Follows the journal of several lanes, for the recorder.
package protocol JournalFeed: Sendable {
    /// Where the recorder's group stands; lanes it never recorded are absent.
    func committed(_ lanes: [LaneID]) async throws(JournalError) -> [LaneID: Int64]
    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64
    /// Reads exactly these lanes from these offsets from now on.
    func follow(_ lanes: [LaneID: Int64]) async throws(JournalError)
    /// The next committed records, at most `max`; waits up to `timeout` for the first.
    func next(max: Int, timeout: Duration) async throws(JournalError) -> [(lane: LaneID, record: StoredJournalRecord)]
    /// Notes for each lane the offset to go on from after a restart.
    func commit(_ offsets: [LaneID: Int64]) async throws(JournalError)
}

/// The journal could not be read.
package struct JournalError: Error, Equatable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// Retry with backoff.
        case unavailable
        /// The offset asked for is gone: retention took it.
        case outOfRange
    }

    package var code: Code
    /// For the log; no secrets.
    package var detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { self.detail }
}
