import DispatcherDomain
import EscapementModel
import Logging
import Observability
import Synchronization

/// How a lane takes up what it has parked.
extension LaneShell {
    /// Takes parked deliveries up, batch by batch, each behind the commit of the one before.
    func takeUpParked() async {
        var random = SplitMix64(seed: self.environment.seed ^ UInt64(self.id.rawValue) << 32)
        var backoff = Backoff(first: Self.parkedPauseMin, max: Self.parkedPauseMax)
        while !Task.isCancelled, let next = await self.pump.awaitWork() {
            do throws(JournalError) {
                let found = try await self.environment.parked.readParked(
                    self.id, .deliveries, from: next, max: Self.parkedCountMax)
                if found.records.isEmpty {
                    self.pump.reachedEnd(at: next)
                    continue
                }
                let (decisions, isProgress) = await self.environment.keeper.decide(
                    found.records.map(\.bytes), lane: self.id, rules: self.environment.rules)
                self.pump.offer(RoundPlan.TakenUp(decisions: decisions, next: found.next))
                self.wakeUp.yield()
                guard await self.pump.awaitCommit() else { return }
                if isProgress {
                    backoff.succeeded()
                    continue
                }
            } catch {
                self.environment.logger.debug(
                    "parked fires cannot be read", event: "parked_unavailable",
                    [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string("\(error)")])
            }
            do { try await self.environment.clocks.sleep(for: backoff.next(using: &random)) } catch { return }
        }
    }

    /// Walks along the line of fires that wait for topics, as long as there are any.
    func takeUpWaiting(_ producer: any LaneProducer) async {
        var random = SplitMix64(seed: self.environment.seed ^ UInt64(self.id.rawValue) << 40)
        var backoff = Backoff(first: Self.waitingPauseMin, max: Self.waitingPauseMax)
        while !Task.isCancelled, let line = await self.line.awaitWork() {
            do throws(JournalError) {
                guard let isProgress = try await self.walk(WaitingPass(from: line), producer) else { return }
                if isProgress {
                    backoff.succeeded()
                    continue
                }
            } catch {
                self.environment.logger.debug(
                    "fires that wait for topics cannot be read", event: "parked_unavailable",
                    [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string("\(error)")])
            }
            do { try await self.environment.clocks.sleep(for: backoff.next(using: &random)) } catch { return }
        }
    }

    /// One walk along the line, from its first fire to the end or until all its topics are away.
    ///
    /// - Returns: whether a fire came to its end, or the line is empty; `nil` after `stop`.
    private func walk(
        _ start: WaitingPass, _ producer: any LaneProducer
    ) async throws(JournalError) -> Bool? {
        let rules = self.environment.rules
        let keeper = self.environment.keeper
        var pass = start
        var verdicts: [String: ParkedKeeper.Verdict] = [:]
        var isProgress = false
        while true {
            self.line.willRead()
            let found = try await self.environment.parked.readParked(
                self.id, .waiting, from: pass.position, max: Self.resumedCountMax)
            let line = self.line.line
            var resumed = RoundPlan.Resumed(
                fires: [], stretch: pass.position..<max(pass.position, found.next), isEnd: found.isEnd, pass: pass)
            for record in found.records where !line.isSettled(record.offset) {
                guard let (fire, topic) = ParkedKeeper.waitingFire(record, rules) else {
                    resumed.dropped.append(record.offset)
                    continue
                }
                if verdicts[topic] == nil, !pass.left.contains(topic) {
                    let trial = RoundPlan.trial(of: fire, topic: topic, lane: self.id, rules: rules)
                    verdicts[topic] = await keeper.judge(
                        topic, tries: { if let trial { await producer.tries(trial) } else { nil } })
                }
                switch pass.left.contains(topic) ? .wait : verdicts[topic] ?? .wait {
                case .send: resumed.fires.append(.init(offset: record.offset, topic: topic, fire: fire))
                case .giveUp(let failure):
                    resumed.fires.append(.init(offset: record.offset, topic: topic, fire: fire, failure: failure))
                case .wait: resumed.left.append((record.offset, topic))
                }
            }
            guard let walked = await self.line.offer(resumed, wake: { self.wakeUp.yield() }) else { return nil }
            isProgress = isProgress || !resumed.fires.isEmpty && walked.left.count == pass.left.count
            pass = walked
            let after = self.line.line
            if after.isEmpty { return true }
            let isAllAway = after.last.keys.allSatisfy { pass.left.contains($0) }
            if found.isEnd || isAllAway || pass.hasLeft && after.isFull { return isProgress }
        }
    }
}
