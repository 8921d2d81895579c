import DispatcherDomain
import EscapementModel
import Logging
import MemberLink
import Observability
import Synchronization
import WireProtocol

/// The lanes that the leader gives this process: how each begins, is lost and taken over again, and ends.
extension Dispatcher {
    func perform(_ actions: [LaneHoldings.Action]) {
        for action in actions {
            switch action {
            case .start(let id, let epoch):
                let checkpoint = self.state.withLock { $0.marks[id] }
                let lane = self.makeLane(id, epoch, checkpoint)
                let former = self.state.withLock { state in
                    state.troubles[id] = nil
                    return state.running.updateValue(lane, forKey: id)
                }
                former?.stop()
                self.enqueue.yield(.run(lane))
            case .stop(let id, let epoch):
                let lane = self.state.withLock { $0.running[id] }
                if let lane, lane.epoch == epoch { lane.stop() } else { self.release(id, epoch) }
            case .reportReleased(let id, let epoch):
                self.release(id, epoch)
            }
        }
    }

    private func makeLane(_ id: LaneID, _ epoch: Epoch, _ checkpoint: LaneMark?) -> LaneShell {
        LaneShell(
            id: id, epoch: epoch, checkpoint: checkpoint, limits: self.limits, environment: self.parts.lanes,
            reply: { [server] in server.reply($0) },
            settled: { [weak self] in self?.settled($0, by: id) },
            troubled: { [weak self] in self?.troubled(id, epoch, $0) })
    }

    /// Runs a lane until it is let go, or another process owns it. One that is lost for another reason is taken over again
    /// under its epoch: neither the leader nor its database is needed for that.
    func run(_ first: LaneShell) async {
        let clocks = self.parts.lanes.clocks
        var random = SplitMix64(
            seed: self.parts.lanes.seed ^ first.epoch.rawValue << 24 ^ UInt64(first.id.rawValue))
        var backoff = Backoff(first: Self.retakePauseMin, max: Self.retakePauseMax)
        var lane = first
        while true {
            let started = clocks.monotonicNow()
            guard case .lost = await self.runOnce(lane) else { break }
            if clocks.monotonicNow().duration(since: started) >= Self.retakeCalmAfter {
                backoff = Backoff(first: Self.retakePauseMin, max: Self.retakePauseMax)
            }
            var retaken: LaneShell?
            do {
                while retaken == nil, self.state.withLock({ $0.holdings.holds(lane.id, epoch: lane.epoch) }) {
                    try await clocks.sleep(for: Self.retakePauseMin + backoff.next(using: &random))
                    retaken = await self.retaken(lane)
                }
            } catch {}
            guard let retaken else { break }
            lane = retaken
        }
        self.state.withLock { state in
            state.holdings.lost(lane.id, epoch: lane.epoch)
            if !state.holdings.holds(lane.id) { state.troubles[lane.id] = nil }
        }
        self.board.changed()
        self.release(lane.id, lane.epoch)
    }

    /// The lost lane once more, unless the leader has taken it away or the journal names a higher epoch. `nil` also while
    /// the journal cannot be read: a takeover would fence whoever owns the lane by right, and could not tell.
    private func retaken(_ lane: LaneShell) async -> LaneShell? {
        guard self.state.withLock({ $0.holdings.holds(lane.id, epoch: lane.epoch) }) else { return nil }
        do throws(JournalError) {
            let journal = self.parts.lanes.journal
            var start = JournalStart.last(LaneTakeover.firstStepCount)
            while true {
                let stretch = try await journal.scan(lane.id, from: start, max: Int(LaneTakeover.firstStepCount))
                let highest = stretch.records.compactMap(\.record?.laneEpoch).max()
                if let highest, highest > lane.epoch {
                    self.state.withLock { state in
                        state.saw(highest, of: lane.id)
                        state.holdings.lost(lane.id, epoch: lane.epoch)
                    }
                    return nil
                }
                if stretch.isEnd { break }
                start = .offset(stretch.next)
            }
        } catch {
            self.troubled(lane.id, lane.epoch, .failed)
            return nil
        }
        return self.state.withLock { state in
            guard state.holdings.holds(lane.id, epoch: lane.epoch) else { return nil }
            let next = self.makeLane(lane.id, lane.epoch, state.marks[lane.id])
            state.running[lane.id] = next
            return next
        }
    }

