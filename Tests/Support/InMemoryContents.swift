import EscapementModel
import Store

/// What `InMemoryStore` holds, and what each call does to it. A value; linear searches, because tests
/// hold thousands of rows and not millions.
struct InMemoryContents: Sendable {
    struct TimerRow: Sendable {
        var timer: StoredTimer
        var digest: [UInt8]
        var endedAt: WallInstant?
    }

    struct Name: Hashable, Sendable {
        var namespace: String
        var name: String
    }

    var settings: ClusterSettings?
    var leader = LeaderRecord(epoch: .none, beat: 0, holder: nil, node: nil, address: nil)
    var shards: [OwnershipRecord] = []
    var lanes: [OwnershipRecord] = []
    var history: [AssignmentRecord] = []
    var audit: [AuditEntry] = []
    var namespaces: [String: NamespaceSettings] = [:]
    var answers: [Name: IdempotencyKey] = [:]
    var checkpoints: [ShardID: WallInstant] = [:]
    var laneCheckpoints: [LaneID: LaneCheckpoint] = [:]
    var revisions: [ShardID: Revision] = [:]
    /// All versions, live and ended, in the order in which they were made.
    var versions: [StoredSchedule] = []
    /// The schedules that were not deleted.
    var current: [Name: UID] = [:]
    /// When the others were.
    var ended: [UID: WallInstant] = [:]
    var timers = TimerTable()

    mutating func establish(_ wanted: ClusterSettings) -> ClusterSettings {
        if let settings { return settings }
        self.settings = wanted
        func rows(_ count: Int) -> [OwnershipRecord] {
            (0..<UInt16(count)).map { OwnershipRecord(number: $0, epoch: .none, owner: nil, incarnation: nil) }
        }
        self.shards = rows(wanted.shardCount)
        self.lanes = rows(wanted.laneCount)
        for number in 0..<UInt16(wanted.shardCount) { self.revisions[ShardID(number)] = Revision.none }
        return wanted
    }

    /// Raises the shard's revision.
    mutating func change(_ shard: ShardID, operation: String) throws(StoreError) -> Revision {
        guard let revision = self.revisions[shard] else {
            throw StoreError(.refused, operation: operation, detail: "there is no shard \(shard)")
        }
        let next = Revision(revision.rawValue + 1)
        self.revisions[shard] = next
        return next
    }
}

// The lock service.
extension InMemoryContents {
    mutating func renew(epoch: Epoch, holder: Incarnation) -> Bool {
        guard self.leader.epoch == epoch, self.leader.holder == holder else { return false }
        self.leader.beat += 1
        return true
    }

    mutating func take(from seen: LeaderRecord, holder: Incarnation, node: NodeID, address: String) -> Epoch? {
        guard self.leader.epoch == seen.epoch, self.leader.beat == seen.beat else { return nil }
        self.leader = LeaderRecord(
            epoch: self.leader.epoch.next, beat: self.leader.beat + 1, holder: holder, node: node, address: address)
        return self.leader.epoch
    }

    mutating func release(epoch: Epoch, holder: Incarnation) {
        guard self.leader.epoch == epoch, self.leader.holder == holder else { return }
        self.leader = LeaderRecord(epoch: epoch, beat: self.leader.beat + 1, holder: nil, node: nil, address: nil)
    }

    mutating func claim(
        _ kind: OwnedKind, _ claims: [OwnershipClaim], leaderEpoch: Epoch, at instant: WallInstant
    ) -> ClaimOutcome {
        guard self.leader.epoch == leaderEpoch || Defence.leaderFence.isRemoved else { return .deposed }
        var seen: Set<UInt16> = []
        return .claimed(
            claims.map { claim in
                guard seen.insert(claim.number).inserted, let row = self.row(kind, claim.number),
                    row.epoch == claim.expected
                else { return nil }
                let raised = OwnershipRecord(
                    number: claim.number, epoch: row.epoch.next, owner: claim.owner, incarnation: claim.incarnation)
                self.setRow(kind, raised)
                self.history.append(
                    AssignmentRecord(
                        id: UInt64(self.history.count + 1), at: instant, kind: kind, number: claim.number,
                        epoch: raised.epoch, owner: claim.owner,
                        incarnation: claim.incarnation, reason: claim.reason, leaderEpoch: leaderEpoch))
                return raised.epoch
            })
    }

    func assignments(_ filter: AssignmentFilter, before: UInt64?, limit: Int) -> [AssignmentRecord] {
        let found = self.history.reversed().filter { record in
            filter.admits(record) && (before.map { record.id < $0 } ?? true)
        }
        return Array(found.prefix(max(0, limit)))
    }

    mutating func raise(_ kind: OwnedKind, number: UInt16, to seen: Epoch, leaderEpoch: Epoch) {
        guard self.leader.epoch == leaderEpoch, var row = self.row(kind, number) else { return }
        row.epoch = max(row.epoch, seen)
        self.setRow(kind, row)
    }

