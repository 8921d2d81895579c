/// The statements on schedules and their versions, and on the cluster's settings.
struct ScheduleStatements: Sendable {
    /// In the order in which `StoredSchedule.init(row:)` reads them; `s` is the schedule, `v` the version.
    static let columns = """
        s.uid, s.shard_id, s.namespace, s.name, v.generation, v.created_rev, v.replaces, v.from_ms, v.ended_rev, \
        v.until_ms, s.created_at_ms, s.created_by, v.updated_at_ms, v.kind, v.when_document, v.misfire_policy, \
        v.misfire_tolerance_ms, v.misfire_window_ms, v.misfire_limit, v.template, v.document
        """
    private static let live = """
        schedule AS s JOIN schedule_version AS v
        ON v.shard_id = s.shard_id AND v.uid = s.uid AND v.generation = s.generation
        WHERE s.ended_at_ms IS NULL AND s.namespace = $1::text
        """

    // Establishing: in this order, in one transaction.
    let settle = PostgresStatement(
        "cluster_settle",
        """
        INSERT INTO cluster_setting (cluster, shard_count, lane_count) VALUES ($1::text, $2::bigint, $3::bigint)
        ON CONFLICT (single) DO NOTHING
        """)
    let settings = PostgresStatement(
        "cluster_settings", "SELECT cluster, shard_count, lane_count FROM cluster_setting")
    let makeRows = [("shard", "shard"), ("shard_rev", "shard"), ("lane", "lane")].map { table, numbered in
        PostgresStatement(
            "cluster_make_\(table)",
            """
            INSERT INTO \(table) (\(numbered)_id)
            SELECT generate_series(0, \(numbered)_count - 1) FROM cluster_setting ON CONFLICT DO NOTHING
            """)
    }
    let makeLeader = PostgresStatement(
        "cluster_make_leader", "INSERT INTO leader (name) VALUES ('coordinator') ON CONFLICT DO NOTHING")

    let create: PostgresStatement
    let find = PostgresStatement(
        "schedule_find", "SELECT \(Self.columns) FROM \(Self.live) AND s.name = $2::text")
    let list = PostgresStatement(
        "schedule_list",
        """
        SELECT \(Self.columns) FROM \(Self.live) AND ($2::text IS NULL OR s.name > $2::text)
        AND ($3::text IS NULL OR position($3::text IN s.name) > 0) ORDER BY s.name LIMIT $4::bigint
        """)
    let end: PostgresStatement

    // Loading. A version never changes except by ending once, so its state at a revision can be told at any later
    // time: pages of one snapshot need no common transaction.

    /// Versions of shard `$1` made up to revision `$2` and not settled by a cursor: ended up to its revision `$3` and
    /// before `$4`. After (uid, generation) `$5`, `$6`; up to `$7` rows and about `$8` bytes, at least one row.
    let page = PostgresStatement(
        "schedule_page",
        """
        SELECT \(Self.columns) FROM (
            SELECT *, sum(octet_length(template) + octet_length(document) + octet_length(when_document))
                OVER (ORDER BY uid, generation ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
            FROM schedule_version
            WHERE shard_id = $1::bigint AND created_rev <= $2::bigint
            AND NOT COALESCE(ended_rev <= $3::bigint AND until_ms < $4::bigint, false)
            AND (uid, generation) > ($5::uuid, $6::bigint)
            ORDER BY uid, generation LIMIT $7::bigint) AS v
        JOIN schedule AS s ON s.shard_id = v.shard_id AND s.uid = v.uid
        WHERE COALESCE(v.bytes_before, 0) < $8::bigint ORDER BY v.uid, v.generation
        """)
    /// Versions of shard `$1` that changed after revision `$2` and up to `$3`.
    let changed = PostgresStatement(
        "schedule_changed",
        """
        SELECT \(Self.columns) FROM schedule_version AS v
        JOIN schedule AS s ON s.shard_id = v.shard_id AND s.uid = v.uid
        WHERE v.shard_id = $1::bigint AND ((v.created_rev > $2::bigint AND v.created_rev <= $3::bigint)
        OR (v.created_rev <= $2::bigint AND v.ended_rev > $2::bigint AND v.ended_rev <= $3::bigint))
        ORDER BY CASE WHEN v.created_rev > $2::bigint THEN v.created_rev ELSE v.ended_rev END, v.uid
        """)
    let revisions = PostgresStatement("shard_revisions", "SELECT shard_id, rev FROM shard_rev WHERE rev > 0")
    let revision = PostgresStatement("shard_revision", "SELECT rev FROM shard_rev WHERE shard_id = $1::bigint")
    /// The revision of shard `$1`; the first revision after `$2` that does not fit into `$3` rows and `$4` bytes;
    /// the first revision after `$2`.
    let extent: PostgresStatement

