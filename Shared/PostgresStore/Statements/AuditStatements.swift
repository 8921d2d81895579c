import Store

/// The statements on the audit trail and on keys of requests.
struct AuditStatements: Sendable {
    /// Followed by a query of these columns; part of the statement that makes the change.
    static let insert = """
        INSERT INTO audit_trail (at_ms, namespace, object, name, action, generation, by, address, reason, before, after)
        """
    /// The same for a request's key. A key that is there fails the statement, hence the change.
    static let insertKey = "INSERT INTO idempotency_key (namespace, key, digest, at_ms, answer)"

    /// Three of them, because a condition that may be absent keeps an index from being used.
    let list = Self.list("all", "true")
    let listOfNamespace = Self.list("namespace", "namespace = $1::text")
    let listOfName = Self.list("name", "namespace = $1::text AND name = $3::text")

    private static func list(_ name: String, _ condition: String) -> PostgresStatement {
        PostgresStatement(
            "audit_list_\(name)",
            """
            SELECT id, at_ms, namespace, object, name, action, generation, by, address, reason, before, after
            FROM audit_trail WHERE \(condition) AND id < $6::bigint
            AND ($1::text IS NULL OR namespace = $1::text) AND ($2::text IS NULL OR object = $2::text)
            AND ($3::text IS NULL OR name = $3::text) AND ($4::bigint IS NULL OR at_ms >= $4::bigint)
            AND ($5::bigint IS NULL OR at_ms < $5::bigint) ORDER BY id DESC LIMIT $7::bigint
            """)
    }

    let record = PostgresStatement(
        "audit_record",
        """
        \(Self.insert) VALUES ($1::bigint, $2::text, $3::text, $4::text, $5::text, $6::bigint, $7::text, $8::text,
            $9::text, $10::bytea, $11::bytea)
        """)

    /// Frees the key `$2` of namespace `$1` when it is older than `$3`.
    let freeKey = PostgresStatement(
        "key_free",
        "DELETE FROM idempotency_key WHERE namespace = $1::text AND key = $2::text AND at_ms <= $3::bigint")
    let recall = PostgresStatement(
        "key_recall",
        """
        SELECT digest, at_ms, answer FROM idempotency_key
        WHERE namespace = $1::text AND key = $2::text AND at_ms > $3::bigint
        """)
    let remember = PostgresStatement(
        "key_remember",
        """
        UPDATE idempotency_key SET answer = $4::bytea
        WHERE namespace = $1::text AND key = $2::text AND digest = $3::bytea AND answer IS NULL
        """)

    // What is older than it is to be kept (`$1` ms), at most `$2` rows, by the leader under epoch `$3`.

    let removeKeys = Self.remove("idempotency_key", older: "at_ms <= \(Self.now) - $1::bigint")
    let removeLines = Self.remove("audit_trail", older: "at_ms <= \(Self.now) - $1::bigint")
    let removeAssignments = Self.remove(
        "assignment_history", older: "at <= now() - $1::bigint * interval '1 millisecond'")

    private static let now = "(extract(epoch FROM now()) * 1000)::bigint"

    private static func remove(_ table: String, older: String) -> PostgresStatement {
        PostgresStatement(
            "remove_\(table)",
            """
            DELETE FROM \(table) WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM \(table) WHERE \(older)
                AND \(SQL.isFenced(by: "$3")) LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
            """)
    }
}
