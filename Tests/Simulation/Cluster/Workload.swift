import EscapementModel
import NIOCore
import Store
import TestSupport
import WireProtocol

/// People who make, delete and cancel things, as the API does it: in the store, then a hint to a coordinator.
final class Workload: @unchecked Sendable {
    private let cluster: SimulatedCluster
    private let host: Host
    private let store: InMemoryStore
    private var random: SplitMix64
    private var scheduleNames: [String] = []
    private var timerNames: [String] = []
    private var count = 0
    /// Seconds of the patterns that schedules have: those that divide a minute, and whole minutes.
    private static let schedulesMax = 40
    private static let periods: [Int64] = [1, 2, 3, 5, 10, 15, 30, 60]

    init(cluster: SimulatedCluster, seed: UInt64) {
        self.cluster = cluster
        self.host = Host(name: "client", simulator: cluster.simulator)
        self.store = cluster.database.client(on: self.host)
        self.random = SplitMix64(seed: seed)
    }

    /// Makes the first schedules, then goes on until true time is `end`.
    func run(schedules: Int, until end: Duration) async {
        for _ in 0..<schedules { await self.createSchedule() }
        while self.cluster.simulator.now < end.wholeNanoseconds {
            await self.cluster.simulator.pause(.milliseconds(Int.random(in: 20...700, using: &self.random)))
            switch Int.random(in: 0..<20, using: &self.random) {
            case 0..<3:
                // A long run has as many at its end as in its middle.
                if self.scheduleNames.count < Self.schedulesMax {
                    await self.createSchedule()
                } else {
                    await self.deleteSchedule()
                }
            case 3..<5: await self.deleteSchedule()
            case 5..<7: await self.cancelTimer()
            case 7: await self.createTimers(Int.random(in: 20...60, using: &self.random))
            default: await self.createTimers(Int.random(in: 1...3, using: &self.random))
            }
        }
    }

    /// Every third goes to a topic of its own; the others to the cluster's.
    private var topic: String { self.count % 3 == 0 ? SimulatedCluster.otherTopic : "" }

    private var priority: Priority { Priority.allCases[self.count / 3 % 3] }

    /// Every fifth goes to one of a few HTTP hosts instead.
    private func direct(_ template: inout FireTemplate) {
        guard self.count % 5 == 0 else { return }
        template.topic = ""
        template.web = .hook(url: "https://host-\(self.count / 5 % SimulatedHosts.count)/\(template.name)", secret: "")
        template.retry.attemptsMax = 1000
        template.retry.backoffMaxMilliseconds = 5000
    }

    private func createSchedule() async {
        self.count += 1
        let name = "schedule-\(self.count)"
        let pattern = Pattern(everySeconds: Self.periods.randomElement(using: &self.random) ?? 1)
        let isCron = Bool.random(using: &self.random)
        var template = FireTemplate(origin: .schedule, namespace: "sim", name: name, topic: self.topic)
        self.direct(&template)
        let uid = ShardPlacement.scheduleUID(priority: self.priority, drawn: .random(using: &self.random))
        let new = NewSchedule(
            uid: uid,
            shard: ShardPlacement.shard(namespace: "sim", name: name, shardCount: SimulatedCluster.shardCount),
            namespace: "sim", name: name, createdAt: self.host.clocks.wallNow(), createdBy: "simulation",
            body: ScheduleBody(
                kind: isCron ? .cron : .interval, when: Array(pattern.when(asCron: isCron).utf8), misfirePolicy: 1,
                misfireToleranceMilliseconds: 60_000, misfireWindowMilliseconds: 3_600_000, misfireLimit: 60,
                template: Array(template.encoded().readableBytesView), document: Array("\(pattern.everySeconds)".utf8)))
        do {
            let outcome = try await self.store.createSchedule(new)
            self.cluster.changed(new.shard)
            if case .created = outcome { self.cluster.oracle.acknowledged(uid, "schedule \(name)") }
        } catch {
            // Whether it took effect is for the database to say; the oracle reads it there.
        }
        self.scheduleNames.append(name)
    }

    private func deleteSchedule() async {
        guard self.scheduleNames.count > 3 else { return }
        let index = Int.random(in: 0..<self.scheduleNames.count, using: &self.random)
        let name = self.scheduleNames.remove(at: index)
        do {
            let ended = try await self.store.deleteSchedule(
                namespace: "sim", name: name, ifGeneration: nil, at: self.host.clocks.wallNow())
            if let ended { self.cluster.changed(ended.shard) }
        } catch {
            return
        }
    }

    private func createTimers(_ number: Int) async {
        let now = self.host.clocks.wallNow()
        var new: [NewTimer] = []
        for _ in 0..<number {
            self.count += 1
            let name = "timer-\(self.count)"
            let shard = ShardID(UInt16.random(in: 0..<UInt16(SimulatedCluster.shardCount), using: &self.random))
            let delay = Duration.milliseconds(Int.random(in: 1...15_000, using: &self.random))
            var template = FireTemplate(origin: .timer, namespace: "sim", name: name, topic: self.topic)
            self.direct(&template)
            new.append(
                NewTimer(
                    uid: ShardPlacement.timerUID(shard: shard, priority: self.priority, using: &self.random),
                    namespace: "sim", name: name,
                    due: now.advanced(by: delay), expireAfterMilliseconds: 0,
                    template: Array(template.encoded().readableBytesView), document: [], contentDigest: [1],
                    createdAt: now, createdBy: "simulation"))
            self.timerNames.append(name)
        }
        do {
            let outcomes = try await self.store.createTimers(new)
            for (timer, outcome) in zip(new, outcomes) {
                if case .created(let stored) = outcome {
                    self.cluster.changed(stored.shard)
                    self.cluster.oracle.acknowledged(timer.uid, "timer \(timer.name)")
                }
            }
        } catch {
            return
        }
    }

    private func cancelTimer() async {
        guard !self.timerNames.isEmpty else { return }
        let name = self.timerNames.remove(at: Int.random(in: 0..<self.timerNames.count, using: &self.random))
        do {
            let cancelled = try await self.store.cancelTimer(
                namespace: "sim", name: name, at: self.host.clocks.wallNow())
            if let cancelled { self.cluster.changed(cancelled.shard) }
        } catch {
            return
        }
    }
}
