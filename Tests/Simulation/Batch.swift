import EscapementModel
import Glibc

/// Many seeds, each a process of its own: runs share nothing, and one that traps says which seed it was.
struct Batch {
    /// So many seeds must have met every one of `rarePaths`.
    private static let rarePathsWithin = 300
    /// What a run that proves anything has seen: a test that never goes there cannot fail there.
    private static let rarePaths =
        [
            // Lanes and shards.
            "late_admitted", "parked", "shard_lost", "lane_refused", "lane_lost", "shard_assigned_loaded",
            "shard_released",
            "topic_unavailable", "process_left", "member_drained", "member_resumed", "member_leaving",
            "lane_unreachable", "lane_reachable", "ticker_cut_off", "shard_rerouted",
            // Kafka.
            "producer_recycled", "fenced_open_transaction", "fenced_record", "fenced_end", "late_end_refused",
            "batch_refused",
            // The leader and the database.
            "leader_elected", "leader_stepped_down", "member_dead", "member_goodbye", "claim_failed",
            "checkpoint_failed",
            "snapshot_failed", "horizon_failed", "changes_failed",
        ] + UpgradePlan.names

    private let command: SimulateCommand

    init(_ command: SimulateCommand) { self.command = command }

    /// Runs this very command once more, with what a repeatable run needs in its environment; the exit code.
    static func again() throws -> Int32 {
        let child = try SeedProcess(Array(CommandLine.arguments.dropFirst()), captures: false)
        return child.wait().code
    }

    /// Runs all seeds; 0 when that is what was hoped for.
    func run() throws -> Int32 {
        let deadline = self.command.minutes.map { time(nil) + $0 * 60 }
        let last = self.command.firstSeed + self.command.seeds
        var next = self.command.firstSeed
        var running: [(seed: UInt64, process: SeedProcess)] = []
        var done = 0
        var failed: [UInt64] = []
        var totals: [String: Int] = [:]
        while next < last || !running.isEmpty {
            let mayStart = deadline.map { time(nil) < $0 } ?? true
            if !mayStart { next = last }
            while next < last, running.count < max(1, self.command.jobs) {
                running.append((next, try SeedProcess(self.arguments(next), captures: true)))
                next += 1
            }
            guard !running.isEmpty else { break }
            let (seed, process) = running.removeFirst()
            let (code, output) = process.wait()
            done += 1
            self.add(output, to: &totals)
            if code != 0 {
                failed.append(seed)
                if self.command.remove.isEmpty {
                    print(output, terminator: "")
                    print("seed \(seed) failed with \(code); repeat it with: \(self.repetition(seed))")
                    fflush(nil)
                }
                if !self.command.remove.isEmpty { next = last }
            }
        }
        return self.conclude(done, failed, totals)
    }

    private func conclude(_ done: Int, _ failed: [UInt64], _ totals: [String: Int]) -> Int32 {
        if !self.command.remove.isEmpty {
            guard let seed = failed.min() else {
                print("without \(self.command.remove): \(done) seeds noticed nothing")
                return 1
            }
            print("without \(self.command.remove): noticed by seed \(seed) (\(self.repetition(seed)))")
            return 0
        }
        print(totals.sorted { $0.key < $1.key }.map { "  \($0.key) \($0.value)" }.joined(separator: "\n"))
        print("\(done) seeds, \(failed.count) failed")
        let missed = Self.rarePaths.filter { totals[$0, default: 0] == 0 }
        if done >= Self.rarePathsWithin, !missed.isEmpty {
            print("never happened, though it should have: \(missed.joined(separator: ", "))")
            return 1
        }
        return failed.isEmpty ? 0 : 1
    }

    private func arguments(_ seed: UInt64) -> [String] {
        var arguments = [
            "--seed", "\(seed)", "--faults-for", "\(self.command.faultsFor)", "--fault-every",
            "\(self.command.faultEvery)",
        ]
        if !self.command.remove.isEmpty { arguments += ["--remove", self.command.remove] }
        return arguments
    }

    private func repetition(_ seed: UInt64) -> String {
        "./dev simulate " + self.arguments(seed).joined(separator: " ")
    }

    /// Sums up `name=number` words.
    private func add(_ output: String, to totals: inout [String: Int]) {
        for word in output.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
            let parts = word.split(separator: "=")
            if parts.count == 2, let number = Int(parts[1]) { totals[String(parts[0]), default: 0] += number }
        }
    }
}

/// One run in a process of its own.
final class SeedProcess {
    private let pid: pid_t
    private let output: Int32

    init(_ arguments: [String], captures: Bool) throws {
        var ends: [Int32] = [-1, -1]
        if captures, pipe(&ends) != 0 { throw SpawnError(code: errno) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if captures {
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO)
            posix_spawn_file_actions_addclose(&actions, ends[0])
            posix_spawn_file_actions_addclose(&actions, ends[1])
        }
        setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
        setenv("SWIFT_BACKTRACE", "enable=no", 0)
        var words: [UnsafeMutablePointer<CChar>?] = (["escapement-simulate"] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid = pid_t()
        let result = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &words, environ)
        guard result == 0 else { throw SpawnError(code: result) }
        self.pid = pid
        if captures { close(ends[1]) }
        self.output = ends[0]
    }

    /// Waits for the end: the exit code, 128 and the signal for a crash, and what was printed.
    func wait() -> (code: Int32, output: String) {
        var bytes: [UInt8] = []
        if self.output >= 0 {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(self.output, &buffer, buffer.count)
                if count <= 0 { break }
                bytes += buffer[0..<count]
            }
            close(self.output)
        }
        var status: Int32 = 0
        while waitpid(self.pid, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return (signal == 0 ? (status >> 8) & 0xff : 128 + signal, String(decoding: bytes, as: UTF8.self))
    }
}

struct SpawnError: Error {
    var code: Int32
}
