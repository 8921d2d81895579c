import Glibc

/// A program that must not share this process; it says what it has to in lines.
final class ChildProcess {
    private let name: String
    let process: pid_t
    private let input: Int32
    private let output: Int32

    /// This program once more.
    convenience init(_ arguments: [String], allocator: Allocator) throws(BenchError) {
        try self.init(
            arguments.first ?? "", program: "/proc/self/exe", ["escapement-bench"] + arguments,
            environment: allocator.environment)
    }

    /// - Parameters:
    ///   - words: its arguments, the name it is called by first.
    ///   - isLogged: what it prints is for people, and goes where this program's complaints go.
    init(
        _ name: String, program: String, _ words: [String], environment: [String], isLogged: Bool = false
    ) throws(BenchError) {
        self.name = name
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        guard pipe(&input) == 0, pipe(&output) == 0 else { throw BenchError("no pipe") }
        for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input[0], 0)
        posix_spawn_file_actions_adddup2(&actions, isLogged ? 2 : output[1], 1)
        var process: pid_t = 0
        let status = withCStrings(words) { words in
            withCStrings(environment) { posix_spawn(&process, program, &actions, nil, words, $0) }
        }
        close(input[0])
        close(output[1])
        self.process = process
        self.input = input[1]
        self.output = output[0]
        guard status == 0 else {
            throw BenchError("'\(self.name)' does not start: \(String(cString: strerror(status)))")
        }
    }

    /// The next line that it prints.
    func line() throws(BenchError) -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(self.output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        guard !line.isEmpty else { throw BenchError("'\(self.name)' ended without an answer") }
        return String(decoding: line, as: UTF8.self)
    }

    /// Ends its input, or kills it, and waits until it ends as well.
    func stop(kills: Bool = false) {
        if kills { kill(self.process, SIGKILL) }
        close(self.input)
        close(self.output)
        var status: Int32 = 0
        waitpid(self.process, &status, 0)
    }
}
