extension Migration {
    /// Questions about a name's past find its ended schedules too.
    static let namesOfEndedSchedules = Migration(
        version: 3, name: "names of ended schedules",
        statements: ["CREATE INDEX schedule_name ON schedule (namespace, name)"])
}