    private func runOnce(_ lane: LaneShell) async -> LaneShell.Ending {
        self.server.add(lane)
        self.followJournal()
        self.parts.lanes.metrics.lanesOwned.add(1)
        let ending = await lane.run()
        self.reportProgress(of: lane)
        self.parts.lanes.metrics.lanesOwned.add(-1)
        self.server.remove(lane)
        self.state.withLock { state in
            if state.running[lane.id] === lane { state.running[lane.id] = nil }
            if case .superseded(let epoch) = ending { state.saw(epoch, of: lane.id) }
        }
        self.followJournal()
        self.board.changed()
        let metadata: Logger.Metadata = [
            LogKey.lane: .number(lane.id.rawValue), LogKey.epoch: .number(lane.epoch.rawValue),
        ]
        switch ending {
        case .released:
            self.parts.logger.info("lane released", event: "lane_released", metadata)
        case .lost(let why):
            self.parts.logger.warning(
                "lane lost", event: "lane_lost",
                metadata.merging([LogKey.reason: .string(why)]) { _, new in new })
            self.troubled(lane.id, lane.epoch, .failed)
        case .superseded(let epoch):
            self.parts.logger.warning(
                "lane lost", event: "lane_lost",
                metadata.merging([LogKey.reason: .string("lane epoch \(epoch) is in the journal")]) { _, new in new })
        }
        return ending
    }

    private func release(_ lane: LaneID, _ epoch: Epoch) {
        let seen = self.state.withLock { $0.seenEpochs[lane] ?? .none }
        self.session.session?.send(
            LaneReleased(
                leaderEpoch: self.session.session?.highestLeaderEpoch ?? .none, lane: lane, epoch: epoch,
                seenEpoch: seen > epoch ? seen : .none))
    }

    /// The recorder records what is published here.
    private func followJournal() {
        self.recorder.follow { Set(self.state.withLock { $0.running.keys }) }
    }

    /// The journal names a lane epoch; a lower one of ours is lost.
    func sawLaneEpoch(_ lane: LaneID, _ epoch: Epoch) {
        let stale = self.state.withLock { state -> LaneShell? in
            guard let running = state.running[lane], running.epoch < epoch else { return nil }
            state.saw(epoch, of: lane)
            return running
        }
        stale?.stop()
    }

    private func troubled(_ lane: LaneID, _ epoch: Epoch, _ trouble: LaneTrouble) {
        let now = self.parts.lanes.clocks.monotonicNow()
        self.state.withLock { state in
            guard state.holdings.holds(lane, epoch: epoch) else { return }
            state.troubles[lane, default: LaneTroubles()].add(trouble, now: now)
        }
    }

    private func settled(_ settlement: Settlement, by lane: LaneID) {
        self.recent.add(settlement)
        let second = self.parts.lanes.clocks.wallNow().milliseconds / 1000
        let fires = UInt32(
            clamping: settlement.fires.count { if case .dispatched = $0.outcome { true } else { false } })
        self.state.withLock { state in
            state.troubles[lane]?.published()
            if state.firesInSecond.second != second {
                let last = state.firesInSecond.second == second - 1 ? state.firesInSecond.count : 0
                state.firesInSecond = (second, 0, last)
            }
            state.firesInSecond.count &+= fires
        }
    }

    func reportProgress(of lane: LaneShell) {
        guard let mark = lane.mark else { return }
        self.state.withLock { $0.marks[lane.id] = LaneMark.later($0.marks[lane.id], mark) }
        self.session.session?.send(
            LaneProgress(
                lane: lane.id, epoch: lane.epoch, sequence: mark.sequence,
                state: mark.encoded(lane: lane.id, dispatcher: self.parts.lanes.rules.dispatcher)))
    }
}
