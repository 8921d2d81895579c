import ArgumentParser

/// `escapement`: the command line.
@main
struct EscapementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escapement", abstract: "Schedules and delayed actions, fired on time, once, into Kafka.",
        subcommands: [
            ActivationCommand.self, ClusterCommand.self, CronCommand.self, DatabaseCommand.self, DevCommand.self,
            ScheduleCommand.self, TimerCommand.self, VersionCommand.self,
        ])
}
