import EscapementModel

// How many timers a ticker keeps in memory.
//
// Ordinarily all that are due within the horizon. When that is more than a limit, of their number or of the bytes of
// payloads, no further page is asked for until
// a quarter of the limit is free again; each shard then looks ahead only as far as it must to be in time. Timers
// that are created within a horizon reached before still come by the changes; when they lead past the limit by an
// eighth, shards give back what is not due soon, the fullest first, one at a time.
extension TickerCore {
    private static var judgeEvery: Duration { .milliseconds(100) }

    mutating func judgeMemoryInTime() -> [TickerAction<Payload>] {
        guard self.now >= self.judgedAt.advanced(by: Self.judgeEvery) else { return [] }
        self.judgedAt = self.now
        let actions = self.judgeMemory()
        if self.fill > 9.0 / 8 { self.unloadFullest() }
        return actions
    }

    mutating func judgeMemory() -> [TickerAction<Payload>] {
        guard (self.fill >= (self.isHoldingBack ? 0.75 : 1)) != self.isHoldingBack else { return [] }
        self.isHoldingBack.toggle()
        self.forgetWakes()
        let (count, bytes) = (self.timerCount, self.payloadBytes)
        return [
            .note(
                self.isHoldingBack
                    ? .loadingPaused(timers: count, payloadBytes: bytes)
                    : .loadingResumed(timers: count, payloadBytes: bytes))
        ]
    }

    private func unloadFullest() {
        let kept = self.now.advanced(by: self.configuration.horizonMin)
        let unloadable = self.inOrder.filter { $0.firing.horizon > kept && $0.firing.phase == .active }
        unloadable.max { self.share($0.firing) < self.share($1.firing) }?.firing.unload(after: kept)
    }

    /// What is held, of the limit that is nearer; 1 when it is reached. O(shards).
    private var fill: Double {
        max(
            Double(self.timerCount) / Double(self.configuration.timersMax),
            Double(self.payloadBytes) / Double(self.configuration.payloadBytesMax))
    }

    private func share(_ firing: borrowing ShardFiring<Payload>) -> Double {
        max(
            Double(firing.timerCount) / Double(self.configuration.timersMax),
            Double(firing.payloadBytes) / Double(self.configuration.payloadBytesMax))
    }

    /// Bytes of payloads in memory, of schedules and timers. O(shards).
    package var payloadBytes: Int {
        var bytes = 0
        for holding in self.inOrder { bytes += holding.firing.payloadBytes }
        return bytes
    }

    /// Timers in memory. O(shards).
    package var timerCount: Int {
        var count = 0
        for holding in self.inOrder { count += holding.firing.timerCount }
        return count
    }
}
