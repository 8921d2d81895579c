package import EscapementModel

/// What holds for a namespace. A namespace that nobody ever set up has `generation` 0 and no limit of its own.
package struct NamespaceSettings: Hashable, Sendable {
    package var namespace: String
    /// Raised by each change; the entity tag.
    package var generation: UInt64
    package var quota: NamespaceQuota
    /// While it holds, no schedule of the namespace fires. Timers do: each was asked for by somebody for its instant.
    package var pause: SchedulePause?
    package var updatedAt: WallInstant?
    package var updatedBy: String?

    package init(
        namespace: String, generation: UInt64 = 0, quota: NamespaceQuota = NamespaceQuota(),
        pause: SchedulePause? = nil, updatedAt: WallInstant? = nil, updatedBy: String? = nil
    ) {
        self.namespace = namespace
        self.generation = generation
        self.quota = quota
        self.pause = pause
        self.updatedAt = updatedAt
        self.updatedBy = updatedBy
    }
}

/// Limits of one namespace; `nil` means the cluster's own. Whoever takes requests enforces them: they
/// protect the others, and a few requests at the same moment may exceed them.
package struct NamespaceQuota: Hashable, Sendable {
    package var schedulesMax: UInt64?
    package var pendingTimersMax: UInt64?
    package var creationsPerSecondMax: UInt64?
    package var payloadBytesMax: UInt64?
    package var intervalMinMilliseconds: UInt64?

    package init(
        schedulesMax: UInt64? = nil, pendingTimersMax: UInt64? = nil, creationsPerSecondMax: UInt64? = nil,
        payloadBytesMax: UInt64? = nil, intervalMinMilliseconds: UInt64? = nil
    ) {
        self.schedulesMax = schedulesMax
        self.pendingTimersMax = pendingTimersMax
        self.creationsPerSecondMax = creationsPerSecondMax
        self.payloadBytesMax = payloadBytesMax
        self.intervalMinMilliseconds = intervalMinMilliseconds
    }
}

/// What a namespace holds; each number is counted up to a limit of the asker's.
package struct NamespaceUsage: Hashable, Sendable {
    package var schedules: Int
    package var pendingTimers: Int

    package init(schedules: Int, pendingTimers: Int) {
        self.schedules = schedules
        self.pendingTimers = pendingTimers
    }
}

package enum NamespaceChange: Hashable, Sendable {
    case setQuota(NamespaceQuota)
    case pause(until: WallInstant?)
    case resume

    package var action: AuditAction {
        switch self {
        case .setQuota: .setQuota
        case .pause: .pause
        case .resume: .resume
        }
    }
}

/// Settings of namespaces.
///
/// A namespace's pause is written into its schedules, as pauses of theirs: tickers know only versions. The
/// record comes first, and what is created from then on is born paused; `settleNamespace` brings the others into line, some at
/// a time, and may be called by anybody at any time, so that one who died half-way is of no matter.
package protocol NamespaceStore: Sendable {
    func namespace(_ name: String) async throws(StoreError) -> NamespaceSettings
    /// Namespaces that were set up or hold a live schedule, in order of name after `after`.
    func namespaces(after: String?, limit: Int) async throws(StoreError) -> [NamespaceSettings]
    func changeNamespace(
        _ name: String, _ change: NamespaceChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<NamespaceSettings>
    /// Pauses schedules that a pause of their namespace has not reached, and resumes those that one held when it is
    /// over; at most `limit` (and `StoreRules.settledAtOnceMax`), in one transaction. With `leaderEpoch` nothing when
    /// somebody else leads by now; without, a request wants it.
    ///
    /// - Returns: the shards that were changed, one for each schedule; empty when all is in line.
    func settleNamespace(
        _ name: String, limit: Int, origin: ChangeOrigin, leaderEpoch: Epoch?
    ) async throws(StoreError) -> [ShardID]
    /// Counts, each up to `limit`.
    func usage(of namespace: String, upTo limit: Int) async throws(StoreError) -> NamespaceUsage
}

extension NamespaceSettings {
    package func isPaused(at instant: WallInstant) -> Bool { self.pause?.holds(at: instant) ?? false }

    /// The settings after `change`; `nil` when nothing changes.
    package func successor(_ change: NamespaceChange, origin: ChangeOrigin) -> NamespaceSettings? {
        var next = self
        switch change {
        case .setQuota(let quota): next.quota = quota
        case .pause(let until):
            let since = self.isPaused(at: origin.at) ? self.pause?.since : nil
            next.pause = SchedulePause(
                scope: .namespace, since: since ?? origin.at, until: until, reason: origin.reason)
        case .resume: next.pause = nil
        }
        if next == self { return nil }
        next.generation += 1
        next.updatedAt = origin.at
        next.updatedBy = origin.by
        return next
    }
}
