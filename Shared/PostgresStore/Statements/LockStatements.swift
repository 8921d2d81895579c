/// The statements of the lock service; see docs/database.md and the comments of `LockStore`.
struct LockStatements: Sendable {
    let observe = PostgresStatement(
        "lock_observe",
        "SELECT epoch, beat, holder, node, address FROM leader WHERE name = 'coordinator'")
    let renew = PostgresStatement(
        "lock_renew",
        """
        UPDATE leader SET beat = beat + 1
        WHERE name = 'coordinator' AND epoch = $1::bigint AND holder = $2::uuid
        """)
    let take: PostgresStatement
    let release = PostgresStatement(
        "lock_release",
        """
        UPDATE leader SET holder = NULL, node = NULL, address = NULL, beat = beat + 1
        WHERE name = 'coordinator' AND epoch = $1::bigint AND holder = $2::uuid
        """)
    let ownership = PostgresStatement(
        "lock_ownership",
        """
        SELECT 0, shard_id, epoch, owner, incarnation FROM shard
        UNION ALL SELECT 1, lane_id, epoch, owner, incarnation FROM lane
        ORDER BY 1, 2
        """)
    let claimShards: PostgresStatement
    let claimLanes: PostgresStatement
    let raiseShard = Self.raise("shard")
    let raiseLane = Self.raise("lane")
    let checkpoint = PostgresStatement(
        "lock_checkpoint",
        """
        WITH l AS (\(SQL.fence))
        INSERT INTO shard_ckpt AS c (shard_id, settled_through_ms)
        SELECT n.shard_id, n.through FROM unnest($2::bigint[], $3::bigint[]) AS n(shard_id, through)
        JOIN shard AS s ON s.shard_id = n.shard_id CROSS JOIN l ORDER BY n.shard_id
        ON CONFLICT (shard_id) DO UPDATE
        SET settled_through_ms = GREATEST(c.settled_through_ms, excluded.settled_through_ms), written_at = now()
        """)
    let checkpointLanes = PostgresStatement(
        "lock_checkpoint_lanes",
        """
        WITH l AS (\(SQL.fence))
        INSERT INTO lane_ckpt AS c (lane_id, epoch, sequence, state)
        SELECT n.lane_id, n.epoch, n.sequence, n.state
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) AS n(lane_id, epoch, sequence, state)
        JOIN lane AS s ON s.lane_id = n.lane_id CROSS JOIN l ORDER BY n.lane_id
        ON CONFLICT (lane_id) DO UPDATE
        SET epoch = excluded.epoch, sequence = excluded.sequence, state = excluded.state, written_at = now()
        WHERE (c.epoch, c.sequence) < (excluded.epoch, excluded.sequence)
        """)
    let laneCheckpoints = PostgresStatement(
        "lock_lane_checkpoints", "SELECT lane_id, epoch, sequence, state FROM lane_ckpt ORDER BY lane_id")

    /// Two of them, because a condition that may be absent keeps an index from being used.
    let history = Self.history("all", "true")
    let historyOfNumber = Self.history("number", "kind = $1::text AND number = $2::bigint")

    private static func history(_ name: String, _ condition: String) -> PostgresStatement {
        PostgresStatement(
            "lock_history_\(name)",
            """
            SELECT id, floor(extract(epoch FROM at) * 1000)::bigint, kind, number, epoch, owner, incarnation, reason,
                leader_epoch
            FROM assignment_history WHERE \(condition) AND id < $6::bigint AND ($1::text IS NULL OR kind = $1::text)
            AND ($2::bigint IS NULL OR number = $2::bigint) AND ($3::text IS NULL OR owner = $3::text)
            AND ($4::bigint IS NULL OR at >= \(Self.instant("$4"))) AND ($5::bigint IS NULL
                OR at < \(Self.instant("$5")) + interval '1 millisecond') ORDER BY id DESC LIMIT $7::bigint
            """)
    }

    /// Within the years that the type can hold.
    private static func instant(_ milliseconds: String) -> String {
        "timestamptz 'epoch' + LEAST(GREATEST(\(milliseconds), 0), 250000000000000) * interval '1 millisecond'"
    }

    init(usesTimeline: Bool) {
        self.take = PostgresStatement(
            "lock_take",
            """
            UPDATE leader SET epoch = \(SQL.next("epoch", usesTimeline: usesTimeline)), beat = beat + 1,
            holder = $3::uuid, node = $4::text, address = $5::text
            WHERE name = 'coordinator' AND epoch = $1::bigint AND beat = $2::bigint RETURNING epoch
            """)
        self.claimShards = Self.claim("shard", usesTimeline: usesTimeline)
        self.claimLanes = Self.claim("lane", usesTimeline: usesTimeline)
    }

    /// No row at all means deposed; with an empty list of claims the leader still gets one row.
    private static func claim(_ table: String, usesTimeline: Bool) -> PostgresStatement {
        PostgresStatement(
            "lock_claim_\(table)",
            """
            WITH l AS (\(SQL.fence)),
            c AS (SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::uuid[], $6::text[])
                WITH ORDINALITY AS c(number, expected, owner, incarnation, reason, position)),
            u AS (UPDATE \(table) AS o SET owner = c.owner, incarnation = c.incarnation,
                epoch = \(SQL.next("o.epoch", usesTimeline: usesTimeline))
                FROM c, l WHERE o.\(table)_id = c.number AND o.epoch = c.expected
                RETURNING c.position, c.number, o.epoch, o.owner, o.incarnation, c.reason),
            h AS (INSERT INTO assignment_history (kind, number, epoch, owner, incarnation, reason, leader_epoch)
                SELECT '\(table)', u.number, u.epoch, u.owner, u.incarnation, u.reason, l.epoch FROM u, l)
            SELECT c.position, u.epoch FROM l LEFT JOIN c ON true LEFT JOIN u ON u.position = c.position
            ORDER BY c.position
            """)
    }

    private static func raise(_ table: String) -> PostgresStatement {
        PostgresStatement(
            "lock_raise_\(table)",
            """
            WITH l AS (\(SQL.fence))
            UPDATE \(table) AS o SET epoch = GREATEST(o.epoch, $3::bigint) FROM l WHERE o.\(table)_id = $2::bigint
            """)
    }
}
