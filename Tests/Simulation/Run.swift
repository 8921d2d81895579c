import DispatcherService
import EscapementModel
import Store
import TestSupport

/// One run of a cluster under faults, and what the oracle says of it.
final class Run: @unchecked Sendable {
    private let settings: RunSettings
    let cluster: SimulatedCluster
    private let faults: FaultPlan
    private let workload: Workload
    private let upgrade: UpgradePlan

    init(_ settings: RunSettings) {
        var seeds = SplitMix64(seed: settings.seed ^ 0x5eed)
        self.settings = settings
        self.cluster = SimulatedCluster(settings)
        self.faults = FaultPlan(cluster: self.cluster, settings: settings, seed: seeds.next())
        self.workload = Workload(cluster: self.cluster, seed: seeds.next())
        self.upgrade = UpgradePlan(cluster: self.cluster, settings: settings, seed: seeds.next())
    }

    var faultCounts: [FaultPlan.Kind: Int] { self.faults.counts }

    /// Runs to the end; the violations, none when all is well.
    func perform() -> [Oracle.Violation] {
        let simulator = self.cluster.simulator
        let end = self.settings.faultsFor + self.settings.quietFor
        self.faults.planSmallBatches()
        Task {
            await self.establish()
            self.cluster.startAll()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.workload.run(schedules: 12, until: self.settings.faultsFor) }
                group.addTask { await self.faults.run() }
                group.addTask { await self.upgrade.run() }
                group.addTask { await self.faults.runTopics() }
                group.addTask { await self.lookRegularly(until: end) }
            }
        }
        simulator.run(until: self.settings.faultsFor)
        self.faults.mend()
        simulator.run(until: end)
        // Ten seconds are left for what fell due last; everything before must be done.
        let judged = SimulatedClocks.epoch.advanced(by: end - .seconds(10))
        Task {
            await self.cluster.showDatabase()
            self.cluster.oracle.judge(
                end: judged, documents: self.cluster.elasticsearch.documents.values.map(\.id))
            self.cluster.oracle.judge(leaders: self.cluster.database.contents.assignmentHistory)
            simulator.stop()
        }
        simulator.run(until: end + .seconds(1))
        return self.cluster.oracle.violations
    }

    /// The database forgets what is long settled; the oracle does not.
    private func lookRegularly(until end: Duration) async {
        while self.cluster.simulator.now < end.wholeNanoseconds {
            await self.cluster.simulator.pause(.seconds(600))
            await self.cluster.showDatabase()
        }
    }

    private func establish() async {
        do {
            _ = try await self.cluster.database.contents.establish(
                .init(
                    cluster: SimulatedCluster.name, shardCount: SimulatedCluster.shardCount,
                    laneCount: SimulatedCluster.laneCount))
        } catch {
            preconditionFailure("the database's contents cannot be made: \(error)")
        }
    }
}
