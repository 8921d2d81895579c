import ArgumentParser

/// `escapement schedule`.
struct ScheduleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule", abstract: "Schedules: cron, intervals, lists of instants.",
        subcommands: [
            ScheduleCreateCommand.self, ScheduleSetCommand.self, ScheduleGetCommand.self, ScheduleListCommand.self,
            ScheduleDeleteCommand.self, SchedulePauseCommand.self, ScheduleResumeCommand.self,
            ScheduleTriggerCommand.self, ScheduleBackfillCommand.self, SchedulePreviewCommand.self,
            ScheduleHistoryCommand.self,
            ScheduleExplainCommand.self, ScheduleRevisionsCommand.self, ScheduleApplyCommand.self,
            ScheduleExportCommand.self, ScheduleImportCommand.self,
        ])
}
