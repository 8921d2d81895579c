package import DispatcherDomain
package import EscapementModel
package import NIOCore

/// Hands records to Kafka and tells what became of each. Adapters: the Kafka client, test doubles.
package protocol RecordProducer: Sendable {
    /// Produces the records, those of one key and partition in order, and waits for all reports, a bounded
    /// time. One report for each record, in order.
    ///
    /// - Parameter handedOver: called as soon as records that are handed over later come behind these.
    func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery]
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
    /// The topic has an impossible name, or lacks the partition. One that is away may be back soon.
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
    /// Publishes that may be under way at a time. With more than one each calls `handedOver`, and asks for its `turn`
    /// before it writes to the journal.
    var inFlightMax: Int { get }

    /// Becomes the lane's producer; with transactions this fences the one before. Called once, first.
    ///
    /// - Parameter confirm: asked whenever a session had to be replaced, before anything is published through the new
    ///   one: replacing fences whoever came in between, so the journal has to say that nobody did.
    /// - Parameter trouble: told why this, or an `append`, waits: both go on until they succeed.
    func begin(
        confirm: @escaping LaneConfirmation, trouble: @escaping @Sendable (String) -> Void
    ) async throws(PublishError)

    /// Appends one journal record on its own and returns its offset.
    func append(_ record: OutgoingRecord) async throws(PublishError) -> Int64

    /// Publishes the records, asks `settle` what follows from their fates, and writes that: dead letters, then
    /// the journal, last. When it returns, all of it is durable.
    ///
    /// Unavailability is waited out inside, with backoff, and reported to `trouble`; nothing is returned half
    /// done. A record whose topic is away while others are not is replaced by its `fallback`.
    ///
    /// - Throws: `PublishError`; then nothing of the journal is written, as far as anyone knows.
    func publish(_ publication: Publication) async throws(PublishError) -> Settlement

    /// Whether the record's topic takes records again, found without an effect that counts where that is possible.
    func tries(_ record: OutgoingRecord) async -> TopicTrial
}

extension LaneProducer {
    /// Where nobody is told what waits.
    package func begin(confirm: @escaping LaneConfirmation) async throws(PublishError) {
        try await self.begin(confirm: confirm, trouble: { _ in })
    }
}

/// What came of one record that was to find out whether its topic takes records.
package enum TopicTrial: Sendable {
    case takes
    /// It takes others, perhaps.
    case refuses
    case away
    case unknown
}

/// What one publish is about.
package struct Publication: Sendable {
    package var records: [OutgoingRecord]
    /// What becomes of the record at an index while its topic is away.
    package var fallback: @Sendable (Int) -> Fallback
    /// A record that changes nothing, for the journal. When it is taken and others are not, Kafka is there and their
    /// topics are away.
    package var witness: @Sendable () -> OutgoingRecord?
    /// Those of the topics that Kafka itself says it cannot write to.
    package var away: @Sendable (Set<String>) async -> Set<String>
    /// What follows from the fates, one for each record.
    package var settle: @Sendable ([RecordFate]) -> Settlement
    /// The same when dead letters were not simply written: one fate for each, in the order of the settlement before.
    /// `nil` where none can wait.
    package var settleLetters: (@Sendable ([RecordFate], [LetterFate]) -> Settlement)?
    /// Whether dead letters go where they wait, without an attempt to write them.
    package var lettersWait: @Sendable () -> Bool = { false }
    /// Takes a reason for each attempt that failed.
    package var trouble: @Sendable (String) -> Void
    /// Called when the records of a later publish come behind these. With several under way.
    package var handedOver: @Sendable () -> Void = {}
    /// Waits until all earlier publishes are durable; `false` when one of them never will be. With several under way.
    package var turn: @Sendable () async -> Bool = { true }

    package init(
        _ records: [OutgoingRecord], fallback: @escaping @Sendable (Int) -> Fallback = { _ in .none },
        witness: @escaping @Sendable () -> OutgoingRecord? = { nil },
        away: @escaping @Sendable (Set<String>) async -> Set<String> = { _ in [] },
        settle: @escaping @Sendable ([RecordFate]) -> Settlement,
        trouble: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.records = records
        self.fallback = fallback
        self.witness = witness
        self.away = away
        self.settle = settle
        self.trouble = trouble
    }
}

/// What becomes of a record while its topic is away.
package enum Fallback: Sendable {
    /// It is tried until Kafka takes it.
    case none
    /// This one is sent instead.
    case other(OutgoingRecord)
    /// Nothing: it waits already, and goes on waiting.
    case stays
}

/// Makes the producer of a lane when the lane is taken over.
package protocol LaneProducerFactory: Sendable {
    func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer
}

/// The final fate of one fire's record.
package enum RecordFate: Hashable, Sendable {
    case delivered(partition: Int32, offset: Int64, attempts: UInt32)
    case refused(RecordRefusal, detail: String, attempts: UInt32)
    /// Its topic is away; its fallback was delivered there, or there is nothing to deliver.
    case parked(offset: Int64?)
}

extension RecordFate {
    /// The fates when all went well with the first attempt, as mostly: no table for each record. `nil` otherwise.
    static func allDelivered(_ deliveries: [RecordDelivery]) -> [RecordFate]? {
        var fates: [RecordFate] = []
        fates.reserveCapacity(deliveries.count)
        for delivery in deliveries {
            guard case .delivered(let partition, let offset) = delivery else { return nil }
            fates.append(.delivered(partition: partition, offset: offset, attempts: 1))
        }
        return fates
    }
}

