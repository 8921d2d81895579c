import ArgumentParser
import Glibc

extension EscapementCommand {
    /// Parses and runs. A wrong command line exits with 2, as our exit codes say, not with `EX_USAGE`.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try self.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            if self.exitCode(for: error) == .validationFailure {
                Console.tell(self.fullMessage(for: error))
                Glibc.exit(ExitStatus.usage.rawValue)
            }
            self.exit(withError: error)
        }
    }
}
