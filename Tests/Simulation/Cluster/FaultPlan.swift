import CoordinatorService
import EscapementModel

/// Does harm at random times, of the kinds that this run has drawn, and mends everything at the end.
final class FaultPlan: @unchecked Sendable {
    enum Kind: String, CaseIterable {
        case killProcess, killMachine, pauseProcess, cutOneWay, cutBothWays, breakLink
        case databaseDown, databaseCut, databaseAnswersLost, leaderStalls
        case kafkaDown, kafkaLateEnds, kafkaProduceFails
        case elasticsearchDown, elasticsearchBusy, elasticsearchAnswersLost
        case clockStep
        case join, leave, drain
        case slowPath, framesTwice, claimArrivesLate
        case pairCut
        case topicLeaderless, topicClosed, topicForgotten
        case batchesSmall

        /// Of single topics: drawn apart, beside all others.
        static let ofTopics: [Kind] = [.topicLeaderless, .topicClosed, .topicForgotten]
        /// Not among those of which a run has a random half.
        static let apart: [Kind] = Self.ofTopics + [.batchesSmall]
    }

    /// How far clocks are stepped: below the two seconds at which a dispatcher refuses.
    static let clockStepMax = Duration.milliseconds(900)
    /// More than any fire of the workload has, by a fifth or more: alone each is taken.
    static let fireByteCountMax = 640

    private let cluster: SimulatedCluster
    private let settings: RunSettings
    private var random: SplitMix64
    private var topicRandom: SplitMix64
    private var batchRandom: SplitMix64
    /// Of this run: a random half of all kinds, so that some are seen without the noise of others.
    let kinds: [Kind]
    private(set) var counts: [Kind: Int] = [:]

    init(cluster: SimulatedCluster, settings: RunSettings, seed: UInt64) {
        self.cluster = cluster
        self.settings = settings
        var random = SplitMix64(seed: seed)
        self.kinds = Kind.allCases.filter { !Kind.apart.contains($0) && Bool.random(using: &random) }
        self.random = random
        self.topicRandom = SplitMix64(seed: ~seed)
        self.batchRandom = SplitMix64(seed: seed ^ 0xba7c)
        if self.kinds.contains(.clockStep) { cluster.oracle.clockErrorMax = Self.clockStepMax }
    }

    /// Does harm until the time for it is over.
    func run() async {
        let simulator = self.cluster.simulator
        // The cluster first comes together.
        await simulator.pause(.seconds(8))
        guard !self.kinds.isEmpty else { return }
        while simulator.now < self.settings.faultsFor.wholeNanoseconds {
            await simulator.pause(self.settings.faultEvery * Double.random(in: 0.1...2, using: &self.random))
            guard let kind = self.kinds.randomElement(using: &self.random) else { return }
            self.counts[kind, default: 0] += 1
            self.inflict(kind)
        }
    }

    /// Takes single topics away, in half of all runs.
    func runTopics() async {
        let simulator = self.cluster.simulator
        guard Bool.random(using: &self.topicRandom) else { return }
        while simulator.now < self.settings.faultsFor.wholeNanoseconds {
            await simulator.pause(self.settings.faultEvery * Double.random(in: 0.5...6, using: &self.topicRandom))
            guard let kind = Kind.ofTopics.randomElement(using: &self.topicRandom) else { return }
            self.counts[kind, default: 0] += 1
            let topics = [SimulatedCluster.defaultTopic, SimulatedCluster.otherTopic]
            let topic = topics[Int.random(in: 0..<topics.count, using: &self.topicRandom)]
            let away = Duration.seconds(Double.random(in: 0.5...15, using: &self.topicRandom))
            self.takeAway(topic, kind)
            await simulator.pause(away)
            self.cluster.kafka.bringBack(topic)
        }
    }

    private func takeAway(_ topic: String, _ kind: Kind) {
        switch kind {
        case .topicLeaderless: self.cluster.kafka.leaderlessTopics.insert(topic)
        case .topicForgotten: self.cluster.kafka.forgottenTopics.insert(topic)
        default: self.cluster.kafka.closedTopics.insert(topic)
        }
    }

    /// Lets the brokers take only small batches of a topic now and then, in half of all runs: a few fires are too large
    /// together, and none is alone.
    ///
    /// With timers alone: one task more would change the order in which all others run, in every run of every seed.
    func planSmallBatches() {
        if Bool.random(using: &self.batchRandom) { self.planNextSmallBatches() }
    }

