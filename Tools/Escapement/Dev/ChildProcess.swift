import Glibc
import Synchronization

/// A process that the supervisor started and will stop.
final class ChildProcess: Sendable {
    /// What to run; the environment is exactly `environment`, so nothing of the caller's leaks in.
    struct Launch: Sendable {
        var executable: String
        var arguments: [String]
        var environment: [String: String]
        /// Both output streams are appended to it.
        var logFile: String
        /// Lets it outlive the terminal.
        var hasOwnSession = false

        /// The same for another user, whom we may become as root; it keeps reading and writing our files. The
        /// program replaces the one that changes the user, so that signals reach it.
        func asUser(_ user: Int) -> Launch {
            var launch = self
            launch.executable = "/usr/bin/setpriv"
            launch.arguments =
                [
                    "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--inh-caps=+dac_override",
                    "--ambient-caps=+dac_override", self.executable,
                ] + self.arguments
            return launch
        }
    }

    /// How a process ended.
    enum Ending: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32)
        case killed(signal: Int32)

        var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .killed(let signal): "signal \(signal)"
            }
        }
    }

    /// `POSIX_SPAWN_SETSID`, which the headers hide without `_GNU_SOURCE`.
    private static let setSession: Int32 = 0x80

    let name: String
    let pid: pid_t
    private let ending = Mutex<Ending?>(nil)
    private let ended: AsyncStream<Ending>
    private let end: AsyncStream<Ending>.Continuation

    /// Starts the process in a process group of its own, so that Ctrl-C reaches the supervisor alone.
    ///
    /// - Throws: `DevError` when it cannot be started.
    init(name: String, _ launch: Launch) throws(DevError) {
        self.name = name
        (self.ended, self.end) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, launch.logFile, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setpgroup(&attributes, 0)
        // A session leader leads its process group too.
        let group = launch.hasOwnSession ? Self.setSession : Int32(POSIX_SPAWN_SETPGROUP)
        posix_spawnattr_setflags(&attributes, Int16(group | Int32(POSIX_SPAWN_SETSIGMASK)))
        var pid: pid_t = 0
        let arguments = [launch.executable] + launch.arguments
        let environment = launch.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let result = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&pid, launch.executable, &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else {
            throw DevError("cannot start \(launch.executable): \(String(cString: strerror(result)))")
        }
        self.pid = pid
        self.reap()
    }

    var isRunning: Bool { self.ending.withLock { $0 == nil } }

    func send(_ signal: Int32) {
        // Held while the process is known to live: its number cannot belong to another one yet.
        self.ending.withLock { ending in
            if ending == nil { kill(self.pid, signal) }
        }
    }

    /// Waits for the end; one caller.
    func wait() async -> Ending {
        if let known = self.ending.withLock({ $0 }) { return known }
        for await ending in self.ended { return ending }
        return self.ending.withLock { $0 } ?? .exited(0)
    }

    /// Asks with `signal`, and insists with SIGKILL after `patience`.
    func stop(_ signal: Int32 = SIGTERM, patience: Duration) async {
        self.send(signal)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await self.wait() }
            group.addTask {
                // The limit of our patience; cancelled when the process has ended.
                do { try await Task.sleep(for: patience) } catch { return }
                self.send(SIGKILL)
                _ = await self.wait()
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// A thread waits for this one process: `waitpid` for any would take others' from them.
    private func reap() {
        let box = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let child = Unmanaged<ChildProcess>.fromOpaque(raw).takeRetainedValue()
                var status: Int32 = 0
                while waitpid(child.pid, &status, 0) < 0, errno == EINTR {}
                let ending: Ending = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .killed(signal: status & 0x7f)
                child.ending.withLock { $0 = ending }
                child.end.yield(ending)
                child.end.finish()
                return nil
            }, box.toOpaque())
        precondition(result == 0, "no thread can be made: error \(result)")
        pthread_detach(thread)
    }
}

/// A problem of the development stack, in words for the person who runs it.
struct DevError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
}

/// Runs a command to its end and answers what it printed; for short ones.
///
/// - Throws: `DevError` with the output when it does not exit with 0.
func runCommand(
    _ executable: String, _ arguments: [String], environment: [String: String], outputFile: String
) async throws(DevError) -> String {
    unlink(outputFile)
    let child = try ChildProcess(
        name: executable,
        ChildProcess.Launch(
            executable: executable, arguments: arguments, environment: environment, logFile: outputFile))
    let ending = await child.wait()
    let output = (try? DevFiles.read(outputFile)) ?? ""
    unlink(outputFile)
    guard ending == .exited(0) else {
        throw DevError("\(executable) failed (\(ending)): \(output)")
    }
    return output
}
