import EscapementModel

/// A defence of the protocol that a run does without, to see that the oracle notices.
enum RemovedDefence: String, CaseIterable {
    /// A batch is taken only from exactly where the lane stands.
    case cursorComparison
    /// A lane refuses epochs below the highest it has seen.
    case shardEpoch
    /// Kafka refuses a producer whose transactional id has a newer one.
    case producerFence
    /// A ticker fires only when it has loaded at least the revision of the cursor.
    case revisionGuard
    /// What fell due before the ticker knew of it is fired when it learns of it.
    case lateAdmission
    /// The journal entry is the last record of its transaction.
    case recycle
    /// A new lane owner reads the journal up to its own barrier.
    case barrierRead
    /// Every write of a leader names its epoch.
    case leaderFence
}
