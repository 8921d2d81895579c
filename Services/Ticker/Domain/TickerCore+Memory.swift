import EscapementModel

// How many timers a ticker keeps in memory.
//
// Ordinarily all that are due within the horizon. When that is more than the limit, no further page is asked for until
// a quarter of the limit is free again; each shard then looks ahead only as far as it must to be in time. Timers
// that are created within a horizon reached before still come by the changes; when they lead past the limit by an
// eighth, shards give back what is not due soon, the fullest first, one at a time.
extension TickerCore {
    private static var judgeEvery: Duration { .milliseconds(100) }

    mutating func judgeMemoryInTime() -> [TickerAction<Payload>] {
        guard self.now >= self.judgedAt.advanced(by: Self.judgeEvery) else { return [] }
        self.judgedAt = self.now
        let actions = self.judgeMemory()
        if self.timerCount / 9 * 8 > self.configuration.timersMax { self.unloadFullest() }
        return actions
    }

    mutating func judgeMemory() -> [TickerAction<Payload>] {
        let count = self.timerCount
        let limit = self.isHoldingBack ? self.configuration.timersMax / 4 * 3 : self.configuration.timersMax
        guard (count >= limit) != self.isHoldingBack else { return [] }
        self.isHoldingBack.toggle()
        self.forgetWakes()
        return [.note(self.isHoldingBack ? .loadingPaused(timers: count) : .loadingResumed(timers: count))]
    }

    private func unloadFullest() {
        let kept = self.now.advanced(by: self.configuration.horizonMin)
        let unloadable = self.inOrder.filter { $0.firing.horizon > kept && $0.firing.phase == .active }
        unloadable.max { $0.firing.timerCount < $1.firing.timerCount }?.firing.unload(after: kept)
    }

    /// Timers in memory. O(shards).
    package var timerCount: Int {
        var count = 0
        for holding in self.inOrder { count += holding.firing.timerCount }
        return count
    }
}
