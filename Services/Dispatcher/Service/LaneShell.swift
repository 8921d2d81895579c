package import DispatcherDomain
package import EscapementModel
package import Logging
import NIOCore
import Observability
import Synchronization
import WireProtocol

/// Runs one lane: takes it over, publishes rounds one after another, answers tickers, lets go.
package final class LaneShell: Sendable {
    /// How a run ended.
    package enum Ending: Equatable, Sendable {
        /// As asked: everything begun is settled, or will be by the next owner.
        case released
        /// Another process owns the lane: the journal names its epoch.
        case superseded(by: Epoch)
        /// Whose the lane is has to be found out: this process was fenced, or does not know what became of its work.
        case lost(String)
    }

    /// What a lane uses.
    package struct Environment: Sendable {
        package var producers: any LaneProducerFactory
        package var journal: any JournalReader
        package var parked: any ParkedReader
        package var keeper: ParkedKeeper
        package var clocks: any Clocks
        package var rules: PublishingRules
        /// What stands in the way of publishing as a whole, such as topics that are not there; `nil` when nothing does.
        package var obstacle: @Sendable () -> String?
        package var lossPolicy: JournalLossPolicy
        package var metrics: DispatcherMetrics
        package var logger: Logger
        /// Of the jitter and of barrier nonces.
        package var seed: UInt64

        package init(
            producers: any LaneProducerFactory, journal: any JournalReader, parked: any ParkedReader,
            keeper: ParkedKeeper, clocks: any Clocks, rules: PublishingRules,
            obstacle: @escaping @Sendable () -> String? = { nil }, lossPolicy: JournalLossPolicy = .halt,
            metrics: DispatcherMetrics, logger: Logger, seed: UInt64
        ) {
            self.producers = producers
            self.journal = journal
            self.parked = parked
            self.keeper = keeper
            self.clocks = clocks
            self.rules = rules
            self.obstacle = obstacle
            self.lossPolicy = lossPolicy
            self.metrics = metrics
            self.logger = logger
            self.seed = seed
        }
    }

    /// An idle lane writes its state this often, so that retention never takes the last record of it.
    package static let restateEvery = Duration.seconds(600)
    /// How long a release waits for the publish under way before it is given up.
    package static let releasePatience = Duration.seconds(3)
    /// Pauses between attempts to take a lane over.
    package static let pauseMin = Duration.milliseconds(100)
    package static let pauseMax = Duration.seconds(5)
    /// Ends of fires for HTTP targets that one round settles, at most: the rest of it belongs to what is due now. So many
    /// fires are read at once, too.
    package static let parkedCountMax = 256
    /// Until fires for HTTP targets that could not be read are read again.
    package static let parkedPause = Duration.seconds(1)
    /// Fires of the line of those that wait for topics taken up in one round, at most: they come back at a pace that
    /// leaves room for what is due now.
    package static let resumedCountMax = 1000
    /// Pauses while topics are away.
    package static let waitingPauseMin = Duration.milliseconds(500)
    package static let waitingPauseMax = Duration.seconds(5)
    /// How often fires that catch up are looked at while their pace holds them back.
    package static let paceEvery = Duration.milliseconds(50)
    /// How often a lane looks whether it may begin, or is to end while it is halted.
    package static let obstacleEvery = Duration.milliseconds(100)
    /// How often a halted lane says so again in the log.
    package static let haltedEvery = Duration.seconds(60)

    package let id: LaneID
    package let epoch: Epoch
    let environment: Environment
    private let reply: @Sendable (LaneReply) -> Void
    private let settled: @Sendable (Settlement) -> Void
    /// Told of each trouble of the lane.
    let troubled: @Sendable (LaneTrouble) -> Void
    /// Where the journal stood when somebody last looked: it cannot stand before that unless Kafka has lost it.
    let checkpoint: LaneMark?
    let lane: Mutex<Lane<FireWork>>
    /// How the journal was found to have gone back under way.
    let loss = Mutex<String?>(nil)
    let pump = DeliveryPump()
    let line = WaitingPump()
    /// How the first round that ended the lane has ended it: those behind it only follow.
    private let failure = Mutex<Ending?>(nil)
    private let wakeUps: AsyncStream<Void>
    let wakeUp: AsyncStream<Void>.Continuation
    private let stopSignal: AsyncStream<Void>
    private let signalStop: AsyncStream<Void>.Continuation
    let isStopping = Atomic<Bool>(false)

    /// - Parameters:
    ///   - checkpoint: where the journal stood at least; `nil` for a lane that was never used.
    ///   - reply: takes answers to tickers; returns at once.
    ///   - settled: takes what each round settled, for the recent history; returns at once.
    ///   - troubled: told of each trouble; returns at once.
    package init(
        id: LaneID, epoch: Epoch, checkpoint: LaneMark? = nil, limits: LaneLimits = LaneLimits(),
        environment: Environment,
        reply: @escaping @Sendable (LaneReply) -> Void, settled: @escaping @Sendable (Settlement) -> Void,
        troubled: @escaping @Sendable (LaneTrouble) -> Void = { _ in }
    ) {
        self.id = id
        self.epoch = epoch
        self.checkpoint = checkpoint
        self.environment = environment
        self.reply = reply
        self.settled = settled
        self.troubled = troubled
        self.lane = Mutex(Lane(id: id, epoch: epoch, limits: limits))
        (self.wakeUps, self.wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (self.stopSignal, self.signalStop) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Where the journal stands, once this lane has written to it. O(shards).
    package var mark: LaneMark? {
        guard var mark = self.lane.withLock({ $0.mark }), mark.laneEpoch == self.epoch else { return nil }
        mark.deliveries = self.pump.settled
        mark.waiting = self.line.line
        return mark
    }

    /// A ticker opens a shard that the leader gave it.
    package func open(_ shard: ShardID, epoch: Epoch, session: SessionID) {
        let refusal = self.queueing { $0.open(shard, epoch: epoch, session: session) }
        if let refusal { self.reply(refusal) } else { self.wakeUp.yield() }
    }

    /// A ticker offers a batch.
    package func offer(_ offer: Lane<FireWork>.Offer) {
        let now = self.environment.clocks.wallNow()
        let refusal = self.queueing { $0.offer(offer, now: now) }
        if let refusal { self.reply(refusal) } else { self.wakeUp.yield() }
    }

    /// Changes the lane in a way that may add to the batches that wait, or take from them, and counts them.
    private func queueing<Result>(_ change: (inout Lane<FireWork>) -> Result) -> Result {
        let (result, added) = self.lane.withLock { lane in
            let before = lane.queuedCount
            let result = change(&lane)
            return (result, lane.queuedCount - before)
        }
        if added != 0 { self.environment.metrics.queueDepth.add(Double(added)) }
        return result
    }

    /// A ticker's connection is gone.
    package func disconnected(_ session: SessionID) { self.lane.withLock { $0.disconnected(session) } }

    /// Takes no more work; `run` finishes what is being published and returns.
    package func stop() {
        self.isStopping.store(true, ordering: .releasing)
        let replies = self.queueing { $0.close() }
        for reply in replies { self.reply(reply) }
        self.wakeUp.finish()
        self.pump.finish()
        self.line.finish()
        self.signalStop.finish()
    }

    /// Takes the lane over and publishes until `stop`, cancellation, or loss. Call once.
    package func run() async -> Ending {
        await withTaskGroup(of: Ending?.self) { group in
            group.addTask { await self.lead() }
            group.addTask { await self.patience() }
            var ending: Ending?
            for await result in group {
                guard let result else { continue }
                ending = ending ?? result
                group.cancelAll()
            }
            self.stop()
            return ending ?? .released
        }
    }

    private func lead() async -> Ending {
        await self.awaitStart()
        let producer = self.environment.producers.makeProducer(for: self.id, epoch: self.epoch)
        let started = self.environment.clocks.monotonicNow()
        switch await self.takeOver(producer) {
        case .superseded(let epoch): return .superseded(by: epoch)
        case .lost(let why): return .lost(why)
        case .stopped: return .released
        case .behind(let what):
            await self.halt(what)
            return .released
        case .done(let mark):
            self.pump.begin(at: mark.deliveries)
            self.line.begin(at: mark.waiting)
            let replies = self.lane.withLock { $0.recovered(mark) }
            for reply in replies { self.reply(reply) }
            let duration = self.environment.clocks.monotonicNow().duration(since: started)
            self.environment.metrics.laneTakeovers.observe(duration)
            self.log(
                "lane taken over", "lane_taken", [LogKey.durationMilliseconds: .number(duration.wholeMilliseconds)])
        }
        self.wakeUp.yield()
        let ending = await self.work(producer)
        if case .lost = ending, let what = self.loss.withLock({ $0 }), self.environment.lossPolicy == .halt {
            await self.halt(what)
            return .released
        }
        return ending
    }

    private func work(_ producer: any LaneProducer) async -> Ending {
        await withTaskGroup(of: Ending?.self) { group in
            group.addTask { await self.publishRounds(producer) }
            group.addTask {
                await self.restateRegularly()
                return nil
            }
            group.addTask {
                await self.deliverParked()
                return nil
            }
            group.addTask {
                await self.takeUpWaiting(producer)
                return nil
            }
            group.addTask {
                await self.pace()
                return nil
            }
            var ending = Ending.released
            for await result in group {
                guard let result else { continue }
                ending = result
                group.cancelAll()
            }
            return ending
        }
    }

    /// Waits until nothing stands in the way of publishing as a whole.
    private func awaitStart() async {
        var isLogged = false
        while !self.isStopping.load(ordering: .acquiring), let obstacle = self.environment.obstacle() {
            if !isLogged {
                self.environment.logger.info(
                    "the lane waits", event: "lane_waits",
                    [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(obstacle)])
                isLogged = true
            }
            do { try await self.environment.clocks.sleep(for: Self.obstacleEvery) } catch { return }
        }
    }

    /// Publishes nothing until the lane is taken away or the process ends: acknowledged records are gone, and going on
    /// would fire again what was fired. Opens and batches of tickers wait.
    private func halt(_ what: String) async {
        self.troubled(.halted)
        self.environment.metrics.lanesHalted.add(1)
        defer { self.environment.metrics.lanesHalted.add(-1) }
        let clocks = self.environment.clocks
        var saidAt: MonotonicInstant?
        while !self.isStopping.load(ordering: .acquiring) {
            do { try await clocks.sleep(for: Self.obstacleEvery) } catch { return }
            let now = clocks.monotonicNow()
            if let saidAt, now.duration(since: saidAt) < Self.haltedEvery { continue }
            saidAt = now
            self.environment.logger.error(
                "the journal went back, the lane is halted", event: "journal_went_back",
                [
                    LogKey.lane: .number(self.id.rawValue), LogKey.epoch: .number(self.epoch.rawValue),
                    LogKey.reason: .string(
                        "\(what): Kafka has lost acknowledged records; repair Kafka and restart, or restart with "
                            + "ESCAPEMENT_JOURNAL_LOSS=resume, see docs/runbook.md"),
                ])
        }
    }

    private func publishRounds(_ producer: any LaneProducer) async -> Ending {
        await withTaskGroup(of: Ending?.self) { group in
            var underWay = 0
            var last = RoundTicket()
            last.done.open()
            for await _ in self.wakeUps {
                while true {
                    let isFull = underWay == producer.inFlightMax
                    if isFull || underWay > 0 && self.failure.withLock({ $0 }) != nil {
                        let ended = await group.next()
                        underWay -= 1
                        if let ending = ended ?? nil {
                            group.cancelAll()
                            return self.failure.withLock { $0 } ?? ending
                        }
                        continue
                    }
                    let takenUp = self.pump.ready()
                    let resumed = self.line.ready()
                    let now = self.environment.clocks.monotonicNow()
                    let next = self.queueing { lane in
                        if takenUp != nil || resumed != nil { lane.restate() }
                        return lane.beginRound(now: now, inFlightMax: producer.inFlightMax)
                    }
                    guard let round = next else { break }
                    let (previous, ticket) = (last, RoundTicket())
                    last = ticket
                    underWay += 1
                    group.addTask {
                        await self.settle(round, takenUp, resumed, producer, behind: previous, ticket)
                    }
                    _ = await ticket.handedOver.wait()
                }
                if self.isStopping.load(ordering: .acquiring) { break }
            }
            for await ended in group {
                if let ending = ended {
                    group.cancelAll()
                    return self.failure.withLock { $0 } ?? ending
                }
            }
            return .released
        }
    }

    /// Publishes one round and answers; how the lane ends, if it does.
    private func settle(
        _ round: Lane<FireWork>.Round, _ takenUp: RoundPlan.TakenUp?, _ resumed: RoundPlan.Resumed?,
        _ producer: any LaneProducer, behind previous: RoundTicket, _ ticket: RoundTicket
    ) async -> Ending? {
        var ending: Ending?
        if round.needsJournal {
            ending = await self.publish(round, takenUp, resumed, producer, behind: previous, ticket)
        } else if await !previous.done.wait() {
            ending = .released
        }
        if ending == nil {
            let replies = self.lane.withLock { $0.commitRound() }
            for reply in replies { self.reply(reply) }
        } else {
            self.failure.withLock { $0 = $0 ?? ending }
            self.wakeUp.yield()
        }
        ticket.done.open(ending == nil)
        ticket.handedOver.open()
        return ending
    }

    /// What waits for its pace, or for its time, is looked at again after a while.
    private func pace() async {
        while true {
            do { try await self.environment.clocks.sleep(for: Self.paceEvery) } catch { return }
            if self.lane.withLock({ $0.queuedCount > 0 }) { self.wakeUp.yield() }
            if self.pump.isDue(self.environment.clocks.wallNow()) { self.pump.ring() }
        }
    }

    /// Publishes one round; `nil` when it is durable.
    private func publish(
        _ round: Lane<FireWork>.Round, _ takenUp: RoundPlan.TakenUp?, _ resumed: RoundPlan.Resumed?,
        _ producer: any LaneProducer, behind previous: RoundTicket, _ ticket: RoundTicket
    ) async -> Ending? {
        let environment = self.environment
        let clocks = environment.clocks
        let metrics = environment.metrics
        let started = clocks.monotonicNow()
        let sentAt = clocks.wallNow()
        let line = self.line.line
        func makePlan() -> RoundPlan {
            RoundPlan(
                round, takenUp: takenUp, resumed: resumed, line: line, lane: self.id, laneEpoch: self.epoch,
                rules: environment.rules, health: environment.keeper.topics, now: sentAt)
        }
        var plan = makePlan()
        if await environment.keeper.meet(plan.topics) { plan = makePlan() }
        metrics.inFlight.add(Double(plan.records.count))
        metrics.attempts.increment(by: plan.records.count)
        defer { metrics.inFlight.add(-Double(plan.records.count)) }
        do throws(PublishError) {
            let settlement = try await producer.publish(self.publication(of: plan, takenUp, behind: previous, ticket))
            metrics.publishDuration.observe(clocks.monotonicNow().duration(since: started))
            metrics.settled(settlement)
            environment.rules.spans?.settled(settlement, creators: plan.creators, sentAt: sentAt)
            for topic in settlement.unavailableTopics.sorted() where environment.keeper.topics.lost(topic) {
                environment.logger.warning(
                    "a topic is away, its fires wait", event: "topic_unavailable", [LogKey.topic: .string(topic)])
            }
            for _ in settlement.lostLetters { metrics.error("dead_letter_lost") }
            if let reason = settlement.lostLetters.first {
                environment.logger.error(
                    "dead letters can never be written, the outcomes in the journal remain", event: "dead_letter_lost",
                    [
                        LogKey.lane: .number(self.id.rawValue), LogKey.count: .number(settlement.lostLetters.count),
                        LogKey.topic: .string(environment.rules.topics.deadLetterTopic), LogKey.reason: .string(reason),
                    ])
            }
            self.pump.committed(takenUp, parked: settlement.parked, now: clocks.wallNow())
            self.line.committed(settlement)
            self.settled(settlement)
            return nil
        } catch {
            switch error {
            case .stopped:
                return .released
            case .laneLost(let why):
                metrics.error("fenced")
                return .lost(why)
            case .journalRefused(let why):
                metrics.error("journal")
                self.environment.logger.error(
                    "the journal refuses a record", event: "journal_refused",
                    [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(why)])
                // Fires may be out without their journal entry: begin again from what the journal holds.
                return .lost(why)
            }
        }
    }

    /// Waits for `stop`, and then a while: a publish that Kafka does not take must not hold the lane. A takeover is given
    /// up at once: there is nothing to finish, and each further attempt would fence the next owner.
    private func patience() async -> Ending? {
        for await _ in self.stopSignal {}
        if self.lane.withLock({ $0.mark }) == nil { return Task.isCancelled ? nil : .released }
        do { try await self.environment.clocks.sleep(for: Self.releasePatience) } catch { return nil }
        return .released
    }

    private func restateRegularly() async {
        while true {
            do { try await self.environment.clocks.sleep(for: Self.restateEvery) } catch { return }
            self.lane.withLock { $0.restate() }
            self.wakeUp.yield()
        }
    }

    private func log(_ message: StaticString, _ event: String, _ metadata: Logger.Metadata) {
        var metadata = metadata
        metadata[LogKey.lane] = .number(self.id.rawValue)
        metadata[LogKey.epoch] = .number(self.epoch.rawValue)
        self.environment.logger.info(message, event: event, metadata)
    }
}
