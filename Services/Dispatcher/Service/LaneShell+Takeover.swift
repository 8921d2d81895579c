import DispatcherDomain
import EscapementModel
import Logging
import Observability
import Synchronization

/// How a lane begins, and how it looks whether it still is where it left its journal.
extension LaneShell {
    enum Takeover {
        case done(LaneMark)
        /// The journal stands before the checkpoint.
        case behind(String)
        case superseded(by: Epoch)
        case lost(String)
        case stopped
    }

    /// Repeats the takeover until it succeeds: Kafka may be away for long.
    func takeOver(_ producer: any LaneProducer) async -> Takeover {
        var random = SplitMix64(seed: self.environment.seed ^ self.epoch.rawValue << 16 ^ UInt64(self.id.rawValue))
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        while !self.isStopping.load(ordering: .acquiring), !Task.isCancelled {
            let why: String
            do {
                switch try await self.fenceAndRead(producer, nonce: UID.random(using: &random)) {
                case .done(let mark): return self.judge(mark)
                case .superseded(let epoch): return .superseded(by: epoch)
                case .read: preconditionFailure("a takeover ended in the middle")
                }
            } catch let error as PublishError {
                switch error {
                case .laneLost(let reason): return .lost(reason)
                case .stopped: return .stopped
                case .journalRefused(let reason): why = reason
                }
            } catch {
                why = "\(error)"
            }
            self.troubled(.failed)
            self.environment.logger.warning(
                "lane takeover failed, trying again", event: "lane_takeover_failed",
                [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(why)])
            do { try await self.environment.clocks.sleep(for: backoff.next(using: &random)) } catch { return .stopped }
        }
        return .stopped
    }

    /// Compares what the journal says with what it once said.
    private func judge(_ mark: LaneMark) -> Takeover {
        guard let checkpoint, mark.isBehind(checkpoint) else { return .done(mark) }
        let what =
            "the journal stands at entry \(mark.sequence) of lane epoch \(mark.laneEpoch), and stood at entry "
            + "\(checkpoint.sequence) of lane epoch \(checkpoint.laneEpoch)"
        switch self.environment.lossPolicy {
        case .halt: return .behind(what)
        case .resume:
            self.environment.logger.error(
                "the journal went back, the lane goes on from the checkpoint", event: "journal_resumed",
                [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(what)])
            return .done(mark.resuming(from: checkpoint))
        }
    }

    private func fenceAndRead(_ producer: any LaneProducer, nonce: UID) async throws -> LaneTakeover.Step {
        #if DEFENCE_REMOVAL
        if Defence.barrierRead.isRemoved {
            let records = try await self.environment.journal.read(self.id, from: 0, through: .max)
            var takeover = LaneTakeover(epoch: self.epoch, low: 0, barrier: .max)
            try await producer.begin(confirm: { await self.standing($0) }, trouble: self.takeoverTrouble())
            return takeover.read(records)
        }
        #endif
        try await producer.begin(confirm: { await self.standing($0) }, trouble: self.takeoverTrouble())
        return try await self.readState(producer, nonce: nonce)
    }

    /// Says why the lane cannot be taken over yet, once for each reason in a row: it is tried for as long as it takes, and
    /// what is wrong may be a right that somebody has to give.
    private func takeoverTrouble() -> @Sendable (String) -> Void {
        let last = Mutex("")
        return { reason in
            self.environment.metrics.error("unavailable")
            self.troubled(.failed)
            let isNews = last.withLock { last in
                defer { last = reason }
                return last != reason
            }
            guard isNews else { return }
            self.environment.logger.warning(
                "the lane cannot be taken over yet", event: "lane_takeover_waits",
                [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(reason)])
        }
    }

    /// Whether the journal ends where this lane does, for a producer whose session was replaced.
    func standing(_ append: @Sendable (OutgoingRecord) async -> Int64?) async -> LaneStanding {
        let known = self.lane.withLock { $0.mark }
        // Before the takeover has read the journal there is nothing to compare; it reads behind its own barrier.
        guard let known else { return .stands }
        var random = SplitMix64(seed: self.environment.seed ^ known.sequence << 8 ^ UInt64(self.id.rawValue))
        guard let offset = await append(self.barrier(nonce: UID.random(using: &random))) else {
            return .unknown("the barrier was not written")
        }
        do {
            switch try await self.state(before: offset) {
            case .superseded(let epoch): return .moved("lane epoch \(epoch) is in the journal")
            case .done(let mark):
                if mark.sequence == known.sequence { return .stands }
                let why = "the journal stands at entry \(mark.sequence), not \(known.sequence)"
                if mark.isBehind(known) { self.loss.withLock { $0 = why } }
                return .moved(why)
            case .read: preconditionFailure("a look at the journal ended in the middle")
            }
        } catch {
            return .unknown("\(error)")
        }
    }

    func barrier(nonce: UID) -> OutgoingRecord {
        let rules = self.environment.rules
        let barrier = JournalRecord(
            lane: self.id, laneEpoch: self.epoch, sequence: 0, dispatcher: rules.dispatcher,
            body: .barrier(nonce: nonce))
        return RoundPlan.journalRecord(JournalCodec.encode(barrier), self.id, rules)
    }

    /// Barrier, then the tail of the journal up to it.
    private func readState(_ producer: any LaneProducer, nonce: UID) async throws -> LaneTakeover.Step {
        try await self.state(before: try await producer.append(self.barrier(nonce: nonce)))
    }

    /// Where the journal stands before the own barrier at `offset`.
    private func state(before offset: Int64) async throws -> LaneTakeover.Step {
        let low = try await self.environment.journal.firstOffset(of: self.id)
        var takeover = LaneTakeover(epoch: self.epoch, low: low, barrier: offset)
        var step = takeover.first
        while case .read(let from, let through) = step {
            let records = try await self.environment.journal.read(self.id, from: from, through: through)
            let unreadable = records.count { $0.record == nil }
            self.environment.metrics.unreadableJournalRecords.increment(by: unreadable)
            step = takeover.read(records)
        }
        return step
    }
}
