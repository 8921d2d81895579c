import ArgumentParser
import ElasticsearchStore

/// `escapement es setup`: makes template and policy, and replaces those of another release. To run it twice is to
/// run it once.
struct ElasticsearchSetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Make the index template and the retention policy.",
        discussion: """
            Needs the rights manage_index_templates and manage_ilm, and manage on the indices, because Elasticsearch \
            deletes with the rights of whoever put the policy. With this done, a dispatcher needs create_doc, \
            auto_configure, read and view_index_metadata on the indices only. Indices that exist keep their mapping.
            """)

    func run() async throws {
        let (client, setup) = try ElasticsearchCommand.store()
        let server = try await client.server()
        let made = try await setup.apply(client, replacing: true)
        for what in made { print("put \(what)") }
        print("\(server) is ready for activation records\(made.isEmpty ? " already" : "")")
    }
}
