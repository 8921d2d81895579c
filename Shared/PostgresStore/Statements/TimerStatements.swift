/// The statements on timers.
struct TimerStatements: Sendable {
    /// In the order in which `StoredTimer.init(row:)` reads them; `t` is the timer.
    static let columns = """
        t.uid, t.shard_id, t.namespace, t.name, t.rev, t.due_ms, t.ended_rev, t.expire_after_ms, t.template, \
        t.document, t.created_at_ms, t.created_by
        """

    // Creating, in this order, in one transaction.

    /// Takes the counters of shards `$1`, in order of number, so that two transactions never wait for each other.
    let lockShards = PostgresStatement(
        "timer_lock_shards",
        "SELECT shard_id FROM shard_rev WHERE shard_id = ANY ($1::bigint[]) ORDER BY shard_id FOR NO KEY UPDATE")
    /// Inserts those whose name is free, in order of name for the same reason, and moves the counters of their shards.
    /// The answer names the inserted ones. An unknown shard gives NULL for a revision, which is refused.
    ///
    /// Timers of a request with a key are inserted only when the key is new, or free again; the answer names such keys
    /// too. A key may be given once only, and is of the namespace of its timers.
    let insert: PostgresStatement

    let find = PostgresStatement(
        "timer_find",
        "SELECT \(Self.columns) FROM timer AS t WHERE t.namespace = $1::text AND t.name = $2::text")
    /// With the digest, as the last column.
    let findMany = PostgresStatement(
        "timer_find_many",
        """
        SELECT \(Self.columns), t.digest FROM unnest($1::text[], $2::text[]) AS n(namespace, name)
        JOIN timer AS t ON t.namespace = n.namespace AND t.name = n.name
        """)
    /// Fails, by a division by zero, unless all of these are there with this content; the transaction fails with it.
    let insistAll = PostgresStatement(
        "timer_insist_all",
        """
        SELECT 1 / (count(t.uid) = count(*))::int FROM unnest($1::text[], $2::text[], $3::bytea[])
        AS n(namespace, name, digest)
        LEFT JOIN timer AS t ON t.namespace = n.namespace AND t.name = n.name AND t.digest = n.digest
        """)
    let list = PostgresStatement(
        "timer_list",
        """
        SELECT \(Self.columns) FROM timer AS t LEFT JOIN shard_ckpt AS c ON c.shard_id = t.shard_id
        WHERE t.namespace = $1::text AND t.ended_rev IS NULL AND (t.due_ms, t.uid) > ($2::bigint, $3::uuid)
        AND (c.settled_through_ms IS NULL OR t.due_ms > c.settled_through_ms
            OR t.created_at_ms > c.settled_through_ms)
        ORDER BY t.due_ms, t.uid LIMIT $4::bigint
        """)
    /// Timers of namespace `$1` that were not cancelled, due in `$2..<$3`, after (`$4`, `$5`).
    let due = PostgresStatement(
        "timer_due",
        """
        SELECT \(Self.columns) FROM timer AS t
        WHERE t.namespace = $1::text AND t.ended_rev IS NULL AND t.due_ms >= $2::bigint AND t.due_ms < $3::bigint
        AND (t.due_ms, t.uid) > ($4::bigint, $5::uuid)
        ORDER BY t.due_ms, t.uid LIMIT $6::bigint
        """)
    let cancel: PostgresStatement

    /// Timers of shard `$1` made up to revision `$2`, and not cancelled up to revision `$3`, that a cursor whose
    /// watermark is (`$4`, `$5`) leaves to be fired: due after it and up to `$6`. At most `$7` rows and about `$8`
    /// bytes, at least one row.
    let pageAhead = Self.page("ahead", "(due_ms, uid) > ($4::bigint, $5::uuid) AND due_ms <= $6::bigint")
    /// The same for timers that were made after revision `$3` and were due by then: after (`$9`, `$10`).
    let pageLate = Self.page(
        "late",
        """
        rev > $3::bigint AND (due_ms, uid) <= ($4::bigint, $5::uuid) AND due_ms <= $6::bigint
        AND (due_ms, uid) > ($9::bigint, $10::uuid)
        """)
    /// Timers of shard `$1` that changed after revision `$2` and up to `$3`.
    let changed = PostgresStatement(
        "timer_changed",
        """
        SELECT \(Self.columns) FROM timer AS t
        WHERE t.shard_id = $1::bigint AND ((t.rev > $2::bigint AND t.rev <= $3::bigint)
        OR (t.rev <= $2::bigint AND t.ended_rev > $2::bigint AND t.ended_rev <= $3::bigint))
        ORDER BY CASE WHEN t.rev > $2::bigint THEN t.rev ELSE t.ended_rev END, t.uid
        """)
    let upcoming = PostgresStatement(
        "timer_upcoming",
        """
        SELECT \(Self.columns) FROM timer AS t
        WHERE t.shard_id = $1::bigint AND t.ended_rev IS NULL AND (t.due_ms, t.uid) > ($2::bigint, $3::uuid)
        AND t.due_ms <= $4::bigint ORDER BY t.due_ms, t.uid LIMIT $5::bigint
        """)
    /// Timers that were due, and made, `$1` ms before their shard's checkpoint, at most `$2`.
    let removeFired = Self.remove("fired", "due_ms <= c.cutoff AND created_at_ms <= c.cutoff")
    /// Timers that were cancelled by then.
    let removeCancelled = Self.remove("cancelled", "ended_rev IS NOT NULL AND ended_at_ms <= c.cutoff")

