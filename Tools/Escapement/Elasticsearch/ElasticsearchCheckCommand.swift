import ArgumentParser
import ElasticsearchStore
import JSON

/// `escapement es check`: compares and changes nothing.
struct ElasticsearchCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say which server answers and whether it is prepared; exit code 1 when it is not.")

    @Option(name: .shortAndLong, help: "text or json.")
    var output = CronOutput.text

    func run() async throws {
        let (client, setup) = try ElasticsearchCommand.store()
        let server = try await client.server()
        let findings = try await setup.check(client)
        switch self.output {
        case .text:
            print("\(server) answers")
            for finding in findings { print("\(finding.what): \(Self.text(finding.state))") }
        case .json:
            let list = findings.map { finding -> JSONValue in
                ["what": .string(finding.what), "state": .string(Self.text(finding.state))]
            }
            let report: JSONValue = ["server": .string("\(server)"), "findings": .array(list)]
            print(report.prettyText)
        }
        let isReady = findings.allSatisfy { finding in
            switch finding.state {
            case .right, .unsupported: true
            case .missing, .differs, .conflicts, .hidden: false
            }
        }
        guard isReady else { throw ExitCode.failure }
    }

    static func text(_ state: StoreSetup.State) -> String {
        switch state {
        case .right: "right"
        case .missing: "missing; run escapement es setup"
        case .differs(let how): "\(how); run escapement es setup"
        case .conflicts(let how): "\(how); setup cannot change this: re-index into an index that setup has prepared"
        case .hidden: "hidden from these credentials; check with those that ran escapement es setup"
        case .unsupported(let why): "not supported here: \(why)"
        }
    }
}
