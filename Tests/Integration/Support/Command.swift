import Glibc
import TestSupport

/// A program of ours, run as a user runs it.
struct Command: Sendable {
    struct Result: Sendable {
        var code: Int32
        var output: String
        var errors: String
    }

    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]

    /// - Parameter environment: instead of this process's; `nil` keeps that.
    init(_ name: String, _ arguments: [String], environment: [String: String]? = nil) {
        self.executable = "\(Self.folder)/\(name)"
        self.arguments = arguments
        self.environment = environment ?? Self.inherited
    }

    /// A program of the system.
    init(path: String, _ arguments: [String], environment: [String: String]? = nil) {
        self.executable = path
        self.arguments = arguments
        self.environment = environment ?? Self.inherited
    }

    static func escapement(_ arguments: [String]) -> Command { Command("escapement", arguments) }

    /// Where the build has put the programs: beside the test bundle.
    static let folder: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }()

    /// The environment of the tests.
    static var inherited: [String: String] {
        var found: [String: String] = [:]
        var pointer = environ
        while let entry = pointer.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "=") {
                found[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            pointer += 1
        }
        return found
    }

    /// Runs to the end on a thread of its own.
    func run() async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { continuation.resume(with: Swift.Result { try self.runNow() }) }
            thread.start()
        }
    }

    /// Runs and fails with what it said when it does not succeed.
    @discardableResult func succeed() async throws -> String {
        let result = try await self.run()
        guard result.code == 0 else {
            throw StackError(
                "\(self.executable) \(self.arguments.joined(separator: " ")) ended with \(result.code):\n"
                    + "\(result.output)\(result.errors)")
        }
        return result.output
    }

    private func runNow() throws -> Result {
        let output = TemporaryFolder()
        defer { withExtendedLifetime(output) {} }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(
            &actions, STDOUT_FILENO, output.path(of: "out"), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, output.path(of: "err"), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var words: [UnsafeMutablePointer<CChar>?] = ([self.executable] + self.arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            self.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + variables { free(word) } }
        var pid = pid_t()
        let spawned = posix_spawn(&pid, self.executable, &actions, nil, &words, &variables)
        guard spawned == 0 else { throw StackError("\(self.executable) cannot be started: error \(spawned)") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return Result(
            code: signal == 0 ? (status >> 8) & 0xff : 128 + signal, output: try TextFile.read(output.path(of: "out")),
            errors: try TextFile.read(output.path(of: "err")))
    }
}

/// A thread that runs one closure: a blocking wait has no place on the cooperative pool.
private final class Thread: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func start() {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<Thread>.fromOpaque(raw).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(result == 0, "a thread cannot be made: error \(result)")
        pthread_detach(thread)
    }
}
