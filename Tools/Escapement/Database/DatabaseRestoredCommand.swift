import ArgumentParser
import PostgresStore

/// `escapement db restored`: to be run once after a backup was restored, before a coordinator starts.
struct DatabaseRestoredCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restored",
        abstract: "Raise all counters after a backup was restored, before the coordinators start.",
        discussion: """
            A backup's epochs and revisions are older than what the journal and the running services have seen. This lets them \
            continue above every value ever given out. To run it without need does no harm.
            """)

    func run() async throws {
        let (connection, schema) = try DatabaseCommand.settings()
        let raised = try await PostgresRecovery(settings: connection, schema: schema).raiseCounters()
        print("raised the counters of the leader, \(raised.shards) shards and \(raised.lanes) lanes")
    }
}