    private func planNextSmallBatches() {
        let (simulator, kafka) = (self.cluster.simulator, self.cluster.kafka)
        let pause = self.settings.faultEvery * Double.random(in: 0.5...6, using: &self.batchRandom)
        simulator.after(pause) {
            guard simulator.now < self.settings.faultsFor.wholeNanoseconds else { return }
            self.counts[.batchesSmall, default: 0] += 1
            let topics = [SimulatedCluster.defaultTopic, SimulatedCluster.otherTopic]
            let topic = topics[Int.random(in: 0..<topics.count, using: &self.batchRandom)]
            let fires = Int.random(in: 1...4, using: &self.batchRandom)
            let stay = Duration.seconds(Double.random(in: 0.5...15, using: &self.batchRandom))
            kafka.batchBytesMax[topic] = fires * Self.fireByteCountMax
            simulator.after(stay) {
                kafka.batchBytesMax[topic] = nil
                self.planNextSmallBatches()
            }
        }
    }

    /// Ends every fault, and starts whatever is down.
    func mend() {
        self.cluster.network.heal()
        self.cluster.database.heal()
        self.cluster.kafka.heal()
        self.cluster.elasticsearch.heal()
        self.cluster.hosts.heal()
        for seat in self.cluster.seats + self.cluster.spareSeats {
            self.cluster.host(of: seat)?.resume()
            self.cluster.host(of: seat)?.wallOffset = 0
        }
        for seat in self.cluster.seats { self.cluster.start(seat) }
    }

    private func seat() -> SimulatedCluster.Seat {
        self.cluster.seats[Int.random(in: 0..<self.cluster.seats.count, using: &self.random)]
    }

    private func draw(_ range: ClosedRange<Double>) -> Duration {
        // Short ones are as likely as long ones.
        let low = range.lowerBound
        let share = Double.random(in: 0...1, using: &self.random)
        return .seconds(low + (range.upperBound - low) * share * share)
    }

