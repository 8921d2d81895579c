import EscapementModel
import Glibc

/// What `dev stop`, `dev start` and `dev scale` ask of the supervisor that runs in a data directory: a file of words, and
/// a signal to read it. The file is gone when it is done; what went wrong is in a file beside it.
enum DevRequest: Equatable, Sendable {
    case stop(String)
    /// Variables are added to the process's environment, `NAME=VALUE`.
    case start(String, variables: [String])
    case scale(Role, Int)

    static let signal = SIGUSR1
    /// How long a request may take.
    static let patience = Duration.seconds(120)

    private static func file(_ folder: String) -> String { "\(folder)/request" }
    private static func errorFile(_ folder: String) -> String { "\(folder)/request.error" }

    private var words: [String] {
        switch self {
        case .stop(let name): ["stop", name]
        case .start(let name, let variables): ["start", name] + variables
        case .scale(let role, let count): ["scale", role.rawValue, "\(count)"]
        }
    }

    private init?(words: [String]) {
        switch (words.first, words.count) {
        case ("stop", 2): self = .stop(words[1])
        case ("start", 2...): self = .start(words[1], variables: Array(words.dropFirst(2)))
        case ("scale", 3):
            guard let role = Role(rawValue: words[1]), let count = Int(words[2]) else { return nil }
            self = .scale(role, count)
        default: return nil
        }
    }

    /// Asks, and returns when it is done.
    func send(to folder: String) async throws {
        guard let holder = DevLock.holder(of: folder) else { throw DevError("nothing runs in \(folder)") }
        guard !DevFiles.exists(Self.file(folder)) else { throw DevError("another request is being worked on") }
        unlink(Self.errorFile(folder))
        try DevFiles.write(self.words.joined(separator: "\n") + "\n", to: Self.file(folder), mode: 0o600)
        kill(holder, Self.signal)
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.patience)
        while DevFiles.exists(Self.file(folder)) {
            guard clock.now < deadline, DevLock.holder(of: folder) != nil else {
                unlink(Self.file(folder))
                throw DevError("the supervisor did not answer; see \(folder)/logs/supervisor.log")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        if let reason = try? DevFiles.read(Self.errorFile(folder)) { throw DevError(reason) }
    }

    /// Reads what is asked for and has it done; for the supervisor.
    static func serve(_ folder: String, _ stack: DevStack) async {
        guard let text = try? DevFiles.read(self.file(folder)) else { return }
        do {
            guard let request = DevRequest(words: text.split(separator: "\n").map(String.init)) else {
                throw DevError("this request cannot be read")
            }
            switch request {
            case .stop(let name): try await stack.stop(name)
            case .start(let name, let variables): try await stack.start(name, variables: variables)
            case .scale(let role, let count): try await stack.scale(role, to: count)
            }
        } catch {
            try? DevFiles.write("\(error)", to: self.errorFile(folder), mode: 0o600)
        }
        unlink(self.file(folder))
    }
}
