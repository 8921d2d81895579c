import EscapementModel
import Glibc

/// Kills and stops processes at random, as a seed says.
struct RandomHarm {
    /// Between two blows.
    static let pause = 1500...4000
    /// How long a stopped process stays so: past the leader's patience, or not.
    static let stop = 300...6000

    private var random: SplitMix64
    private(set) var blows: [String: Int] = [:]

    init(seed: UInt64) { self.random = SplitMix64(seed: seed) }

    var summary: String {
        self.blows.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// Goes on until `end`; nothing is left stopped.
    mutating func rage(in stack: Stack, until end: WallInstant) async throws {
        let clocks = SystemClocks()
        while clocks.wallNow() < end {
            try await clocks.sleep(
                for: .milliseconds(Int64.random(in: self.milliseconds(Self.pause), using: &self.random)))
            let role = [Role.ticker, .dispatcher, .coordinator].randomElement(using: &self.random) ?? .ticker
            guard let victim = try stack.processes(role).randomElement(using: &self.random) else { continue }
            if Bool.random(using: &self.random) {
                kill(victim.pid, SIGKILL)
                self.blows["\(role.rawValue)s killed", default: 0] += 1
            } else {
                kill(victim.pid, SIGSTOP)
                self.blows["\(role.rawValue)s stopped", default: 0] += 1
                let length = Duration.milliseconds(
                    Int64.random(in: self.milliseconds(Self.stop), using: &self.random))
                do {
                    try await clocks.sleep(for: length)
                } catch {
                    kill(victim.pid, SIGCONT)
                    throw error
                }
                kill(victim.pid, SIGCONT)
            }
        }
    }

    private func milliseconds(_ range: ClosedRange<Int>) -> ClosedRange<Int64> {
        Int64(range.lowerBound)...Int64(range.upperBound)
    }
}
