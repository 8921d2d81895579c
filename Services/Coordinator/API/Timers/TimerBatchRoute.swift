import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import Store

extension APIServer {
    /// Reads, checks and stores a batch; durable when it is answered.
    func createTimers(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let isAtomic = query.word("mode", ["partial", "atomic"]) == "atomic"
        let listsAll = query.word("results", ["all", "exceptions"]) == "all"
        let isDryRun = query.flag("dryRun")
        try query.finish()
        try call.requireMediaType([
            "application/x-ndjson", "application/ndjson", "application/jsonl", "application/json",
        ])
        let bytes = try await call.bytes(byteCountMax: self.settings.batchByteCountMax)
        let reading = self.reading(call)
        var batch =
            call.mediaType == "application/json"
            ? try TimerBatch.read(document: try call.parse(bytes), reading)
            : try TimerBatch.read(ndjson: bytes, call: call, reading)
        var generator = SystemRandomNumberGenerator()
        let id = "b_\(UID.random(using: &generator).hex.prefix(16))"
        if isAtomic, batch.hasRejected {
            return Answer.json(batch.answer(id: id, listsAll: listsAll), status: .unprocessableContent)
        }
        var new: [NewTimer] = []
        var places: [Int] = []
        // All shards in turn, so that timers of one batch, often due together, are fired by all tickers.
        var shard = UInt16.random(in: 0..<UInt16(self.settings.shardCount), using: &generator)
        for (index, line) in batch.lines.enumerated() {
            guard let draft = line.draft else { continue }
            new.append(
                draft.timer(
                    uid: ShardPlacement.timerUID(shard: ShardID(shard), using: &generator), namespace: call.namespace,
                    now: reading.now, by: call.caller.identity, traceparent: call.traceparent))
            places.append(index)
            shard = (shard + 1) % UInt16(self.settings.shardCount)
        }
        if isDryRun {
            for (timer, place) in zip(new, places) {
                batch.lines[place].status = .accepted(StoredTimer(preview: timer))
            }
            return Answer.json(batch.answer(id: id, listsAll: listsAll))
        }
        let outcomes = new.isEmpty ? [] : try await self.store.createTimers(new)
        var changed: Set<ShardID> = []
        for (outcome, place) in zip(outcomes, places) {
            switch outcome {
            case .created(let stored):
                changed.insert(stored.shard)
                batch.lines[place].status = .accepted(stored)
            case .duplicate(let stored): batch.lines[place].status = .duplicate(stored)
            case .conflict(let stored): batch.lines[place].status = .conflict(stored)
            }
        }
        for shard in changed.sorted() { self.cluster.changed(shard) }
        return Answer.json(batch.answer(id: id, listsAll: listsAll))
    }
}
