package import EscapementModel
package import Store
import Synchronization

/// What a call meets on its way to the contents and back: a simulated network and database.
package protocol StoreConditions: Sendable {
    /// Before the call takes effect; an error means that it does not.
    func before(_ operation: String) async throws(StoreError)
    /// After it took effect; an error means that the caller does not learn it.
    func after(_ operation: String) async throws(StoreError)
}

/// Both store ports in memory, for tests and simulation. Held to the same conformance suite as the
/// PostgreSQL one; every call is atomic.
package final class InMemoryStore: LockStore, ScheduleStore {
    /// What goes wrong with a call.
    package enum Fault: Hashable, Sendable {
        /// The call fails and has changed nothing.
        case refused(StoreError.Code)
        /// The call takes effect and its answer is lost.
        case answerLost
    }

    private struct Shell {
        var contents = InMemoryContents()
        var reachable = true
        var faults: [(operation: String?, fault: Fault)] = []
        var calls: [String: Int] = [:]
    }

    private final class SharedShell: Sendable {
        let value = Mutex(Shell())
        func withLock<Answer: ~Copyable>(_ body: (inout sending Shell) -> sending Answer) -> sending Answer {
            self.value.withLock(body)
        }
    }

    private let shell: SharedShell
    private let conditions: (any StoreConditions)?
    /// What the database's clock would be: when owners changed, how long things are kept.
    private let clocks: any Clocks
    /// Rows a page of `snapshot` has at most.
    private let snapshotPageMax: Int

    package init(snapshotPageMax: Int = 500, clocks: any Clocks = SystemClocks()) {
        precondition(snapshotPageMax > 0, "a page of \(snapshotPageMax) rows never ends")
        self.snapshotPageMax = snapshotPageMax
        self.shell = SharedShell()
        self.conditions = nil
        self.clocks = clocks
    }

    /// The same contents as `other` has, seen by a client of its own under `conditions`.
    package init(sharing other: InMemoryStore, conditions: any StoreConditions) {
        self.snapshotPageMax = other.snapshotPageMax
        self.shell = other.shell
        self.conditions = conditions
        self.clocks = other.clocks
    }

    // Steering by tests.

    /// While `false`, every call fails with `.unavailable` and changes nothing.
    package func setReachable(_ reachable: Bool) {
        self.shell.withLock { $0.reachable = reachable }
    }

    /// Lets the next call fail; with `operation` (`claim`, `createTimers`, the method's name), the next one
    /// of that name. Faults are used up in order.
    package func failNext(_ fault: Fault, operation: String? = nil) {
        self.shell.withLock { $0.faults.append((operation, fault)) }
    }

    /// How often a method was called, by its name, whether or not it failed.
    package func calls(of operation: String) -> Int {
        self.shell.withLock { $0.calls[operation] ?? 0 }
    }

    /// The assignment history, oldest first: what was claimed and why.
    package var assignmentHistory: [AssignmentRecord] {
        self.shell.withLock { $0.contents.history }
    }

    /// How far the shard's checkpoint says that it is settled.
    package func checkpoint(of shard: ShardID) -> WallInstant? {
        self.shell.withLock { $0.contents.checkpoints[shard] }
    }

    /// What the checkpoints of lanes say, by number.
    package var laneCheckpoints: [LaneCheckpoint] {
        self.shell.withLock { $0.contents.laneCheckpoints.values.sorted { $0.lane < $1.lane } }
    }

    /// Who holds the lease, by the row.
    package var leaderNode: NodeID? { self.shell.withLock { $0.contents.leader.node } }

    // LockStore.

    package func observeLeader() async throws(StoreError) -> LeaderRecord {
        try await self.perform("observeLeader") { $0.leader }
    }

    package func renewLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError) -> Bool {
        try await self.perform("renewLeadership") { $0.renew(epoch: epoch, holder: holder) }
    }

    package func takeLeadership(
        from seen: LeaderRecord, holder: Incarnation, node: NodeID, address: String
    ) async throws(StoreError) -> Epoch? {
        try await self.perform("takeLeadership") {
            $0.take(from: seen, holder: holder, node: node, address: address)
        }
    }

    package func releaseLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError) {
        try await self.perform("releaseLeadership") { $0.release(epoch: epoch, holder: holder) }
    }

    package func loadOwnership() async throws(StoreError) -> Ownership {
        try await self.perform("loadOwnership") { Ownership(shards: $0.shards, lanes: $0.lanes) }
    }

    package func claim(
        _ kind: OwnedKind, _ claims: [OwnershipClaim], leaderEpoch: Epoch
    ) async throws(StoreError) -> ClaimOutcome {
        let now = self.clocks.wallNow()
        return try await self.perform("claim") { $0.claim(kind, claims, leaderEpoch: leaderEpoch, at: now) }
    }

    package func raiseEpoch(
        _ kind: OwnedKind, number: UInt16, to seen: Epoch, leaderEpoch: Epoch
    ) async throws(StoreError) {
        try await self.perform("raiseEpoch") { $0.raise(kind, number: number, to: seen, leaderEpoch: leaderEpoch) }
    }

    package func checkpoint(_ settled: [ShardID: WallInstant], leaderEpoch: Epoch) async throws(StoreError) {
        try await self.perform("checkpoint") { $0.checkpoint(settled, leaderEpoch: leaderEpoch) }
    }

    package func checkpoint(lanes: [LaneCheckpoint], leaderEpoch: Epoch) async throws(StoreError) {
        try await self.perform("checkpointLanes") { $0.checkpoint(lanes: lanes, leaderEpoch: leaderEpoch) }
    }

    package func loadLaneCheckpoints() async throws(StoreError) -> [LaneCheckpoint] {
        try await self.perform("loadLaneCheckpoints") { $0.laneCheckpoints.values.sorted { $0.lane < $1.lane } }
    }

    // ScheduleStore.

    package func establish(_ settings: ClusterSettings) async throws(StoreError) -> ClusterSettings {
        try await self.perform("establish") { $0.establish(settings) }
    }

    package func createSchedule(
        _ new: NewSchedule, origin: ChangeOrigin
    ) async throws(StoreError) -> Keyed<CreateOutcome<StoredSchedule>> {
        try await self.perform("createSchedule") { contents throws(StoreError) in
            try contents.create(new, origin: origin)
        }
    }

    package func schedule(namespace: String, name: String) async throws(StoreError) -> StoredSchedule? {
        try await self.perform("schedule") { $0.currentSchedule(namespace: namespace, name: name) }
    }

    package func schedules(
        namespace: String, matching filter: ScheduleFilter, after: String?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        try await self.perform("schedules") {
            $0.currentSchedules(namespace: namespace, matching: filter, after: after, limit: limit)
        }
    }

    package func countSchedules(at instant: WallInstant) async throws(StoreError) -> [ScheduleFilter.State: Int] {
        try await self.perform("countSchedules") { $0.countSchedules(at: instant) }
    }

    package func changeSchedule(
        namespace: String, name: String, _ change: ScheduleChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        try await self.perform("changeSchedule") { contents throws(StoreError) in
            try contents.changeSchedule(
                namespace: namespace, name: name, change, ifGeneration: ifGeneration, origin: origin)
        }
    }

    package func deleteSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        try await self.perform("deleteSchedule") { contents throws(StoreError) in
            try contents.endSchedule(namespace: namespace, name: name, ifGeneration: ifGeneration, origin: origin)
        }
    }

    package func versions(
        namespace: String, name: String, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        try await self.perform("versions") {
            $0.allVersions(namespace: namespace, name: name, before: before, limit: limit)
        }
    }

    package func lives(namespace: String, name: String, limit: Int) async throws(StoreError) -> [ScheduleLife] {
        try await self.perform("lives") { $0.lives(namespace: namespace, name: name, limit: limit) }
    }

    package func scheduleNames(
        namespace: String, endedAfter: WallInstant, after: String?, limit: Int
    ) async throws(StoreError) -> [String] {
        try await self.perform("scheduleNames") {
            $0.scheduleNames(namespace: namespace, endedAfter: endedAfter, after: after, limit: limit)
        }
    }

    package func timers(
        namespace: String, from: WallInstant, to: WallInstant, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        try await self.perform("dueTimers") {
            $0.dueTimers(namespace: namespace, from: from, to: to, after: after, limit: limit)
        }
    }

    package func createTimers(
        _ new: [NewTimer], key: IdempotencyKey?, isAtomic: Bool
    ) async throws(StoreError) -> Keyed<[CreateOutcome<StoredTimer>]> {
        try await self.perform("createTimers") { contents throws(StoreError) in
            var changed = contents
            let answer = try changed.create(new, key: key)
            guard isAtomic, case .outcome(let outcomes) = answer,
                outcomes.contains(where: { if case .conflict = $0 { true } else { false } })
            else {
                contents = changed
                return answer
            }
            return .outcome(outcomes.map { if case .created = $0 { .withheld } else { $0 } })
        }
    }

    package func timer(namespace: String, name: String) async throws(StoreError) -> StoredTimer? {
        try await self.perform("timer") { $0.timer(namespace: namespace, name: name) }
    }

    package func timers(
        namespace: String, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        try await self.perform("timers") { $0.pendingTimers(namespace: namespace, after: after, limit: limit) }
    }

    package func cancelTimer(
        namespace: String, name: String, origin: ChangeOrigin
    ) async throws(StoreError) -> StoredTimer? {
        try await self.perform("cancelTimer") { $0.cancelTimer(namespace: namespace, name: name, origin: origin) }
    }

    package func revisions() async throws(StoreError) -> [ShardID: Revision] {
        try await self.perform("revisions") { $0.revisions.filter { $0.value > .none } }
    }

    package func snapshot(
        of shard: ShardID, cursor: Cursor, horizon: WallInstant, page: @Sendable (ShardPage) async -> Bool
    ) async throws(StoreError) {
        let whole = try await self.perform("snapshot") { $0.snapshot(of: shard, cursor: cursor, horizon: horizon) }
        var schedules = whole.schedules[...]
        var timers = whole.timers[...]
        repeat {
            let someSchedules = schedules.prefix(self.snapshotPageMax)
            schedules = schedules.dropFirst(someSchedules.count)
            let someTimers = timers.prefix(self.snapshotPageMax - someSchedules.count)
            timers = timers.dropFirst(someTimers.count)
            let goesOn = await page(
                ShardPage(
                    revision: whole.revision, schedules: Array(someSchedules), timers: Array(someTimers),
                    last: schedules.isEmpty && timers.isEmpty))
            guard goesOn else { return }
        } while !schedules.isEmpty || !timers.isEmpty
    }

    package func changes(of shard: ShardID, after: Revision) async throws(StoreError) -> ShardPage {
        try await self.perform("changes") { $0.changes(of: shard, after: after) }
    }

    package func timers(
        of shard: ShardID, after: Watermark, through: WallInstant, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        try await self.perform("timersOfShard") {
            $0.liveTimers(of: shard, after: after, through: through, limit: limit)
        }
    }

    package func removeSettled(limit: Int, leaderEpoch: Epoch) async throws(StoreError) -> Int {
        let now = self.clocks.wallNow()
        return try await self.perform("removeSettled") {
            $0.removeSettled(limit: limit, leaderEpoch: leaderEpoch, now: now)
        }
    }

    package func checkSchema() async throws(StoreError) -> SchemaState {
        try await self.perform("checkSchema") { _ in .current(version: 1) }
    }

    package func assignmentHistory(
        _ filter: AssignmentFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AssignmentRecord] {
        try await self.perform("assignmentHistory") { $0.assignments(filter, before: before, limit: limit) }
    }

    /// Runs `body` on the contents, unless a fault says otherwise.
    func perform<Answer: Sendable>(
        _ operation: String, _ body: (inout sending InMemoryContents) throws(StoreError) -> sending Answer
    ) async throws(StoreError) -> Answer {
        try await self.conditions?.before(operation)
        let answer = try self.performNow(operation, body)
        try await self.conditions?.after(operation)
        return answer
    }

    private func performNow<Answer: Sendable>(
        _ operation: String, _ body: (inout sending InMemoryContents) throws(StoreError) -> sending Answer
    ) throws(StoreError) -> Answer {
        let answer: Result<Answer, StoreError> = self.shell.withLock { shell in
            shell.calls[operation, default: 0] += 1
            guard shell.reachable else {
                return .failure(StoreError(.unavailable, operation: operation, detail: "made unreachable"))
            }
            var fault: Fault?
            if let index = shell.faults.firstIndex(where: { $0.operation == nil || $0.operation == operation }) {
                fault = shell.faults.remove(at: index).fault
            }
            if case .refused(let code) = fault {
                return .failure(StoreError(code, operation: operation, detail: "made to fail"))
            }
            do throws(StoreError) {
                let answer = try body(&shell.contents)
                if fault == .answerLost {
                    return .failure(StoreError(.unavailable, operation: operation, detail: "answer made lost"))
                }
                return .success(answer)
            } catch {
                return .failure(error)
            }
        }
        return try answer.get()
    }
}
