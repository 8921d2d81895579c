/// The statements on schedules and their versions, and on the cluster's settings.
struct ScheduleStatements: Sendable {
    /// In the order in which `StoredSchedule.init(row:)` reads them; `s` is the schedule, `v` the version.
    static let columns = """
        s.uid, s.shard_id, s.namespace, s.name, v.generation, v.created_rev, v.replaces, v.from_ms, v.ended_rev, \
        v.until_ms, s.created_at_ms, s.created_by, v.updated_at_ms, v.updated_by, v.change_reason, v.kind, \
        v.when_document, v.misfire_policy, v.misfire_tolerance_ms, v.misfire_window_ms, v.misfire_limit, v.template, \
        v.document, v.tags, v.pause_scope, v.pause_since_ms, v.pause_until_ms, v.pause_reason
        """
    /// Current versions of namespace `$1`.
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
    /// In order of name after `$2`, which is empty for all (a condition on NULL would keep the index from finding the
    /// place); the filter is a text `$3`, all of the tags `$5`, none of `$6`, of each group `$8` one of
    /// `$7`, paused or not `$9` as of `$10`.
    let list = PostgresStatement(
        "schedule_list",
        """
        SELECT \(Self.columns) FROM \(Self.live) AND s.name > $2::text
        AND ($3::text IS NULL OR position($3::text IN s.name) > 0)
        AND v.tags @> $5::text[] AND NOT v.tags && $6::text[]
        AND NOT EXISTS (SELECT FROM unnest($7::text[], $8::bigint[]) AS q(tag, part)
            GROUP BY q.part HAVING NOT bool_or(q.tag = ANY (v.tags)))
        AND ($9::boolean IS NULL OR $9::boolean =
            (v.pause_scope IS NOT NULL AND (v.ended_rev IS NOT NULL OR v.from_ms > $10::bigint)))
        ORDER BY s.name LIMIT $4::bigint
        """)
    /// Current versions of all namespaces: how many, and how many of them are paused as of `$1`.
    let count = PostgresStatement(
        "schedule_count",
        """
        SELECT count(*), count(*) FILTER (
            WHERE v.pause_scope IS NOT NULL AND (v.ended_rev IS NOT NULL OR v.from_ms > $1::bigint))
        FROM schedule AS s JOIN schedule_version AS v
        ON v.shard_id = s.shard_id AND v.uid = s.uid AND v.generation = s.generation
        WHERE s.ended_at_ms IS NULL
        """)
    /// Of the schedule that has the name, else of the last that had it; newest first, below generation `$3`.
    let versions = PostgresStatement(
        "schedule_versions",
        """
        SELECT \(Self.columns) FROM (
            SELECT * FROM schedule WHERE namespace = $1::text AND name = $2::text
            ORDER BY ended_at_ms DESC NULLS FIRST LIMIT 1) AS s
        JOIN schedule_version AS v ON v.shard_id = s.shard_id AND v.uid = s.uid
        WHERE $3::bigint IS NULL OR v.generation < $3::bigint ORDER BY v.generation DESC LIMIT $4::bigint
        """)
    /// Versions of all schedules that have or had the name, each with the end of its schedule; newest first.
    let lives = PostgresStatement(
        "schedule_lives",
        """
        SELECT \(Self.columns), s.ended_at_ms FROM schedule AS s
        JOIN schedule_version AS v ON v.shard_id = s.shard_id AND v.uid = s.uid
        WHERE s.namespace = $1::text AND s.name = $2::text
        ORDER BY s.ended_at_ms DESC NULLS FIRST, s.created_at_ms DESC, s.uid, v.generation DESC LIMIT $3::bigint
        """)
    /// Names of namespace `$1` after `$3`, of schedules that are there or ended at `$2` or later.
    let names = PostgresStatement(
        "schedule_names",
        """
        SELECT DISTINCT s.name FROM schedule AS s
        WHERE s.namespace = $1::text AND s.name > $3::text AND (s.ended_at_ms IS NULL OR s.ended_at_ms >= $2::bigint)
        ORDER BY s.name LIMIT $4::bigint
        """)
    /// Current versions that the namespace's pause has not reached, or has left: `$3` says whether it holds as of `$2`,
    /// `$4` until when, `$5` why. A version should be empty, or begin when the last of the two pauses is over.
    let outOfLine = PostgresStatement(
        "schedule_out_of_line",
        """
        SELECT \(Self.columns) FROM \(Self.live)
        AND CASE WHEN v.pause_scope IS NOT NULL AND (v.ended_rev IS NOT NULL OR v.from_ms > $2::bigint) THEN
            CASE v.pause_scope WHEN 2
                THEN NOT $3::boolean OR v.pause_until_ms IS DISTINCT FROM $4::bigint
                    OR v.pause_reason IS DISTINCT FROM $5::text
                ELSE v.pause_until_ms <= $2::bigint END IS TRUE
            OR (v.ended_rev IS NOT NULL) <> (($3::boolean AND $4::bigint IS NULL)
                OR (v.pause_scope = 1 AND v.pause_until_ms IS NULL))
            OR (v.ended_rev IS NULL AND v.from_ms <> GREATEST(CASE WHEN v.pause_scope = 1 THEN v.pause_until_ms END,
                CASE WHEN $3::boolean THEN $4::bigint END))
        ELSE $3::boolean END
        ORDER BY s.shard_id, s.uid LIMIT $6::bigint
        """)
    /// Takes rows of schedules `$1`, in order, so that transactions that change several do not wait for each other.
    let lockMany = PostgresStatement(
        "schedule_lock",
        """
        SELECT uid FROM schedule WHERE (shard_id, uid) IN (SELECT * FROM unnest($1::bigint[], $2::uuid[]))
        ORDER BY shard_id, uid FOR NO KEY UPDATE
        """)
    /// Makes the version `$5` of a schedule whose current version is the one before; no row when it is not.
    let change: PostgresStatement
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
            AND ended_rev IS DISTINCT FROM created_rev
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
        WHERE v.shard_id = $1::bigint AND v.ended_rev IS DISTINCT FROM v.created_rev AND ((v.created_rev > $2::bigint AND v.created_rev <= $3::bigint)
        OR (v.created_rev <= $2::bigint AND v.ended_rev > $2::bigint AND v.ended_rev <= $3::bigint))
        ORDER BY CASE WHEN v.created_rev > $2::bigint THEN v.created_rev ELSE v.ended_rev END, v.uid
        """)
    let revisions = PostgresStatement("shard_revisions", "SELECT shard_id, rev FROM shard_rev WHERE rev > 0")
    let revision = PostgresStatement("shard_revision", "SELECT rev FROM shard_rev WHERE shard_id = $1::bigint")
    /// The revision of shard `$1`; the first revision after `$2` that does not fit into `$3` rows and `$4` bytes;
    /// the first revision after `$2`.
    let extent: PostgresStatement

    /// Versions that ended `$1` ms before their shard's checkpoint and are not the current one, at most `$2`.
    let removeVersions = PostgresStatement(
        "schedule_remove_versions",
        """
        DELETE FROM schedule_version AS v USING (
            SELECT d.* FROM (SELECT shard_id, \(SQL.settledBefore) AS cutoff FROM shard_ckpt
                WHERE \(SQL.isFenced(by: "$3"))) AS c
            CROSS JOIN LATERAL (
                SELECT v.shard_id, v.uid, v.generation FROM schedule_version AS v
                WHERE v.shard_id = c.shard_id AND v.until_ms <= c.cutoff AND NOT EXISTS (
                    SELECT FROM schedule AS s WHERE s.shard_id = v.shard_id AND s.uid = v.uid
                    AND s.generation = v.generation AND s.ended_at_ms IS NULL)
                LIMIT $2::bigint FOR UPDATE OF v SKIP LOCKED) AS d
            LIMIT $2::bigint) AS d
        WHERE v.shard_id = d.shard_id AND v.uid = d.uid AND v.generation = d.generation
        """)
    /// Schedules that ended `$1` ms before the latest checkpoint, once no version of theirs is left.
    let removeEnded = PostgresStatement(
        "schedule_remove_ended",
        """
        DELETE FROM schedule AS s
        WHERE s.ended_at_ms <= (SELECT max(\(SQL.settledBefore)) FROM shard_ckpt) AND NOT EXISTS (
            SELECT FROM schedule_version AS v WHERE v.shard_id = s.shard_id AND v.uid = s.uid)
        AND \(SQL.isFenced(by: "$2"))
        """)

    init(usesTimeline: Bool) {
        let next = SQL.next("r.rev", usesTimeline: usesTimeline)
        self.create = PostgresStatement(
            "schedule_create",
            """
            WITH s AS (INSERT INTO schedule
                (uid, shard_id, namespace, name, created_at_ms, created_by, generation)
                SELECT $1::uuid, shard_id, $3::text, $4::text, $8::bigint, $9::text, $5::bigint
                FROM shard_rev WHERE shard_id = $2::bigint
                ON CONFLICT (namespace, name) WHERE ended_at_ms IS NULL DO NOTHING RETURNING uid, shard_id),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM s WHERE r.shard_id = s.shard_id RETURNING r.rev),
            \(Self.making(replaces: false))
            SELECT EXISTS (SELECT FROM shard_rev WHERE shard_id = $2::bigint), (SELECT created_rev FROM n)
            """)
        self.change = PostgresStatement(
            "schedule_change",
            """
            WITH s AS (UPDATE schedule SET generation = $5::bigint
                WHERE shard_id = $2::bigint AND uid = $1::uuid AND generation = $5::bigint - 1
                AND ended_at_ms IS NULL AND \(SQL.isFenced(by: "$32")) RETURNING uid, shard_id),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM s WHERE r.shard_id = s.shard_id RETURNING r.rev),
            e AS (UPDATE schedule_version AS v SET ended_rev = r.rev, until_ms = GREATEST(v.from_ms, $8::bigint)
                FROM s, r WHERE v.shard_id = s.shard_id AND v.uid = s.uid AND v.generation = $5::bigint - 1
                AND v.ended_rev IS NULL),
            \(Self.making(replaces: true))
            SELECT created_rev FROM n
            """)
        self.end = PostgresStatement(
            "schedule_end",
            """
            WITH s AS (UPDATE schedule SET ended_at_ms = $6::bigint
                WHERE shard_id = $2::bigint AND uid = $1::uuid AND generation = $5::bigint
                AND ended_at_ms IS NULL RETURNING uid, shard_id),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM s WHERE r.shard_id = s.shard_id RETURNING r.rev),
            e AS (UPDATE schedule_version AS v SET ended_rev = r.rev, until_ms = GREATEST(v.from_ms, $6::bigint)
                FROM s, r WHERE v.shard_id = s.shard_id AND v.uid = s.uid AND v.generation = $5::bigint
                AND v.ended_rev IS NULL),
            a AS (\(AuditStatements.insert) SELECT $6::bigint, $3::text, 'schedule', $4::text, 'delete', $5::bigint,
                $7::text, $8::text, $9::text, $10::bytea, NULL FROM s),
            k AS (\(AuditStatements.insertKey) SELECT $11::text, $12::text, $13::bytea, $14::bigint, $15::bytea
                FROM s WHERE $12::text IS NOT NULL)
            SELECT rev FROM r
            """)
        let keys = """
            SELECT created_rev AS k, octet_length(template) + octet_length(document) AS size
            FROM schedule_version WHERE shard_id = $1::bigint AND created_rev > $2::bigint
            AND ended_rev IS DISTINCT FROM created_rev
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

    /// Makes version `$5` with the revision of `r`, its line of the audit trail and the request's key, when there is a
    /// row `s`. The parameters are those of `PostgresStore.values`.
    private static func making(replaces: Bool) -> String {
        """
        n AS (INSERT INTO schedule_version (shard_id, uid, generation, created_rev, replaces, from_ms, ended_rev,
            until_ms, updated_at_ms, updated_by, change_reason, kind, when_document, misfire_policy,
            misfire_tolerance_ms, misfire_window_ms, misfire_limit, template, document, tags, pause_scope,
            pause_since_ms, pause_until_ms, pause_reason)
            SELECT s.shard_id, s.uid, $5::bigint, r.rev, \(replaces), $6::bigint, CASE WHEN $7::boolean THEN r.rev END,
            CASE WHEN $7::boolean THEN $6::bigint END, $8::bigint, $9::text, $10::text, $11::bigint, $12::bytea,
            $13::bigint, $14::bigint, $15::bigint, $16::bigint, $17::bytea, $18::bytea, $19::text[], $20::bigint,
            $21::bigint, $22::bigint, $23::text FROM s, r RETURNING created_rev),
        a AS (\(AuditStatements.insert) SELECT $8::bigint, $3::text, 'schedule', $4::text, $24::text, $5::bigint,
            $9::text, $25::text, $10::text, $26::bytea, $18::bytea FROM s),
        k AS (\(AuditStatements.insertKey) SELECT $27::text, $28::text, $29::bytea, $30::bigint, $31::bytea
            FROM s WHERE $28::text IS NOT NULL)
        """
    }
}
