/// The statements on the settings of namespaces.
struct NamespaceStatements: Sendable {
    /// In the order in which `NamespaceSettings.init(row:)` reads them.
    private static let columns = """
        n.name, n.generation, n.schedules_max, n.pending_timers_max, n.creations_per_second_max, n.payload_bytes_max, \
        n.interval_min_ms, n.pause_since_ms, n.pause_until_ms, n.pause_reason, n.updated_at_ms, n.updated_by
        """

    let find = PostgresStatement(
        "namespace_find", "SELECT \(Self.columns) FROM namespace AS n WHERE n.name = $1::text")
    /// Those that were set up, and those that hold a schedule: found by skipping from name to name in the index.
    let list = PostgresStatement(
        "namespace_list",
        """
        WITH RECURSIVE used(name) AS (
            (SELECT namespace FROM schedule WHERE ended_at_ms IS NULL
                AND ($1::text IS NULL OR namespace > $1::text) ORDER BY namespace LIMIT 1)
            UNION ALL SELECT (SELECT s.namespace FROM schedule AS s WHERE s.ended_at_ms IS NULL
                AND s.namespace > u.name ORDER BY s.namespace LIMIT 1) FROM used AS u WHERE u.name IS NOT NULL),
        known AS (SELECT name FROM used WHERE name IS NOT NULL
            UNION SELECT name FROM namespace WHERE $1::text IS NULL OR name > $1::text)
        SELECT k.name, COALESCE(n.generation, 0), n.schedules_max, n.pending_timers_max, n.creations_per_second_max,
            n.payload_bytes_max, n.interval_min_ms, n.pause_since_ms, n.pause_until_ms, n.pause_reason,
            n.updated_at_ms, n.updated_by
        FROM known AS k LEFT JOIN namespace AS n ON n.name = k.name ORDER BY k.name LIMIT $2::bigint
        """)
    /// Makes generation `$2` out of the one before; no row when that is not the current one. A namespace without a
    /// row is at generation 0.
    let change = PostgresStatement(
        "namespace_change",
        """
        WITH n AS (INSERT INTO namespace AS n (name, generation, schedules_max, pending_timers_max,
            creations_per_second_max, payload_bytes_max, interval_min_ms, pause_since_ms, pause_until_ms,
            pause_reason, updated_at_ms, updated_by)
            VALUES ($1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::bigint,
            $9::bigint, $10::text, $11::bigint, $12::text)
            ON CONFLICT (name) DO UPDATE SET generation = excluded.generation,
            schedules_max = excluded.schedules_max, pending_timers_max = excluded.pending_timers_max,
            creations_per_second_max = excluded.creations_per_second_max,
            payload_bytes_max = excluded.payload_bytes_max, interval_min_ms = excluded.interval_min_ms,
            pause_since_ms = excluded.pause_since_ms, pause_until_ms = excluded.pause_until_ms,
            pause_reason = excluded.pause_reason, updated_at_ms = excluded.updated_at_ms,
            updated_by = excluded.updated_by
            WHERE n.generation = $2::bigint - 1 RETURNING n.name),
        a AS (\(AuditStatements.insert) SELECT $11::bigint, n.name, 'namespace', n.name, $13::text, $2::bigint,
            $12::text, $14::text, $15::text, NULL, NULL FROM n),
        k AS (\(AuditStatements.insertKey) SELECT $16::text, $17::text, $18::bytea, $19::bigint, $20::bytea
            FROM n WHERE $17::text IS NOT NULL)
        SELECT name FROM n
        """)
    /// Counts up to `$2` each. A timer counts as pending until the slowest shard is past it, so that an index alone
    /// answers.
    let usage = PostgresStatement(
        "namespace_usage",
        """
        SELECT (SELECT count(*) FROM (SELECT FROM schedule
            WHERE namespace = $1::text AND ended_at_ms IS NULL LIMIT $2::bigint) AS s),
        (SELECT count(*) FROM (SELECT FROM timer WHERE namespace = $1::text AND ended_rev IS NULL
            AND due_ms > COALESCE((SELECT min(settled_through_ms) FROM shard_ckpt), 0) LIMIT $2::bigint) AS t)
        """)
}
