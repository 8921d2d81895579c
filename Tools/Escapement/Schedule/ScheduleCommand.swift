import ArgumentParser

/// `escapement schedule`.
struct ScheduleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule", abstract: "Schedules: cron, intervals, lists of instants.",
        subcommands: [
            ScheduleCreateCommand.self, ScheduleGetCommand.self, ScheduleListCommand.self,
            ScheduleDeleteCommand.self, SchedulePreviewCommand.self, ScheduleHistoryCommand.self,
        ])
}
