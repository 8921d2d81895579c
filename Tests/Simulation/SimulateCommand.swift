import ArgumentParser
import EscapementModel
import Glibc
import SimulationExecutor

/// `escapement-simulate`: runs of the whole cluster under faults, each from a seed and so repeatable.
@main
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escapement-simulate",
        abstract: "Run the cluster on simulated time under faults, and check that nothing is lost or doubled.",
        discussion: """
            Every run is one process and repeats exactly: '--seed N' runs one again, '--verbose' with all its log lines. \
            Exits with 1 when an invariant is broken, and prints the seed and the command.
            """)

    @Option(help: "Run this seed alone, here, and say what happened.")
    var seed: UInt64?
    @Option(help: "How many seeds to run.")
    var seeds: UInt64 = 100
    @Option(help: "The first of them.")
    var firstSeed: UInt64 = 1
    @Option(help: "Stop after so many minutes of real time, however many seeds are left.")
    var minutes: Int?
    @Option(help: "Runs at a time.")
    var jobs = 2
    @Option(help: "Simulated seconds with faults in each run.")
    var faultsFor = 60
    @Option(help: "Mean seconds between two faults.")
    var faultEvery = 4.0
    @Option(help: "Leave out a defence, or several joined by '+'; succeeds when a seed notices.")
    var remove = ""
    @Flag(help: "With --seed: print all log lines.")
    var verbose = false

    var removed: [Defence] {
        get throws {
            try self.remove.split(separator: "+").map { name in
                guard let defence = Defence(rawValue: String(name)) else {
                    let names = Defence.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ValidationError("--remove \(name): there is no such defence; there are \(names)")
                }
                return defence
            }
        }
    }

    func run() throws {
        if let seed {
            // One run, and the only thread; the dictionary order of two processes must be the same.
            guard getenv("SWIFT_DETERMINISTIC_HASHING") != nil else { throw ExitCode(try Batch.again()) }
            throw ExitCode(try self.runOne(seed))
        }
        throw ExitCode(try Batch(self).run())
    }

    private func runOne(_ seed: UInt64) throws -> Int32 {
        simulation_take_over()
        var settings = RunSettings(seed: seed)
        settings.faultsFor = .seconds(self.faultsFor)
        settings.faultEvery = .seconds(self.faultEvery)
        settings.isVerbose = self.verbose
        let removed = try self.removed
        if !removed.isEmpty {
            #if DEFENCE_REMOVAL
            Defence.removed = Set(removed)
            #else
            throw ValidationError("--remove \(self.remove) needs a build with ESCAPEMENT_DEFENCE_REMOVAL=1")
            #endif
        }
        let run = Run(settings)
        let violations = run.perform()
        for violation in violations { print("violation: \(violation)") }
        let oracle = run.cluster.oracle
        let paths = run.cluster.events.counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let faults = run.faultCounts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            "\($0.key.rawValue)=\($0.value)"
        }
        print(
            "seed \(seed): settled=\(oracle.settledCount) dispatched=\(oracle.dispatchedCount) "
                + "steps=\(run.cluster.simulator.stepCount) seconds=\(run.cluster.simulator.now / 1_000_000_000)")
        print("faults \(faults.joined(separator: " "))")
        print("paths \(paths.joined(separator: " ")) late_admitted=\(oracle.lateCount) parked=\(oracle.parkedCount)")
        print("kafka \(run.cluster.kafka.rarities.map { "\($0.name)=\($0.count)" }.joined(separator: " "))")
        fflush(nil)
        return violations.isEmpty ? 0 : 1
    }
}
