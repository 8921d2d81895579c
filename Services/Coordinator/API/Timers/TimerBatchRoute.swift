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
        let reading = try await self.reading(call)
        let repetition = try Repetition(call, body: bytes, now: reading.now)
        // Reading ten thousand lines is most of the work; a repetition is spared it.
        if let answer = try await self.earlierAnswer(repetition) { return answer }
        var batch =
            call.mediaType == "application/json"
            ? try TimerBatch.read(document: try call.parse(bytes), reading)
            : try TimerBatch.read(ndjson: bytes, call: call, reading)
        var uids = TimerUIDs(repetition, shardCount: self.settings.shardCount)
        let id = "b_\(uids.next().hex.suffix(16))"
        if isAtomic, batch.hasRejected {
            return Answer.json(batch.answer(id: id, listsAll: listsAll), status: .unprocessableContent)
        }
        var new: [NewTimer] = []
        var places: [Int] = []
        var byteCount = 0
        for (index, line) in batch.lines.enumerated() {
            guard let draft = line.draft else { continue }
            let timer = draft.timer(
                uid: uids.next(draft.priority), namespace: call.namespace, now: reading.now,
                by: call.caller.identity, traceparent: call.traceparent)
            byteCount += timer.byteCount
            guard byteCount <= self.settings.timerBytesMax else {
                throw Problem.tooLarge(
                    "what is stored of the timers of the batch, with their defaults,",
                    limit: self.settings.timerBytesMax, remedy: "send several batches")
            }
            new.append(timer)
            places.append(index)
        }
        if isDryRun {
            for (timer, place) in zip(new, places) {
                batch.lines[place].status = .accepted(StoredTimer(preview: timer))
            }
            return Answer.json(batch.answer(id: id, listsAll: listsAll))
        }
        if new.isEmpty { return Answer.json(batch.answer(id: id, listsAll: listsAll)) }
        try await self.checkTimerQuota(call.namespace, adding: new.count)
        let (read, timers) = (batch, new)
        return try await self.once(repetition) { key in
            guard
                case .outcome(let outcomes) = try await self.store.createTimers(timers, key: key, isAtomic: isAtomic)
            else { return .repeated }
            var settled = read
            var changed: Set<ShardID> = []
            for (outcome, place) in zip(outcomes, places) {
                switch outcome {
                case .created(let stored):
                    changed.insert(stored.shard)
                    settled.lines[place].status = .accepted(stored)
                case .duplicate(let stored): settled.lines[place].status = .duplicate(stored)
                case .conflict(let stored): settled.lines[place].status = .conflict(stored)
                case .withheld: settled.lines[place].status = .notStored
                }
            }
            for shard in changed.sorted() { self.cluster.changed(shard) }
            let status = isAtomic && settled.hasConflicts ? 409 : 200
            return .answered(WriteAnswer(status, settled.answer(id: id, listsAll: listsAll)))
        }
    }
}