    mutating func checkpoint(_ settled: [ShardID: WallInstant], leaderEpoch: Epoch) {
        guard self.leader.epoch == leaderEpoch else { return }
        for (shard, instant) in settled where self.revisions[shard] != nil {
            self.checkpoints[shard] = max(self.checkpoints[shard] ?? instant, instant)
        }
    }

    mutating func checkpoint(lanes: [LaneCheckpoint], leaderEpoch: Epoch) {
        guard self.leader.epoch == leaderEpoch else { return }
        for new in lanes where self.row(.lane, new.lane.rawValue) != nil {
            let old = self.laneCheckpoints[new.lane]
            let isNewer = old.map { ($0.epoch, $0.sequence) < (new.epoch, new.sequence) } ?? true
            if isNewer { self.laneCheckpoints[new.lane] = new }
        }
    }

    private func row(_ kind: OwnedKind, _ number: UInt16) -> OwnershipRecord? {
        let rows = kind == .shard ? self.shards : self.lanes
        return Int(number) < rows.count ? rows[Int(number)] : nil
    }

    private mutating func setRow(_ kind: OwnedKind, _ row: OwnershipRecord) {
        if kind == .shard { self.shards[Int(row.number)] = row } else { self.lanes[Int(row.number)] = row }
    }
}

// Timers.
extension InMemoryContents {
    mutating func create(
        _ new: [NewTimer], key: IdempotencyKey?
    ) throws(StoreError) -> Keyed<[CreateOutcome<StoredTimer>]> {
        guard self.admits(key) else { return .repeated }
        guard new.count <= StoreRules.timersPerRequestMax else {
            throw StoreError(.refused, operation: "createTimers", detail: "too many timers in one request")
        }
        for timer in new where self.revisions[ShardPlacement.shard(ofTimer: timer.uid)] == nil {
            let shard = ShardPlacement.shard(ofTimer: timer.uid)
            throw StoreError(.refused, operation: "createTimers", detail: "there is no shard \(shard)")
        }
        var raised: [ShardID: Revision] = [:]
        var outcomes: [CreateOutcome<StoredTimer>] = []
        for timer in new {
            let name = Name(namespace: timer.namespace, name: timer.name)
            if let row = self.timers[name] {
                outcomes.append(row.digest == timer.contentDigest ? .duplicate(row.timer) : .conflict(row.timer))
                continue
            }
            let shard = ShardPlacement.shard(ofTimer: timer.uid)
            let revision: Revision
            if let known = raised[shard] {
                revision = known
            } else {
                revision = try self.change(shard, operation: "createTimers")
                raised[shard] = revision
            }
            let stored = StoredTimer(
                uid: timer.uid, shard: shard, namespace: timer.namespace, name: timer.name, revision: revision,
                due: timer.due, endedRevision: nil, expireAfterMilliseconds: timer.expireAfterMilliseconds,
                template: timer.template, document: timer.document, createdAt: timer.createdAt,
                createdBy: timer.createdBy)
            self.timers[name] = TimerRow(timer: stored, digest: timer.contentDigest, endedAt: nil)
            outcomes.append(.created(stored))
        }
        self.keep(key)
        return .outcome(outcomes)
    }

    func timer(namespace: String, name: String) -> StoredTimer? {
        self.timers[Name(namespace: namespace, name: name)]?.timer
    }

    func pendingTimers(namespace: String, after: Watermark?, limit: Int) -> [StoredTimer] {
        self.sortedTimers(limit: limit) { timer in
            timer.namespace == namespace && timer.endedRevision == nil
                && (after.map { timer.watermark > $0 } ?? true)
                && (self.checkpoints[timer.shard].map { timer.due > $0 || timer.createdAt > $0 } ?? true)
        }
    }

    mutating func cancelTimer(namespace: String, name: String, origin: ChangeOrigin) -> StoredTimer? {
        let key = Name(namespace: namespace, name: name)
        guard var row = self.timers[key] else { return nil }
        if row.timer.endedRevision == nil, let revision = self.revisions[row.timer.shard] {
            let next = Revision(revision.rawValue + 1)
            self.revisions[row.timer.shard] = next
            row.timer.endedRevision = next
            row.endedAt = origin.at
            self.timers[key] = row
            self.append(
                AuditEntry(
                    origin, namespace: namespace, object: .timer, name: name, action: .cancel,
                    before: row.timer.document))
        }
        return row.timer
    }

    func dueTimers(
        namespace: String, from: WallInstant, to: WallInstant, after: Watermark?, limit: Int
    ) -> [StoredTimer] {
        self.sortedTimers(limit: limit) { timer in
            timer.namespace == namespace && timer.endedRevision == nil && from <= timer.due && timer.due < to
                && (after.map { timer.watermark > $0 } ?? true)
        }
    }

