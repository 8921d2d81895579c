/// Pieces that several statements share.
enum SQL {
    /// The next value of a counter. With `usesTimeline` the WAL's timeline stands in the bits from 40 up, so that
    /// a promoted standby which lacks the last commits still continues above every value ever given out. The
    /// functions need no rights and exist on PostgreSQL only: off for its consensus-replicated relatives.
    static func next(_ counter: String, usesTimeline: Bool) -> String {
        guard usesTimeline else { return "\(counter) + 1" }
        return "GREATEST(\(counter), \(Self.timeline) << 40) + 1"
    }

    /// The number of the WAL's timeline: raised by each promotion of a standby.
    static let timeline = "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::bigint"

    /// True for the leader only, and holds the leader row until the statement's transaction ends: a take-over waits for
    /// it, and it for a take-over. `$1` is the leader's epoch.
    static let fence = "SELECT epoch FROM leader WHERE name = 'coordinator' AND epoch = $1::bigint FOR SHARE"

    /// The same as a condition, once for a statement; true also when no epoch is given: then a request wants the change,
    /// whoever leads.
    static func isFenced(by epoch: String) -> String {
        """
        (\(epoch)::bigint IS NULL OR EXISTS (
            SELECT FROM leader WHERE name = 'coordinator' AND epoch = \(epoch)::bigint FOR SHARE))
        """
    }

    /// In a row of `shard_ckpt`: `$1` ms before its checkpoint. A shard that has settled nothing stands at the earliest
    /// instant of all, from which nothing can be taken away.
    static let settledBefore = "GREATEST(settled_through_ms, 0) - $1::bigint"
}
