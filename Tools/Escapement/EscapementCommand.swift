import ArgumentParser

/// `escapement`: the command line.
@main
struct EscapementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escapement", abstract: "Schedules and delayed actions, fired on time, once, into Kafka.",
        subcommands: [
            ActivationCommand.self, AuditCommand.self, BenchCommand.self, ClusterCommand.self, ConfigCommand.self,
            CronCommand.self, DatabaseCommand.self, DeadLetterCommand.self, DevCommand.self, ElasticsearchCommand.self,
            KafkaCommand.self, NamespaceCommand.self, ScheduleCommand.self, TimerCommand.self, VersionCommand.self,
        ])
}
