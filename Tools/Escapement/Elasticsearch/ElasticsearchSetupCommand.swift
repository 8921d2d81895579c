import ArgumentParser
import ElasticsearchStore

/// `escapement es setup`: makes template and policy, and replaces those of another release. To run it twice is to
/// run it once.
struct ElasticsearchSetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup",
        abstract: "Make the index template and the retention policy, and map our records in OpenWhisk's indices.",
        discussion: """
            Needs the rights manage_index_templates and manage_ilm, and manage on the indices, because Elasticsearch \
            deletes with the rights of whoever put the policy. With this done, a dispatcher needs create_doc, \
            auto_configure, read and view_index_metadata on the indices only. Of Escapement's own indices those that \
            exist keep their mapping; of OpenWhisk's (ESCAPEMENT_ACTIVATIONS_FORMAT=openwhisk) those that exist get \
            what our records need. What cannot be had is said; exit code 1 when an index stands in the way.
            """)

    func run() async throws {
        let (client, setup) = try ElasticsearchCommand.store()
        let server = try await client.server()
        let made = try await setup.apply(client, replacing: true)
        for what in made { print("put \(what)") }
        var isReady = true
        for finding in try await setup.check(client) {
            switch finding.state {
            case .right, .differs, .hidden: continue
            case .unsupported: break
            case .missing, .conflicts: isReady = false
            }
            print("\(finding.what): \(ElasticsearchCheckCommand.text(finding.state))")
        }
        guard isReady else { throw ExitCode.failure }
        print("\(server) is ready for activation records\(made.isEmpty ? " already" : "")")
    }
}
