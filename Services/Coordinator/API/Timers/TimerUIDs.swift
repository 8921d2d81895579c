import EscapementModel

/// The ids of the timers that one request makes, each with its shard: all shards in turn, so that timers of one batch,
/// often due together, are fired by all tickers.
struct TimerUIDs {
    private let repetition: Repetition?
    private let shardCount: Int
    private var generator = SystemRandomNumberGenerator()
    private var index = 0
    private let firstShard: Int

    /// - Parameter repetition: the ids are drawn from its key, so that a repetition makes the same timers.
    init(_ repetition: Repetition?, shardCount: Int) {
        self.repetition = repetition
        self.shardCount = shardCount
        var generator = SystemRandomNumberGenerator()
        let draw = repetition.map { $0.uid(-1).low } ?? generator.next()
        self.firstShard = Int(draw % UInt64(shardCount))
    }

    mutating func next(_ priority: Priority = .normal) -> UID {
        let shard = ShardID(UInt16((self.firstShard + self.index) % self.shardCount))
        let drawn = self.repetition?.uid(self.index) ?? UID.random(using: &self.generator)
        self.index += 1
        return ShardPlacement.timerUID(shard: shard, priority: priority, drawn: drawn)
    }
}
