import EscapementModel
import Glibc
import Testing
import TestSupport

/// A firewall between the processes of a stack. Each of them runs as a user of its own; every connection of such a user
/// is marked when it is made, and cutting a process off drops all packets of its connections, both ways, also of new ones.
///
/// For a network namespace that is ours alone: `./dev test` makes one.
struct Partition {
    static let variable = "ESCAPEMENT_TEST_PRIVATE_NETWORK"
    static let isPossible = getenv(Self.variable) != nil
    static let whyNot: Comment =
        "wants a network namespace of its own, which './dev test' makes where the machine allows it"
    /// The number of the user of the first process.
    static let firstUser = 60_001

    private static let roles = [Role.coordinator, .dispatcher, .ticker]
    /// A bit of the mark for each process.
    private let bits: [String: Int]

    /// Runs `body` on a stack of its own behind the firewall; both are gone afterwards, however it ends.
    ///
    /// - Parameter options: of `escapement dev up`.
    static func with(
        _ options: [String] = [], _ body: (Stack, Partition) async throws -> Void
    ) async throws {
        try await Stack.with(["--users-from", "\(Self.firstUser)"] + options) { stack in
            let partition = try await Partition(stack)
            do {
                try await body(stack, partition)
            } catch {
                try await Self.remove()
                throw error
            }
            try await Self.remove()
        }
    }

    /// Learns who is who, and marks connections from now on.
    private init(_ stack: Stack) async throws {
        // Users are given in the order in which processes are started, and the report keeps it.
        let names = try Self.roles.flatMap { try stack.processes($0).map(\.name) }
        var bits: [String: Int] = [:]
        var rules = ""
        for (index, name) in names.enumerated() {
            bits[name] = 1 << index
            rules +=
                "add rule inet partition out meta skuid \(Self.firstUser + index) ct mark set ct mark or \(1 << index)\n"
        }
        self.bits = bits
        try await Self.apply(
            """
            add table inet partition
            add chain inet partition out { type filter hook output priority 0; }
            add chain inet partition cut-out { type filter hook output priority 1; }
            add chain inet partition cut-in { type filter hook input priority 1; }
            \(rules)
            """)
    }

    /// Cuts a process off from all others.
    func cut(_ process: Stack.Process) async throws { try await self.drop([process]) }

    /// Cuts two processes off from one another; each still reaches all others.
    func cut(_ process: Stack.Process, from other: Stack.Process) async throws {
        try await self.drop([process, other])
    }

    /// Cuts a process off from what listens at a port; it still reaches all else.
    func cut(_ process: Stack.Process, fromPort port: Int) async throws {
        let bit = try #require(self.bits[process.name])
        try await Self.apply(
            """
            add rule inet partition cut-out ct mark and \(bit) == \(bit) tcp dport \(port) drop
            add rule inet partition cut-in ct mark and \(bit) == \(bit) tcp dport \(port) drop
            add rule inet partition cut-out ct mark and \(bit) == \(bit) tcp sport \(port) drop
            add rule inet partition cut-in ct mark and \(bit) == \(bit) tcp sport \(port) drop

            """)
    }

    /// Drops all packets of connections in which all of `processes` have a part.
    private func drop(_ processes: [Stack.Process]) async throws {
        let bits = try processes.reduce(0) { try $0 | #require(self.bits[$1.name]) }
        try await Self.apply(
            """
            add rule inet partition cut-out ct mark and \(bits) == \(bits) drop
            add rule inet partition cut-in ct mark and \(bits) == \(bits) drop

            """)
    }

    func heal() async throws {
        try await Self.apply("flush chain inet partition cut-out\nflush chain inet partition cut-in\n")
    }

    private static func remove() async throws { try await self.apply("delete table inet partition\n") }

    private static func apply(_ rules: String) async throws {
        let folder = TemporaryFolder()
        defer { withExtendedLifetime(folder) {} }
        try await Command(path: "/usr/sbin/nft", ["-f", folder.write(rules, to: "rules")]).succeed()
    }
}
