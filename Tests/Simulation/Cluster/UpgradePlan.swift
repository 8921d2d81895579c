import EscapementModel
import WireProtocol

/// A rolling upgrade under faults: processes that speak the former protocol version are replaced, role by role, by ones
/// that speak this build's. In which of the six orders, and whether at all, is drawn for each run.
final class UpgradePlan: @unchecked Sendable {
    /// What a build speaks that is one version older.
    static let former = ProtocolRange(
        lowest: ProtocolRange.current.lowest, highest: ProtocolRange.current.highest - 1)
    static let roles: [Role] = [.coordinator, .dispatcher, .ticker]
    /// The names under which finished upgrades are counted.
    static let names = UpgradePlan.roles.flatMap { first in
        UpgradePlan.roles.filter { $0 != first }.map { second in
            UpgradePlan.name([first, second] + UpgradePlan.roles.filter { $0 != first && $0 != second })
        }
    }
    /// How long a process may take to leave before it is killed.
    private static let leaveMax = Duration.seconds(3)

    private let cluster: SimulatedCluster
    private let settings: RunSettings
    /// `nil` when all are new from the beginning.
    private let order: [Role]?
    private var random: SplitMix64

    init(cluster: SimulatedCluster, settings: RunSettings, seed: UInt64) {
        var random = SplitMix64(seed: seed)
        self.cluster = cluster
        self.settings = settings
        self.order = Bool.random(using: &random) ? Self.roles.shuffled(using: &random) : nil
        self.random = random
        for role in self.order ?? [] { cluster.versions[role] = Self.former }
    }

    private static func name(_ order: [Role]) -> String {
        "upgraded_\(order.map(\.rawValue).joined(separator: "_"))"
    }

    /// Replaces every process, one after the other.
    func run() async {
        guard let order else { return }
        let simulator = self.cluster.simulator
        await simulator.pause(.seconds(8))
        for role in order {
            self.cluster.versions[role] = .current
            for seat in self.cluster.seats + self.cluster.spareSeats where seat.role == role {
                // The rest of the time is for the cluster to settle in.
                guard simulator.now < (self.settings.faultsFor - .seconds(5)).wholeNanoseconds else { return }
                await self.replace(seat)
            }
            await simulator.pause(.seconds(Double.random(in: 1...6, using: &self.random)))
        }
        self.cluster.events.count(Self.name(order))
    }

    private func replace(_ seat: SimulatedCluster.Seat) async {
        guard let host = self.cluster.host(of: seat) else { return }
        if self.cluster.leave(seat) {
            let end = self.cluster.simulator.now + Self.leaveMax.wholeNanoseconds
            while self.cluster.host(of: seat) === host, self.cluster.simulator.now < end {
                await self.cluster.simulator.pause(.milliseconds(200))
            }
        }
        // Somebody else's fault may have ended it, and started it anew, meanwhile.
        guard self.cluster.host(of: seat) === host || self.cluster.host(of: seat) == nil else { return }
        self.cluster.kill(seat, silently: false)
        await self.cluster.simulator.pause(.milliseconds(Int.random(in: 100...1500, using: &self.random)))
        self.cluster.start(seat)
    }
}