    init(usesTimeline: Bool) {
        let next = SQL.next("r.rev", usesTimeline: usesTimeline)
        self.insert = PostgresStatement(
            "timer_insert",
            """
            WITH k AS (
                INSERT INTO idempotency_key AS i (namespace, key, digest, at_ms, answer)
                SELECT * FROM unnest($13::text[], $14::text[], $15::bytea[], $16::bigint[], $17::bytea[])
                    AS q(namespace, key, digest, at_ms, answer)
                ORDER BY q.namespace COLLATE "C", q.key COLLATE "C"
                ON CONFLICT (namespace, key) DO UPDATE
                SET digest = excluded.digest, at_ms = excluded.at_ms, answer = excluded.answer
                WHERE i.at_ms <= excluded.at_ms - $18::bigint RETURNING i.namespace, i.key),
            made AS (
                INSERT INTO timer (shard_id, uid, namespace, name, rev, due_ms, expire_after_ms, template, document,
                    digest, created_at_ms, created_by)
                SELECT n.shard_id, n.uid, n.namespace, n.name, CASE WHEN r.rev IS NOT NULL THEN \(next) END, n.due_ms, n.expire_after_ms, n.template,
                    n.document, n.digest, n.created_at_ms, n.created_by
                FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                    $7::bytea[], $8::bytea[], $9::bytea[], $10::bigint[], $11::text[], $12::text[])
                    WITH ORDINALITY AS n(shard_id, uid, namespace, name, due_ms, expire_after_ms, template, document,
                    digest, created_at_ms, created_by, key, position)
                LEFT JOIN shard_rev AS r ON r.shard_id = n.shard_id
                WHERE n.key IS NULL OR (n.namespace, n.key) IN (SELECT k.namespace, k.key FROM k)
                ORDER BY n.namespace COLLATE "C", n.name COLLATE "C", n.position
                ON CONFLICT (namespace, name) DO NOTHING RETURNING uid, shard_id, rev),
            moved AS (UPDATE shard_rev AS r SET rev = m.rev
                FROM (SELECT DISTINCT shard_id, rev FROM made) AS m WHERE r.shard_id = m.shard_id)
            SELECT uid, rev, NULL, NULL FROM made UNION ALL SELECT NULL, NULL, namespace, key FROM k
            """)
        // The columns come from the locked row, which is the latest; a plain read of the table would give the one
        // that was current when the statement began to wait.
        self.cancel = PostgresStatement(
            "timer_cancel",
            """
            WITH t AS (SELECT * FROM timer WHERE namespace = $1::text AND name = $2::text FOR UPDATE),
            r AS (UPDATE shard_rev AS r SET rev = \(next) FROM t
                WHERE r.shard_id = t.shard_id AND t.ended_rev IS NULL RETURNING r.rev),
            u AS (UPDATE timer AS u SET ended_rev = r.rev, ended_at_ms = $3::bigint FROM t, r
                WHERE u.shard_id = t.shard_id AND u.due_ms = t.due_ms AND u.uid = t.uid),
            a AS (\(AuditStatements.insert) SELECT $3::bigint, t.namespace, 'timer', t.name, 'cancel', 0, $4::text,
                $5::text, $6::text, t.document, NULL FROM t, r)
            SELECT t.uid, t.shard_id, t.namespace, t.name, t.rev, t.due_ms, COALESCE((SELECT rev FROM r), t.ended_rev),
            t.expire_after_ms, t.template, t.document, t.created_at_ms, t.created_by FROM t
            """)
    }

    private static func page(_ name: String, _ condition: String) -> PostgresStatement {
        PostgresStatement(
            "timer_page_\(name)",
            """
            SELECT \(Self.columns) FROM (
                SELECT *, sum(octet_length(template) + octet_length(document))
                    OVER (ORDER BY due_ms, uid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                FROM timer WHERE shard_id = $1::bigint AND rev <= $2::bigint
                AND NOT COALESCE(ended_rev <= $3::bigint, false) AND \(condition)
                ORDER BY due_ms, uid LIMIT $7::bigint) AS t
            WHERE COALESCE(t.bytes_before, 0) < $8::bigint ORDER BY t.due_ms, t.uid
            """)
    }

    private static func remove(_ name: String, _ condition: String) -> PostgresStatement {
        PostgresStatement(
            "timer_remove_\(name)",
            """
            DELETE FROM timer AS t USING (
                SELECT d.* FROM (SELECT shard_id, \(SQL.settledBefore) AS cutoff FROM shard_ckpt
                    WHERE \(SQL.isFenced(by: "$3"))) AS c
                CROSS JOIN LATERAL (
                    SELECT shard_id, due_ms, uid FROM timer WHERE shard_id = c.shard_id AND \(condition)
                    LIMIT $2::bigint FOR UPDATE SKIP LOCKED) AS d
                LIMIT $2::bigint) AS d
            WHERE t.shard_id = d.shard_id AND t.due_ms = d.due_ms AND t.uid = d.uid
            """)
    }
}
