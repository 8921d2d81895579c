import EscapementModel
import Store

/// The rows of timers, found by name and by shard: what one shard's ticker asks costs nothing for the others.
struct TimerTable: Sendable {
    private var shardOf: [InMemoryContents.Name: ShardID] = [:]
    private var rows: [ShardID: [InMemoryContents.Name: InMemoryContents.TimerRow]] = [:]

    subscript(name: InMemoryContents.Name) -> InMemoryContents.TimerRow? {
        get { self.shardOf[name].flatMap { self.rows[$0]?[name] } }
        set {
            guard let row = newValue ?? self[name] else { return }
            self.shardOf[name] = newValue == nil ? nil : row.timer.shard
            self.rows[row.timer.shard, default: [:]][name] = newValue
        }
    }

    /// All rows, in no order.
    var all: [InMemoryContents.TimerRow] { self.rows.values.flatMap(\.values) }

    /// The timers of one shard, or of all, for which `isWanted` holds; in no order.
    func timers(of shard: ShardID?, where isWanted: (StoredTimer) -> Bool) -> [StoredTimer] {
        var found: [StoredTimer] = []
        for (key, rows) in self.rows where shard == nil || key == shard {
            for row in rows.values where isWanted(row.timer) { found.append(row.timer) }
        }
        return found
    }
}