/// What became of a dead letter.
package enum LetterFate: Hashable, Sendable {
    case written
    /// It lies in the line of those that wait; the offset is negative when Kafka did not say where.
    case waits(offset: Int64)
    /// It will never be written.
    case lost(String)
}

/// What is written behind the fires.
package struct Settlement: Sendable {
    package struct Parked: Sendable {
        /// Where it lies; negative when Kafka did not say.
        package var offset: Int64
        package var fire: ParkedFire
    }

    /// How one fire, or a run of skipped ones, ended: what is counted of it.
    package struct Fire: Sendable {
        package var kind: FireKind
        package var outcome: Outcome
        package var reason: Reason
        /// Whether it is the canary's.
        package var isCanary: Bool
        /// Occurrences that it stands for.
        package var count: UInt32
        package var due: WallInstant

        package init(
            kind: FireKind, outcome: Outcome, reason: Reason, isCanary: Bool, count: UInt32, due: WallInstant
        ) {
            self.kind = kind
            self.outcome = outcome
            self.reason = reason
            self.isCanary = isCanary
            self.count = count
            self.due = due
        }
    }

    /// When Kafka had answered for all.
    package var settledAt: WallInstant
    package var fires: [Fire]
    /// Copies of what cannot be delivered.
    package var deadLetters: [OutgoingRecord]
    /// The same as they wait for their topic; empty where none can wait.
    package var waitingLetters: [OutgoingRecord] = []
    /// The journal entry, in order.
    package var journal: [OutgoingRecord]
    /// All that it says of the fires, one after the other.
    var encodedOutcomes = ByteBuffer()
    /// Topics that are away while others are not.
    package var unavailableTopics: Set<String> = []
    /// Fires that wait from now on for their delivery to an HTTP target.
    package var parked: [Parked] = []
    /// Fires that joined the line of those that wait for their topics.
    package var joinedCount = 0
    /// Why each dead letter was given up that Kafka will never take.
    package var lostLetters: [String] = []
    /// Where that line stands, and the walk along it.
    package var waiting = WaitingLine()
    package var pass: WaitingPass?

    package init(
        settledAt: WallInstant, fires: [Fire] = [], deadLetters: [OutgoingRecord] = [], journal: [OutgoingRecord] = []
    ) {
        self.settledAt = settledAt
        self.fires = fires
        self.deadLetters = deadLetters
        self.journal = journal
    }

    /// What the journal says of each fire, read from its bytes. O(bytes).
    package var outcomes: [OutcomeRecord] { self.outcomes { _ in true } }

    /// The same of those that are wanted.
    func outcomes(where isWanted: (ActivationID) -> Bool) -> [OutcomeRecord] {
        JournalCodec.outcomes(in: self.encodedOutcomes, where: isWanted)
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

/// The two partitions in which fires of a lane are put aside.
package enum ParkedQueue: Int32, Hashable, Sendable {
    /// Fires for HTTP targets: in no order, written again after each attempt that failed.
    case deliveries
    /// Fires whose topics are away: in order, never moved.
    case waiting

    /// Both queues of a lane lie beside each other.
    package func partition(of lane: LaneID) -> Int32 { Int32(lane.rawValue) * Self.count + self.rawValue }
    package static let count: Int32 = 2
}

/// A part of a queue of parked fires.
package struct ParkedStretch: Equatable, Sendable {
    package struct Record: Equatable, Sendable {
        package var offset: Int64
        package var bytes: ByteBuffer
        /// By Kafka's clock; `nil` when the record does not say.
        package var writtenAt: WallInstant?

        package init(offset: Int64, bytes: ByteBuffer, writtenAt: WallInstant? = nil) {
            self.offset = offset
            self.bytes = bytes
            self.writtenAt = writtenAt
        }

        /// Whether it has waited for as long as a fire may.
        func isOver(_ now: WallInstant) -> Bool {
            self.writtenAt.map { $0.advanced(by: PublishingRules.parkedMax) < now } == true
        }
    }

    package var records: [Record]
    /// The offset to go on from.
    package var next: Int64
    /// Nothing committed lies at or after `next` for now.
    package var isEnd: Bool
    /// The first offset that still exists.
    package var low: Int64

    package init(records: [Record], next: Int64, isEnd: Bool, low: Int64 = 0) {
        self.records = records
        self.next = next
        self.isEnd = isEnd
        self.low = low
    }
}

/// Reads the fires that a lane has parked.
package protocol ParkedReader: Sendable {
    /// Committed records from `from` on, at most `max`.
    func readParked(
        _ lane: LaneID, _ queue: ParkedQueue, from: Int64, max: Int
    ) async throws(JournalError) -> ParkedStretch
}

/// What Kafka says of a topic.
package enum TopicStanding: Hashable, Sendable {
    /// All its partitions have a leader.
    case ready
    /// Some have none.
    case leaderless
    /// Kafka does not know it; a broker that has just started may not know it yet.
    case unknown
    /// It has this topic refused for good: producing to it says why.
    case refused
    /// Nobody answers.
    case silent
}

/// Asks Kafka about a topic.
package protocol TopicProbe: Sendable {
    /// Bounded in time.
    func standing(of topic: String) async -> TopicStanding
    /// Whether all brokers that lead a partition of the topic answer this process; also when nobody says who they are.
    /// Bounded in time.
    func reachesLeaders(of topic: String) async -> Bool
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