    /// Versions that ended `$1` ms before their shard's checkpoint, at most `$2`.
    let removeVersions = PostgresStatement(
        "schedule_remove_versions",
        """
        DELETE FROM schedule_version AS v USING (
            SELECT v.shard_id, v.uid, v.generation FROM shard_ckpt AS c JOIN schedule_version AS v USING (shard_id)
            WHERE v.until_ms <= c.settled_through_ms - $1::bigint
            ORDER BY 1, 2, 3 LIMIT $2::bigint FOR UPDATE OF v SKIP LOCKED) AS d
        WHERE v.shard_id = d.shard_id AND v.uid = d.uid AND v.generation = d.generation
        """)
    let removeEnded = PostgresStatement(
        "schedule_remove_ended",
        """
        DELETE FROM schedule AS s WHERE s.ended_at_ms IS NOT NULL AND NOT EXISTS (
            SELECT FROM schedule_version AS v WHERE v.shard_id = s.shard_id AND v.uid = s.uid)
        """)
    let removeHistory = PostgresStatement(
        "history_remove",
        """
        DELETE FROM assignment_history WHERE id IN (
            SELECT id FROM assignment_history WHERE at < now() - interval '90 days' ORDER BY at LIMIT 1000)
        """)

    init(usesTimeline: Bool) {
        let next = SQL.next("r.rev", usesTimeline: usesTimeline)
        self.create = PostgresStatement(
            "schedule_create",
            """
            WITH s AS (INSERT INTO schedule
                (uid, shard_id, namespace, name, created_at_ms, created_by, generation)
                SELECT $1::uuid, shard_id, $3::text, $4::text, $5::bigint, $6::text, 1
                FROM shard_rev WHERE shard_id = $2::bigint
                ON CONFLICT (namespace, name) WHERE ended_at_ms IS NULL DO NOTHING RETURNING uid, shard_id),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM s WHERE r.shard_id = s.shard_id RETURNING r.rev),
            v AS (INSERT INTO schedule_version (shard_id, uid, generation, created_rev, replaces, from_ms,
                updated_at_ms, kind, when_document, misfire_policy, misfire_tolerance_ms, misfire_window_ms,
                misfire_limit, template, document)
                SELECT s.shard_id, s.uid, 1, r.rev, false, $5::bigint, $5::bigint, $7::bigint, $8::bytea, $9::bigint,
                $10::bigint, $11::bigint, $12::bigint, $13::bytea, $14::bytea FROM s, r RETURNING created_rev)
            SELECT EXISTS (SELECT FROM shard_rev WHERE shard_id = $2::bigint), (SELECT created_rev FROM v)
            """)
        self.end = PostgresStatement(
            "schedule_end",
            """
            WITH s AS (UPDATE schedule SET ended_at_ms = $4::bigint
                WHERE namespace = $1::text AND name = $2::text AND ended_at_ms IS NULL
                AND ($3::bigint IS NULL OR generation = $3::bigint) RETURNING *),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM s WHERE r.shard_id = s.shard_id RETURNING r.rev),
            v AS (UPDATE schedule_version AS v SET ended_rev = r.rev, until_ms = GREATEST(v.from_ms, $4::bigint)
                FROM s, r WHERE v.shard_id = s.shard_id AND v.uid = s.uid AND v.generation = s.generation
                RETURNING v.*)
            SELECT \(Self.columns) FROM s, v
            """)
        let keys = """
            SELECT created_rev AS k, octet_length(template) + octet_length(document) AS size
            FROM schedule_version WHERE shard_id = $1::bigint AND created_rev > $2::bigint
            UNION ALL SELECT ended_rev, octet_length(template) + octet_length(document)
            FROM schedule_version WHERE shard_id = $1::bigint AND ended_rev > $2::bigint
            AND created_rev <= $2::bigint
            UNION ALL SELECT rev, octet_length(template) + octet_length(document)
            FROM timer WHERE shard_id = $1::bigint AND rev > $2::bigint
            UNION ALL SELECT ended_rev, octet_length(template) + octet_length(document)
            FROM timer WHERE shard_id = $1::bigint AND ended_rev > $2::bigint AND rev <= $2::bigint
            """
        self.extent = PostgresStatement(
            "shard_extent",
            """
            SELECT rev, (SELECT k FROM (
                SELECT k, row_number() OVER w AS position, sum(size) OVER w AS bytes FROM (\(keys)) AS changes
                WINDOW w AS (ORDER BY k ROWS UNBOUNDED PRECEDING)) AS running
                WHERE position > $3::bigint OR bytes > $4::bigint ORDER BY k LIMIT 1),
            (SELECT k FROM (\(keys)) AS changes ORDER BY k LIMIT 1)
            FROM shard_rev WHERE shard_id = $1::bigint
            """)
    }
}