    private func inflict(_ kind: Kind) {
        let cluster = self.cluster
        let simulator = cluster.simulator
        switch kind {
        case .killProcess, .killMachine:
            let seat = self.seat()
            cluster.kill(seat, silently: kind == .killMachine)
            simulator.after(self.draw(0.2...10)) { cluster.start(seat) }
        case .pauseProcess:
            guard let host = cluster.host(of: self.seat()) else { return }
            host.pause()
            simulator.after(self.draw(0.1...20)) { host.resume() }
        case .cutOneWay, .cutBothWays:
            guard let first = cluster.host(of: self.seat()), let second = cluster.host(of: self.seat()),
                first !== second
            else { return }
            cluster.network.cut(from: first, to: second)
            if kind == .cutBothWays { cluster.network.cut(from: second, to: first) }
            simulator.after(self.draw(0.2...15)) {
                cluster.network.heal(from: first, to: second)
                cluster.network.heal(from: second, to: first)
            }
        case .breakLink:
            guard let first = cluster.host(of: self.seat()), let second = cluster.host(of: self.seat()) else { return }
            cluster.network.breakLink(between: first, and: second)
        case .databaseDown:
            cluster.database.isDown = true
            simulator.after(self.draw(0.5...15)) { cluster.database.isDown = false }
        case .databaseCut:
            guard let host = cluster.host(of: self.seat()) else { return }
            cluster.database.cut(host)
            simulator.after(self.draw(0.5...15)) { cluster.database.uncut(host) }
        case .leaderStalls:
            // A member dies, and the leader is stopped in the middle of giving its work away.
            let seat = self.seat()
            guard seat.role != .coordinator else { return }
            cluster.kill(seat, silently: false)
            cluster.database.slowness = .milliseconds(400)
            let (stall, rest) = (self.draw(1.0...2.2), self.draw(7...14))
            simulator.after(stall) {
                let leader = cluster.leader()
                leader?.pause()
                cluster.database.slowness = .zero
                simulator.after(rest) {
                    leader?.resume()
                    cluster.start(seat)
                }
            }
        case .databaseAnswersLost:
            cluster.database.answersLostPerMille = 100
            simulator.after(self.draw(1...10)) { cluster.database.answersLostPerMille = 0 }
        case .kafkaDown:
            cluster.kafka.isDown = true
            simulator.after(self.draw(0.5...12)) { cluster.kafka.isDown = false }
        case .kafkaLateEnds:
            cluster.kafka.lateEndPercent = 30
            simulator.after(self.draw(1...10)) { cluster.kafka.lateEndPercent = 0 }
        case .kafkaProduceFails:
            cluster.kafka.produceFailsPerMille = 60
            simulator.after(self.draw(1...10)) { cluster.kafka.produceFailsPerMille = 0 }
        case .elasticsearchDown:
            cluster.elasticsearch.isDown = true
            simulator.after(self.draw(1...20)) { cluster.elasticsearch.isDown = false }
        case .elasticsearchBusy:
            cluster.elasticsearch.busyPercent = 50
            simulator.after(self.draw(1...15)) { cluster.elasticsearch.busyPercent = 0 }
        case .elasticsearchAnswersLost:
            cluster.elasticsearch.answersLostPercent = 30
            simulator.after(self.draw(1...15)) { cluster.elasticsearch.answersLostPercent = 0 }
        case .join:
            let seat = cluster.spareSeats[Int.random(in: 0..<cluster.spareSeats.count, using: &self.random)]
            cluster.start(seat)
            simulator.after(self.draw(8...40)) { _ = cluster.leave(seat) }
        case .leave:
            let seat = self.seat()
            guard cluster.leave(seat) else { return }
            // It is started again when it has gone, or, as a supervisor does, after it was killed for taking too long.
            simulator.after(self.draw(3...25)) {
                if cluster.host(of: seat) != nil { cluster.kill(seat, silently: false) }
                cluster.start(seat)
            }
        case .drain:
            let seat = self.seat()
            guard seat.role != .coordinator else { return }
            let stay = self.draw(4...30)
            // Of two who follow a shard, one hears of its changes later than the other.
            if Bool.random(using: &self.random) {
                cluster.database.changesSlowBy = .milliseconds(1500)
                simulator.after(.seconds(10)) { cluster.database.changesSlowBy = .zero }
            }
            Task {
                guard await cluster.ask(.drain(member: seat.node.name)) else { return }
                await simulator.pause(stay)
                _ = await cluster.ask(.resume(member: seat.node.name))
            }
        case .slowPath:
            guard let first = cluster.host(of: self.seat()), let second = cluster.host(of: self.seat()),
                first !== second
            else { return }
            cluster.network.slow(from: first, to: second, by: self.draw(0.02...0.9))
            let breaks = Bool.random(using: &self.random)
            simulator.after(self.draw(1...8)) {
                // What is on its way then arrives behind what the next connection brings.
                if breaks { cluster.network.breakLink(between: first, and: second) }
                cluster.network.slow(from: first, to: second, by: .zero)
            }
        case .framesTwice:
            cluster.network.twicePercent = 10
            simulator.after(self.draw(1...10)) { cluster.network.twicePercent = 0 }
        case .claimArrivesLate:
            // A member comes back and gets its share again; the leader dies while a claim for that is on its way, which
            // arrives when somebody else leads.
            let seat = self.seat()
            guard seat.role == .ticker else { return }
            let other = cluster.seats.last { $0.role == .dispatcher }
            cluster.kill(seat, silently: false)
            simulator.after(.seconds(3)) { cluster.start(seat) }
            let late = self.draw(7...11)
            simulator.after(.seconds(4)) {
                cluster.database.holdNextClaim(late, simulator) {
                    guard let leader = cluster.leaderSeat() else { return }
                    cluster.kill(leader, silently: true)
                    if let other { cluster.kill(other, silently: false) }
                    simulator.after(.seconds(15)) {
                        cluster.start(leader)
                        if let other { cluster.start(other) }
                    }
                }
            }
            simulator.after(.seconds(14)) { cluster.database.forgetHold() }
        case .pairCut:
            // A ticker and a dispatcher lose each other for long; the leader sees both.
            let tickers = cluster.seats.filter { $0.role == .ticker }
            let dispatchers = cluster.seats.filter { $0.role == .dispatcher }
            guard let ticker = tickers.randomElement(using: &self.random).flatMap({ cluster.host(of: $0) }),
                let dispatcher = dispatchers.randomElement(using: &self.random).flatMap({ cluster.host(of: $0) })
            else { return }
            cluster.network.cut(from: ticker, to: dispatcher)
            cluster.network.cut(from: dispatcher, to: ticker)
            simulator.after(self.draw(8...40)) {
                cluster.network.heal(from: ticker, to: dispatcher)
                cluster.network.heal(from: dispatcher, to: ticker)
            }
        case .clockStep:
            guard let host = cluster.host(of: self.seat()) else { return }
            let limit = Self.clockStepMax.wholeNanoseconds
            host.wallOffset = Int64.random(in: -limit...limit, using: &self.random)
        case .topicLeaderless, .topicClosed, .topicForgotten, .batchesSmall: break
        }
    }
}
