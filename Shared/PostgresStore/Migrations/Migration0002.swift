extension Migration {
    /// Where the journals of lanes stood: a lagging copy that tells whether Kafka has lost acknowledged records.
    static let laneCheckpoints = Migration(
        version: 2, name: "lane checkpoints",
        statements: [
            """
            CREATE TABLE lane_ckpt (
                lane_id integer PRIMARY KEY REFERENCES lane,
                epoch bigint NOT NULL CHECK (epoch >= 0),
                sequence bigint NOT NULL CHECK (sequence >= 0),
                state bytea NOT NULL,
                written_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 50)
            """
        ])
}
