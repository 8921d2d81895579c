import ArgumentParser
import EscapementModel

extension DevCommand {
    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop one process of what runs, until it is started again.")

        @Argument(help: "coordinator-1, ticker-2, dispatcher-1, kafka, elasticsearch, postgres, ...")
        var name: String
        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"

        func run() async throws { try await DevRequest.stop(self.name).send(to: DevFiles.absolute(self.dataDir)) }
    }

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a process that was stopped; returns when it runs, not when it is ready.")

        @Argument(help: "Its name, as 'dev status' shows it.")
        var name: String
        @Option(name: .customLong("env"), help: "A variable for it from now on, NAME=VALUE.")
        var variables: [String] = []
        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"

        func validate() throws {
            for text in self.variables where !text.contains("=") || text.contains("\n") {
                throw ValidationError("--env wants NAME=VALUE, not '\(text)'")
            }
        }

        func run() async throws {
            try await DevRequest.start(self.name, variables: self.variables).send(to: DevFiles.absolute(self.dataDir))
        }
    }

    struct Scale: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have so many tickers or dispatchers.",
            discussion: "Those that are too many hand over what they own before they end.")

        @Argument(help: "ticker or dispatcher.")
        var role: String
        @Argument(help: "How many.")
        var count: Int
        @Option(help: "Where everything is kept.")
        var dataDir = ".dev"

        func validate() throws {
            guard ["ticker", "dispatcher"].contains(self.role), (1...DevStack.processesMax).contains(self.count) else {
                throw ValidationError("ticker or dispatcher, and from 1 to \(DevStack.processesMax) of them")
            }
        }

        func run() async throws {
            guard let role = Role(rawValue: self.role) else { throw ValidationError("no role \(self.role)") }
            try await DevRequest.scale(role, self.count).send(to: DevFiles.absolute(self.dataDir))
        }
    }
}
