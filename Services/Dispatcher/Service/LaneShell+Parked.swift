import DispatcherDomain
import EscapementModel
import Logging
import Observability
import Synchronization

/// How a lane takes up what it has parked.
extension LaneShell {
    /// Delivers fires to HTTP targets, each as soon as its turn has come and its host has a place.
    func deliverParked() async {
        let environment = self.environment
        let pump = self.pump
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let step = await pump.next(
                    now: { environment.clocks.wallNow() },
                    admits: { environment.keeper.places.take($0, for: self.id, wake: { pump.ring() }) })
                switch step {
                case .deliver(let offset, let host, let fire, let hasPlace):
                    group.addTask {
                        let decision =
                            if let fire {
                                await environment.keeper.deliver(
                                    fire, isOver: !hasPlace, self.id, environment.rules, environment.metrics)
                            } else {
                                ParkedDecision.drop
                            }
                        if hasPlace { environment.keeper.places.free(host) }
                        pump.finished(offset, decision)
                        self.wakeUp.yield()
                    }
                case .move(let offset, let fire):
                    pump.moved(offset, fire)
                    self.wakeUp.yield()
                case .read(let order):
                    group.addTask { await self.readParked(order) }
                case nil: return
                }
            }
        }
    }

    private func readParked(_ order: DeliveryQueue<ParkedFire>.ReadOrder) async {
        do throws(JournalError) {
            let found = try await self.environment.parked.readParked(
                self.id, .deliveries, from: order.from, max: Self.parkedCountMax)
            if let lost = self.pump.read(order, found) { self.lost(lost, of: .deliveries) }
        } catch {
            self.environment.logger.debug(
                "parked fires cannot be read", event: "parked_unavailable",
                [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string("\(error)")])
            do { try await self.environment.clocks.sleep(for: Self.parkedPause) } catch { return }
            self.pump.readFailed(order)
        }
    }

    /// Kafka kept fires for less long than it should have.
    private func lost(_ offsets: Range<Int64>, of queue: ParkedQueue) {
        self.environment.metrics.parkedLost.increment(by: offsets.count)
        self.environment.logger.error(
            "parked fires are gone from Kafka, lost before their end", event: "parked_fires_lost",
            [
                LogKey.lane: .number(self.id.rawValue),
                LogKey.topic: .string(PublishingRules.parkedTopic(of: self.environment.rules.cluster)),
                LogKey.partition: .number(queue.partition(of: self.id)),
                LogKey.reason: .string(
                    "nothing is kept from offset \(offsets.lowerBound) to \(offsets.upperBound); see its retention.ms"),
            ])
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
            let gone = pass.position..<max(pass.position, found.low)
            if !line.settled.contains(all: gone) { self.lost(gone, of: .waiting) }
            let now = self.environment.clocks.wallNow()
            var resumed = RoundPlan.Resumed(
                fires: [], stretch: pass.position..<max(pass.position, found.next), isEnd: found.isEnd, pass: pass)
            for record in found.records where !line.settled.contains(record.offset) {
                guard let (fire, topic) = ParkedKeeper.waitingFire(record, rules) else {
                    resumed.dropped.append(record.offset)
                    continue
                }
                if record.isOver(now) {
                    resumed.fires.append(
                        .init(
                            offset: record.offset, topic: topic, fire: fire,
                            failure: FormatError(.retriesExhausted, ParkedKeeper.gaveUp("the topic \(topic)"))))
                    continue
                }
                if verdicts[topic] == nil, !pass.left.contains(topic) {
                    if keeper.topics.isUnavailable(topic), await !keeper.reachesLeaders(of: topic) {
                        self.troubled(.leaderOutOfReach)
                    }
                    let trial = RoundPlan.trial(of: fire, topic: topic, lane: self.id, rules: rules)
                    verdicts[topic] = await keeper.judge(
                        topic, isLetters: fire.letter != nil,
                        tries: { if let trial { await producer.tries(trial) } else { .unknown } })
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
