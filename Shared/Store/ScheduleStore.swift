package import EscapementModel

/// Schedules and timers, durable; revisions of a shard are assigned in commit order.
package protocol ScheduleStore: NamespaceStore, AuditStore, AnswerStore {
    /// Reads the cluster's fixed settings, storing `settings` (and making the rows of its shards and
    /// lanes) when there are none yet. The caller compares the answer with its own and refuses to start
    /// when they differ. Nothing else works before it.
    func establish(_ settings: ClusterSettings) async throws(StoreError) -> ClusterSettings

    // Schedules.

    /// Stores a new schedule as generation 1, whose occurrences are those after `createdAt`. A live
    /// schedule of the same name is `duplicate` when its body is the same, else `conflict`. In a paused namespace it is born
    /// paused. `origin` has its instant and author from `new`.
    func createSchedule(
        _ new: NewSchedule, origin: ChangeOrigin
    ) async throws(StoreError) -> Keyed<CreateOutcome<StoredSchedule>>
    /// The current version, paused or not; `nil` when there is none.
    func schedule(namespace: String, name: String) async throws(StoreError) -> StoredSchedule?
    /// Current versions of a namespace that `filter` admits, in order of name, after `after`.
    func schedules(
        namespace: String, matching filter: ScheduleFilter, after: String?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule]
    /// Ends the current version and makes the next one, `StoredSchedule.successor` says which, in one transaction. Without
    /// `ifGeneration` it is done to whatever is there.
    func changeSchedule(
        namespace: String, name: String, _ change: ScheduleChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule>
    /// Ends the current version, and with it the schedule: its name is free again.
    func deleteSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule>
    /// Versions of the schedule that has the name, or last had it, newest first, below generation `before`: those
    /// that `removeSettled` has left. The first one is the current one.
    func versions(
        namespace: String, name: String, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule]
    /// Every schedule that has the name or had it, newest first, with the versions of each that `removeSettled` has
    /// left; at most `limit` versions in all.
    func lives(namespace: String, name: String, limit: Int) async throws(StoreError) -> [ScheduleLife]
    /// Names that a schedule has, or had until `endedAfter` or later, in order, after `after`.
    func scheduleNames(
        namespace: String, endedAfter: WallInstant, after: String?, limit: Int
    ) async throws(StoreError) -> [String]

    /// Schedules of all namespaces that are there, by state as of `at`. Reads every one: for once a minute.
    func countSchedules(at: WallInstant) async throws(StoreError) -> [ScheduleFilter.State: Int]

    // Timers.

    /// Stores timers, all or none of those that are new. A name that exists with the same content
    /// digest is `duplicate`, with other content `conflict`; these do not stop the others. Of equal names
    /// in one call the first counts. A cancelled or fired timer keeps its name until it is removed, so a
    /// repeated request never brings it back. One transaction for all, at most
    /// `StoreRules.timersPerRequestMax` timers.
    ///
    /// - Parameter isAtomic: one `conflict` keeps all others from being stored: those that are new are `withheld`, and
    ///   the key is not used up.
    func createTimers(
        _ new: [NewTimer], key: IdempotencyKey?, isAtomic: Bool
    ) async throws(StoreError) -> Keyed<[CreateOutcome<StoredTimer>]>
    /// The timer, cancelled and fired ones too until they are removed.
    func timer(namespace: String, name: String) async throws(StoreError) -> StoredTimer?
    /// Timers of a namespace that are neither cancelled nor known to be settled (by the shard's
    /// checkpoint), in order of (due, uid), after `after`.
    func timers(
        namespace: String, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer]
    /// Timers of a namespace that were not cancelled, fired or not, until they are removed: due at or after `from` and
    /// before `to`, in order of (due, uid), after `after`.
    func timers(
        namespace: String, from: WallInstant, to: WallInstant, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer]
    /// Marks the timer ended; `nil` when there is none. One that had ended before is given back as it is.
    /// Whether it had fired already is for the shard's owner to say. To repeat it changes nothing, so the origin's key
    /// is not kept.
    func cancelTimer(
        namespace: String, name: String, origin: ChangeOrigin
    ) async throws(StoreError) -> StoredTimer?

    // What tickers load.

    /// Revision counters of all shards that ever changed, in one statement.
    func revisions() async throws(StoreError) -> [ShardID: Revision]
    /// Everything a new owner needs, as it stood at one revision; `page` is called with parts as they are
    /// read, the last call has `last == true`. Left out: versions and timers that are settled by the cursor
    /// (`isSettled(by:)`), timers due after `horizon`. `page` may take its time, and answers whether to go on.
    func snapshot(
        of shard: ShardID, cursor: Cursor, horizon: WallInstant, page: @Sendable (ShardPage) async -> Bool
    ) async throws(StoreError)
    /// Changes with a revision after `after`, in one transaction with the revision they lead to: new and
    /// ended versions and timers, in order of revision. More than `StoreRules.changesPerPageMax` come in
    /// parts: then `last` is false, `revision` is the last one that is complete, and what is given is as
    /// it stood at that revision; ask again from there.
    func changes(of shard: ShardID, after: Revision) async throws(StoreError) -> ShardPage
    /// Live timers due after `after`, at most up to `through`, in order of (due, uid).
    func timers(
        of shard: ShardID, after: Watermark, through: WallInstant, limit: Int
    ) async throws(StoreError) -> [StoredTimer]

    /// Removes timers that are settled by their shard's checkpoint, or cancelled, for longer than
    /// `StoreRules.settledGrace`, and versions that ended `StoreRules.endedVersionRetention` before it and are not
    /// the current one, and what else is older than it is to be kept; at most `limit` rows of each kind. The number
    /// removed of timers and versions, or of what else there was more: `limit` when there may be more to remove. Nothing
    /// when somebody else leads by now.
    func removeSettled(limit: Int, leaderEpoch: Epoch) async throws(StoreError) -> Int

    // Access.

    /// The schema's version, compared with what this build needs.
    func checkSchema() async throws(StoreError) -> SchemaState
}

extension ScheduleStore {
    /// Whatever the names that are taken.
    package func createTimers(
        _ new: [NewTimer], key: IdempotencyKey?
    ) async throws(StoreError) -> Keyed<[CreateOutcome<StoredTimer>]> {
        try await self.createTimers(new, key: key, isAtomic: false)
    }

    /// Without a key that could repeat.
    package func createSchedule(_ new: NewSchedule) async throws(StoreError) -> CreateOutcome<StoredSchedule> {
        switch try await self.createSchedule(new, origin: ChangeOrigin(at: new.createdAt, by: new.createdBy)) {
        case .outcome(let outcome): return outcome
        case .repeated: preconditionFailure("a request without a key was taken for a repeated one")
        }
    }

    package func schedules(
        namespace: String, after: String?, containing: String?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        try await self.schedules(
            namespace: namespace, matching: ScheduleFilter(containing: containing), after: after, limit: limit)
    }

    /// The ended version; `nil` when there is none of that generation.
    package func deleteSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, at: WallInstant
    ) async throws(StoreError) -> StoredSchedule? {
        let outcome = try await self.deleteSchedule(
            namespace: namespace, name: name, ifGeneration: ifGeneration, origin: ChangeOrigin(at: at, by: ""))
        if case .changed(_, let ended) = outcome { return ended }
        return nil
    }

    /// Without a key that could repeat.
    package func createTimers(_ new: [NewTimer]) async throws(StoreError) -> [CreateOutcome<StoredTimer>] {
        switch try await self.createTimers(new, key: nil) {
        case .outcome(let outcomes): return outcomes
        case .repeated: preconditionFailure("a request without a key was taken for a repeated one")
        }
    }

    package func cancelTimer(
        namespace: String, name: String, at: WallInstant
    ) async throws(StoreError) -> StoredTimer? {
        try await self.cancelTimer(namespace: namespace, name: name, origin: ChangeOrigin(at: at, by: ""))
    }
}

package enum CreateOutcome<Stored: Sendable & Hashable>: Hashable, Sendable {
    case created(Stored)
    /// The same content is already there under this name.
    case duplicate(Stored)
    /// Other content is there under this name.
    case conflict(Stored)
    /// Not there and not stored, since something else of an atomic call conflicts.
    case withheld
}

package struct ClusterSettings: Hashable, Sendable {
    package var cluster: String
    package var shardCount: Int
    package var laneCount: Int

    package init(cluster: String, shardCount: Int, laneCount: Int) {
        self.cluster = cluster
        self.shardCount = shardCount
        self.laneCount = laneCount
    }
}

package enum SchemaState: Hashable, Sendable {
    case current(version: Int)
    case older(version: Int, needed: Int)
    case newer(version: Int, known: Int)
}
