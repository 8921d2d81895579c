package import EscapementModel

// When there is something to do, and doing it.
extension TickerCore {
    /// Fires of herds in one turn, at most: a batch more. What comes in waits for no longer.
    package static var firesPerTurnMax: Int { 16_384 }
    /// A shard with more than this due waits its turn.
    private static var crowdMin: Int { 128 }

    /// When `tick` has something to do at the latest; `nil` when only news can change anything.
    package var nextWake: WallInstant? {
        var earliest: WallInstant?
        for ahead in self.prepared.values { earliest = earliest.map { min($0, ahead.until) } ?? ahead.until }
        for holding in self.inOrder {
            guard let wake = self.wake(of: holding) else { continue }
            if let known = earliest, known <= wake { continue }
            earliest = wake
        }
        return earliest
    }

    /// When the shard has something to do.
    private func wake(of holding: Holding) -> WallInstant? {
        if holding.isWakeStale {
            let due = min(
                holding.firing.nextWake ?? .distantFuture, holding.reopenAt ?? .distantFuture,
                self.horizonDue(holding) ?? .distantFuture)
            holding.wake = due == .distantFuture ? nil : due
            holding.isWakeStale = false
        }
        return holding.wake
    }

    /// Moves time to `now`, which may lie before an earlier `now`: then time stands still. Calls `act` for
    /// each action in order, so that a batch leaves before the next one is made.
    ///
    /// A turn is bounded: when more is due than leaves in it, `nextWake` is over at once, and the shell looks at what came
    /// in before it calls again.
    ///
    /// - Parameter hasRoom: asked before each batch whether the way to the lane takes one more. After `false`, the shard
    ///   waits for `roomAgain`, or until it is opened again.
    package mutating func tick(
        now: WallInstant, hasRoom: (LaneID) -> Bool = { _ in true }, _ act: (TickerAction<Payload>) -> Void
    ) {
        self.now = max(self.now, now)
        if !self.prepared.isEmpty { self.prepared = self.prepared.filter { $0.value.until > self.now } }
        for action in self.judgeMemoryInTime() { act(action) }
        // Most ticks find most shards with nothing due: they are passed over here.
        var pending: [Holding] = []
        swap(&pending, &self.pending)
        for holding in self.inOrder {
            guard let wake = self.wake(of: holding), wake <= self.now else { continue }
            pending.append(holding)
            if let reopenAt = holding.reopenAt, reopenAt <= self.now {
                holding.reopenAt = nil
                for action in self.advance(holding.firing.shard) { act(action) }
            }
            if let due = self.horizonDue(holding), due <= self.now {
                let loaded = Watermark(through: holding.firing.horizon)
                let through = self.now.advanced(
                    by: self.isHoldingBack ? self.configuration.horizonMin : self.configuration.horizon)
                holding.firing.horizonRequested(through: through)
                act(.requestHorizon(holding.firing.shard, holding.firing.epoch, after: loaded, through: through))
            }
        }
        self.fire(&pending, hasRoom, act)
        pending.removeAll(keepingCapacity: true)
        swap(&pending, &self.pending)
    }

    /// First a batch of each shard that found its way full, then of each that has little due, then those of the others in
    /// turn, so that a herd delays nobody but its own shards, and no shard waits for all the batches of another one.
    private mutating func fire(
        _ pending: inout [Holding], _ hasRoom: (LaneID) -> Bool, _ act: (TickerAction<Payload>) -> Void
    ) {
        var left = Self.firesPerTurnMax
        if self.isBehind {
            pending.sort { ($0.lastBatch, $0.firing.shard) < ($1.lastBatch, $1.firing.shard) }
            for holding in pending where holding.foundNoRoom && left > 0 {
                left -= self.fireBatch(of: holding, hasRoom, act)
            }
        }
        var crowded = 0
        for index in pending.indices {
            let holding = pending[index]
            if holding.firing.due(now: self.now) > Self.crowdMin {
                pending[crowded] = holding
                crowded += 1
            } else {
                _ = self.fireBatch(of: holding, hasRoom, act)
            }
        }
        pending.removeSubrange(crowded...)
        var index = 0
        while !pending.isEmpty, left > 0 {
            if index >= pending.count { index = 0 }
            let count = self.fireBatch(of: pending[index], hasRoom, act)
            if count == 0 {
                pending.remove(at: index)
            } else {
                left -= count
                index += 1
            }
        }
        self.isBehind = !pending.isEmpty
    }

    /// How many fires left.
    private mutating func fireBatch(
        of holding: Holding, _ hasRoom: (LaneID) -> Bool, _ act: (TickerAction<Payload>) -> Void
    ) -> Int {
        guard holding.firing.due(now: self.now) > 0 else { return 0 }
        let lane = self.lane(of: holding.firing.shard)
        holding.foundNoRoom = !hasRoom(lane)
        if holding.foundNoRoom {
            holding.firing.awaitsRoom = true
            return 0
        }
        guard let batch = holding.firing.plan(now: self.now, in: &self.draft) else { return 0 }
        self.batchCount += 1
        holding.lastBatch = self.batchCount
        act(.fire(lane, batch))
        return batch.occurrences.count
    }

    /// What a horizon waits for has changed, for all shards.
    func forgetWakes() { for holding in self.inOrder { holding.isWakeStale = true } }

    private func horizonDue(_ holding: Holding) -> WallInstant? {
        guard self.isFeedReachable, holding.firing.phase == .active, holding.firing.requestedHorizon == nil else {
            return nil
        }
        let reserve = self.isHoldingBack ? self.configuration.horizonMin / 2 : self.configuration.horizon / 2
        return holding.firing.horizon.advanced(by: .zero - reserve)
    }
}