    func liveTimers(of shard: ShardID, after: Watermark, through: WallInstant, limit: Int) -> [StoredTimer] {
        self.sortedTimers(of: shard, limit: limit) { timer in
            timer.endedRevision == nil && timer.watermark > after && timer.due <= through
        }
    }

    private func sortedTimers(
        of shard: ShardID? = nil, limit: Int = .max, _ isWanted: (StoredTimer) -> Bool
    ) -> [StoredTimer] {
        let found = self.timers.timers(of: shard, where: isWanted)
        return Array(found.sorted { $0.watermark < $1.watermark }.prefix(max(0, limit)))
    }
}

// What tickers load, and cleaning up.
extension InMemoryContents {
    func snapshot(of shard: ShardID, cursor: Cursor, horizon: WallInstant) -> ShardPage {
        let schedules = self.versions.filter { $0.shard == shard && !$0.isEmpty && !$0.isSettled(by: cursor) }
        let timers = self.sortedTimers(of: shard) { $0.due <= horizon && !$0.isSettled(by: cursor) }
        return ShardPage(
            revision: self.revisions[shard] ?? .none,
            schedules: schedules.sorted { ($0.uid, $0.generation) < ($1.uid, $1.generation) }, timers: timers,
            last: true)
    }

    func changes(of shard: ShardID, after: Revision) -> ShardPage {
        func key(_ created: Revision, _ ended: Revision?) -> Revision? {
            created > after ? created : ended.flatMap { $0 > after ? $0 : nil }
        }
        let versions = self.versions.filter { $0.shard == shard && !$0.isEmpty }
        let timers = self.timers.timers(of: shard) { key($0.revision, $0.endedRevision) != nil }
        let current = self.revisions[shard] ?? .none
        var through = current
        let keys =
            (versions.compactMap { key($0.createdRevision, $0.endedRevision) }
            + timers.compactMap { key($0.revision, $0.endedRevision) }).sorted()
        if keys.count > StoreRules.changesPerPageMax {
            let cut = keys[StoreRules.changesPerPageMax].rawValue
            through = max(Revision(cut - 1), keys[0])
        }
        func isIncluded(_ revision: Revision?) -> Bool { revision.map { $0 <= through } ?? false }
        return ShardPage(
            revision: through,
            schedules: versions.filter { isIncluded(key($0.createdRevision, $0.endedRevision)) }
                .map { $0.asOf(through) }
                .sorted { ($0.changed(after), $0.uid) < ($1.changed(after), $1.uid) },
            timers: timers.filter { isIncluded(key($0.revision, $0.endedRevision)) }
                .map { $0.asOf(through) }
                .sorted { ($0.changed(after), $0.uid) < ($1.changed(after), $1.uid) },
            last: through == current)
    }

    mutating func removeSettled(limit: Int, leaderEpoch: Epoch, now: WallInstant) -> Int {
        guard self.leader.epoch == leaderEpoch else { return 0 }
        func isOver(_ instant: WallInstant, _ kept: Duration) -> Bool { instant.advanced(by: kept) <= now }
        self.answers = self.answers.filter { !isOver($0.value.at, StoreRules.idempotencyRetention) }
        self.audit.removeAll { isOver($0.at, StoreRules.auditRetention) }
        self.history.removeAll { isOver($0.at, StoreRules.assignmentRetention) }
        var left = max(0, limit)
        let removable = self.timers.all.filter { row in
            guard let checkpoint = self.checkpoints[row.timer.shard] else { return false }
            let cutoff = checkpoint.advanced(by: .zero - StoreRules.settledGrace)
            if let endedAt = row.endedAt, endedAt <= cutoff { return true }
            return row.timer.due <= cutoff && row.timer.createdAt <= cutoff
        }
        for row in removable.sorted(by: { $0.timer.watermark < $1.timer.watermark }).prefix(left) {
            self.timers[Name(namespace: row.timer.namespace, name: row.timer.name)] = nil
            left -= 1
        }
        var kept: [StoredSchedule] = []
        for version in self.versions {
            if left > 0, let until = version.until, let checkpoint = self.checkpoints[version.shard],
                until <= checkpoint.advanced(by: .zero - StoreRules.endedVersionRetention),
                self.current[Name(namespace: version.namespace, name: version.name)] != version.uid
                    || self.versions.contains(where: { $0.uid == version.uid && $0.generation > version.generation })
            {
                left -= 1
            } else {
                kept.append(version)
            }
        }
        self.versions = kept
        return max(0, limit) - left
    }
}

extension StoredSchedule {
    /// The first of the version's revisions that lies after `revision`.
    fileprivate func changed(_ revision: Revision) -> Revision {
        self.createdRevision > revision ? self.createdRevision : self.endedRevision ?? self.createdRevision
    }
}

extension StoredTimer {
    /// The first of the timer's revisions that lies after `revision`.
    fileprivate func changed(_ revision: Revision) -> Revision {
        self.revision > revision ? self.revision : self.endedRevision ?? self.revision
    }
}
