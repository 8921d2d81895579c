/// A defence of the protocol, by name, so that a simulation can take it away and show that the loss is noticed.
///
/// Only builds with `DEFENCE_REMOVAL` (`./dev simulate`) can; in every other `isRemoved` is the constant `false`.
package enum Defence: String, CaseIterable, Sendable {
    /// A lane takes a batch only from exactly where the shard stands.
    case cursorComparison
    /// A lane refuses epochs of a shard below the highest that it has seen.
    case shardEpoch
    /// Kafka refuses a producer when a newer one has its transactional id.
    case producerFence
    /// A ticker fires only when it has loaded at least the revision of the cursor.
    case revisionGuard
    /// What fell due before the ticker knew of it is fired when it learns of it.
    case lateAdmission
    /// A producer that has met any doubt is replaced before its next transaction.
    case recycle
    /// A producer that replaces a doubtful one looks whether the lane is still where it was left.
    case confirmation
    /// A new owner of a lane fences the former one before it reads where the lane stands, up to its own barrier.
    case barrierRead
    /// Every write of a leader is refused when somebody else leads.
    case leaderFence
    /// Within a transaction the journal entry comes behind the fires.
    case cursorLast

    #if DEFENCE_REMOVAL
    /// Set once, before anything runs.
    nonisolated(unsafe) package static var removed: Set<Defence> = []

    package var isRemoved: Bool { Self.removed.contains(self) }
    #else
    @inlinable package var isRemoved: Bool { false }
    #endif
}
