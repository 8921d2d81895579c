import ArgumentParser
@preconcurrency import Dispatch
import Glibc
import HTTPClient
import JSON
import Synchronization

/// `escapement dev`: the whole product on one machine.
struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Run the whole product on this machine.",
        subcommands: [
            Up.self, Down.self, Status.self, Logs.self, Stop.self, Start.self, Scale.self,
        ])

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start everything and wait until it is ready.",
            discussion: """
                Runs PostgreSQL, the dev Kafka, the dev Elasticsearch, coordinators, tickers and dispatchers as \
                separate processes that talk mutual TLS. The data stays in the data directory; dev.json there \
                says where everything is. A Kafka, Elasticsearch or PostgreSQL that the environment names \
                (KAFKA_BOOTSTRAP_SERVERS, ELASTICSEARCH_URL, PGHOST or DATABASE_URL) is used instead.
                """)

        @OptionGroup var options: DevOptions
        @Flag(name: .shortAndLong, help: "Return when everything is ready, and leave it running.")
        var detach = false

        func run() async throws {
            let folder = DevFiles.absolute(self.options.dataDir)
            if let running = DevLock.holder(of: folder) {
                throw DevError(
                    "already running as process \(running); './dev status' shows it, './dev down' stops it")
            }
            if self.detach {
                try await self.startDetached(folder)
                return
            }
            let lock = try DevLock(folder: folder)
            defer { lock.release() }
            let stack = try DevStack(options: self.options) { line in
                print("==> \(line)")
                fflush(nil)
            }
            let interruption = Interruption()
            let requests = SignalStream(DevRequest.signal)
            do {
                try await self.start(stack, interruption)
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { for await _ in requests.stream { await DevRequest.serve(folder, stack) } }
                    await interruption.wait()
                    group.cancelAll()
                }
                print("==> stopping")
            } catch is CancellationError {
                print("==> stopping")
            } catch {
                await stack.stop()
                throw error
            }
            await stack.stop()
        }

        /// Starts the stack, or throws `CancellationError` when Ctrl-C comes first.
        private func start(_ stack: DevStack, _ interruption: Interruption) async throws {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await stack.start()
                    return true
                }
                group.addTask {
                    await interruption.wait()
                    return false
                }
                let isStarted = try await group.next() ?? false
                group.cancelAll()
                if !isStarted { throw CancellationError() }
            }
            print(DevGuide.text(for: await stack.current))
            fflush(nil)
        }

        /// Runs ourselves again in a session of its own and waits for its report.
        private func startDetached(_ folder: String) async throws {
            try DevFiles.makeDirectory("\(folder)/logs")
            let log = "\(folder)/logs/supervisor.log"
            unlink(log)
            let arguments = CommandLine.arguments.dropFirst().filter { $0 != "-d" && $0 != "--detach" }
            let child = try ChildProcess(
                name: "supervisor",
                ChildProcess.Launch(
                    executable: "\(try DevFiles.executableFolder())/escapement", arguments: Array(arguments),
                    environment: DevFiles.variables { _ in true }, logFile: log, hasOwnSession: true))
            while true {
                if let report = DevStatus.report(in: folder), report["ready"]?.boolValue == true,
                    let text = try? DevFiles.read(log), text.contains(DevGuide.lastLine)
                {
                    print(text)
                    return
                }
                guard child.isRunning else {
                    throw DevError("the stack did not start:\n\((try? DevFiles.read(log)) ?? "")")
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop what runs in a data directory.")

        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"

        func run() async throws {
            let folder = DevFiles.absolute(self.dataDir)
            guard let holder = DevLock.holder(of: folder) else {
                try await DevStatus.stopLeftovers(in: folder)
                print("nothing runs in \(folder)")
                return
            }
            kill(holder, SIGTERM)
            while DevLock.holder(of: folder) != nil { try await Task.sleep(for: .milliseconds(100)) }
            print("stopped")
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what runs, where, and whether it is ready.")

        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"
        @Flag(help: "Print dev.json.")
        var json = false

        func run() async throws {
            let folder = DevFiles.absolute(self.dataDir)
            guard DevLock.holder(of: folder) != nil, let report = DevStatus.report(in: folder) else {
                print("nothing runs in \(folder)")
                throw ExitCode(6)
            }
            print(self.json ? report.prettyText : await DevStatus.table(report))
        }
    }

    struct Logs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the logs of all processes, or of one.")

        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"
        @Flag(name: .shortAndLong, help: "Go on with new lines.")
        var follow = false
        @Option(name: .shortAndLong, help: "How many last lines of each.")
        var lines = 100
        @Argument(help: "coordinator-1, ticker-2, dispatcher-1, kafka, elasticsearch, postgres, ...")
        var name: String?

        func run() async throws {
            let folder = "\(DevFiles.absolute(self.dataDir))/logs"
            let files = try DevStatus.logFiles(in: folder, name: self.name)
            // tail does this well: it follows several files, and files that are replaced.
            let arguments = ["tail", "-n", "\(self.lines)"] + (self.follow ? ["-F"] : []) + files
            var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
            pointers.append(nil)
            execvp("tail", &pointers)
            throw DevError("cannot run tail: \(String(cString: strerror(errno)))")
        }
    }
}

/// A signal each time it comes; several at once may be one.
final class SignalStream: Sendable {
    let stream: AsyncStream<Void>
    private let source: any DispatchSourceSignal

    init(_ number: Int32) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.stream = stream
        signal(number, SIG_IGN)
        self.source = DispatchSource.makeSignalSource(signal: number)
        self.source.setEventHandler { continuation.yield() }
        self.source.activate()
    }
}

/// The first Ctrl-C or SIGTERM asks to stop; the second one ends the program at once.
final class Interruption: Sendable {
    private struct State {
        var isRaised = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter: UInt64 = 0
    }

    private let state = Mutex(State())
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    init() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { self.raise() }
            source.activate()
            self.sources.withLock { $0.append(source) }
        }
    }

    private func raise() {
        let waiters = self.state.withLock { state in
            if state.isRaised { _exit(1) }
            state.isRaised = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when a signal has come, or the task is cancelled.
    func wait() async {
        let id = self.state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLock { state in
                    if state.isRaised || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
