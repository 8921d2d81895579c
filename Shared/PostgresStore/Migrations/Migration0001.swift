extension Migration {
    /// Everything the first release needs. docs/database.md says what each table is for and when it is written.
    static let initialTables = Migration(
        version: 1, name: "initial tables",
        statements: [
            """
            CREATE TABLE cluster_setting (
                single boolean PRIMARY KEY DEFAULT true CHECK (single),
                cluster text NOT NULL CHECK (cluster <> ''),
                shard_count integer NOT NULL CHECK (shard_count BETWEEN 1 AND 65535),
                lane_count integer NOT NULL CHECK (lane_count BETWEEN 1 AND 65535),
                established_at timestamptz NOT NULL DEFAULT now(),
                CHECK (lane_count <= shard_count))
            """,
            // Updated every second: room in the page lets an update stay in it.
            """
            CREATE TABLE leader (
                name text PRIMARY KEY,
                epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
                beat bigint NOT NULL DEFAULT 0 CHECK (beat >= 0),
                holder uuid,
                node text,
                address text,
                CHECK (holder IS NOT NULL OR (node IS NULL AND address IS NULL))) WITH (fillfactor = 50)
            """,
            "INSERT INTO leader (name) VALUES ('coordinator')",
            """
            CREATE TABLE shard (
                shard_id integer PRIMARY KEY CHECK (shard_id BETWEEN 0 AND 65534),
                epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
                owner text,
                incarnation uuid) WITH (fillfactor = 50)
            """,
            """
            CREATE TABLE lane (
                lane_id integer PRIMARY KEY CHECK (lane_id BETWEEN 0 AND 65534),
                epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
                owner text,
                incarnation uuid) WITH (fillfactor = 50)
            """,
            """
            CREATE TABLE assignment_history (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                at timestamptz NOT NULL DEFAULT clock_timestamp(),
                kind text NOT NULL CHECK (kind IN ('shard', 'lane')),
                number integer NOT NULL,
                epoch bigint NOT NULL,
                owner text,
                incarnation uuid,
                reason text NOT NULL,
                leader_epoch bigint NOT NULL)
            """,
            "CREATE INDEX assignment_history_at ON assignment_history (at)",
            "CREATE INDEX assignment_history_number ON assignment_history (kind, number, id)",
            // One row a shard, updated by every change to it: the row lock puts the changes of a shard in order.
            """
            CREATE TABLE shard_rev (
                shard_id integer PRIMARY KEY CHECK (shard_id BETWEEN 0 AND 65534),
                rev bigint NOT NULL DEFAULT 0 CHECK (rev >= 0)) WITH (fillfactor = 20)
            """,
            """
            CREATE TABLE shard_ckpt (
                shard_id integer PRIMARY KEY REFERENCES shard,
                settled_through_ms bigint NOT NULL,
                written_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 50)
            """,
            """
            CREATE TABLE schedule (
                uid uuid NOT NULL,
                shard_id integer NOT NULL CHECK (shard_id BETWEEN 0 AND 65534),
                namespace text COLLATE "C" NOT NULL CHECK (length(namespace) BETWEEN 1 AND 256),
                name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 512),
                generation bigint NOT NULL CHECK (generation >= 1),
                created_at_ms bigint NOT NULL,
                created_by text NOT NULL,
                ended_at_ms bigint,
                PRIMARY KEY (shard_id, uid))
            """,
            "CREATE UNIQUE INDEX schedule_live_name ON schedule (namespace, name) WHERE ended_at_ms IS NULL",
            "CREATE INDEX schedule_ended ON schedule (ended_at_ms) WHERE ended_at_ms IS NOT NULL",
            """
            CREATE TABLE schedule_version (
                shard_id integer NOT NULL,
                uid uuid NOT NULL,
                generation bigint NOT NULL CHECK (generation >= 1),
                created_rev bigint NOT NULL CHECK (created_rev > 0),
                replaces boolean NOT NULL,
                from_ms bigint NOT NULL,
                ended_rev bigint CHECK (ended_rev >= created_rev),
                until_ms bigint CHECK (until_ms >= from_ms),
                updated_at_ms bigint NOT NULL,
                updated_by text NOT NULL,
                change_reason text,
                pause_scope smallint CHECK (pause_scope BETWEEN 1 AND 2),
                pause_since_ms bigint,
                pause_until_ms bigint,
                pause_reason text,
                tags text[] COLLATE "C" NOT NULL,
                kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 255),
                when_document bytea NOT NULL,
                misfire_policy smallint NOT NULL CHECK (misfire_policy BETWEEN 0 AND 255),
                misfire_tolerance_ms bigint NOT NULL CHECK (misfire_tolerance_ms >= 0),
                misfire_window_ms bigint NOT NULL CHECK (misfire_window_ms >= 0),
                misfire_limit bigint NOT NULL CHECK (misfire_limit BETWEEN 0 AND 4294967295),
                template bytea NOT NULL,
                document bytea NOT NULL,
                PRIMARY KEY (shard_id, uid, generation),
                FOREIGN KEY (shard_id, uid) REFERENCES schedule,
                CHECK ((ended_rev IS NULL) = (until_ms IS NULL)),
                CHECK ((pause_scope IS NULL) = (pause_since_ms IS NULL)))
            """,
            "CREATE INDEX schedule_version_created ON schedule_version (shard_id, created_rev)",
            """
            CREATE INDEX schedule_version_ended ON schedule_version (shard_id, ended_rev)
            WHERE ended_rev IS NOT NULL
            """,
            "CREATE INDEX schedule_version_until ON schedule_version (shard_id, until_ms) WHERE until_ms IS NOT NULL",
            "CREATE INDEX schedule_version_tags ON schedule_version USING gin (tags)",
            """
            CREATE TABLE namespace (
                name text COLLATE "C" PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 256),
                generation bigint NOT NULL CHECK (generation >= 1),
                schedules_max bigint CHECK (schedules_max >= 0),
                pending_timers_max bigint CHECK (pending_timers_max >= 0),
                creations_per_second_max bigint CHECK (creations_per_second_max >= 0),
                payload_bytes_max bigint CHECK (payload_bytes_max >= 0),
                interval_min_ms bigint CHECK (interval_min_ms >= 0),
                pause_since_ms bigint,
                pause_until_ms bigint,
                pause_reason text,
                updated_at_ms bigint NOT NULL,
                updated_by text NOT NULL)
            """,
            """
            CREATE TABLE audit_trail (
                id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                at_ms bigint NOT NULL,
                namespace text COLLATE "C" NOT NULL,
                object text NOT NULL,
                name text COLLATE "C" NOT NULL,
                action text NOT NULL,
                generation bigint NOT NULL,
                by text NOT NULL,
                address text,
                reason text,
                before bytea,
                after bytea)
            """,
            "CREATE INDEX audit_trail_name ON audit_trail (namespace, name, id)",
            "CREATE INDEX audit_trail_namespace ON audit_trail (namespace, id)",
            "CREATE INDEX audit_trail_at ON audit_trail (at_ms)",
            """
            CREATE TABLE idempotency_key (
                namespace text COLLATE "C" NOT NULL,
                key text COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
                digest bytea NOT NULL CHECK (octet_length(digest) <= 64),
                at_ms bigint NOT NULL,
                answer bytea,
                PRIMARY KEY (namespace, key))
            """,
            "CREATE INDEX idempotency_key_at ON idempotency_key (at_ms)",
            // Never updated when a timer fires: that it has fired follows from its shard's cursor.
            """
            CREATE TABLE timer (
                uid uuid NOT NULL,
                due_ms bigint NOT NULL,
                rev bigint NOT NULL CHECK (rev > 0),
                ended_rev bigint CHECK (ended_rev > rev),
                ended_at_ms bigint,
                expire_after_ms bigint NOT NULL CHECK (expire_after_ms >= 0),
                created_at_ms bigint NOT NULL,
                shard_id integer NOT NULL CHECK (shard_id BETWEEN 0 AND 65534),
                namespace text COLLATE "C" NOT NULL CHECK (length(namespace) BETWEEN 1 AND 256),
                name text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 512),
                digest bytea NOT NULL CHECK (octet_length(digest) <= 64),
                created_by text NOT NULL,
                template bytea NOT NULL,
                document bytea NOT NULL,
                PRIMARY KEY (shard_id, due_ms, uid),
                CHECK ((ended_rev IS NULL) = (ended_at_ms IS NULL)))
            WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
                autovacuum_analyze_scale_factor = 0.02)
            """,
            "CREATE UNIQUE INDEX timer_name ON timer (namespace, name)",
            "CREATE INDEX timer_due ON timer (namespace, due_ms, uid) WHERE ended_rev IS NULL",
            "CREATE INDEX timer_rev ON timer (shard_id, rev)",
            "CREATE INDEX timer_ended ON timer (shard_id, ended_rev) WHERE ended_rev IS NOT NULL",
        ])
}
