import EscapementModel
import JSON

/// Schedules as people read them.
struct ScheduleText {
    let now: WallInstant

    func lines(_ schedule: JSONValue) -> [String] {
        let status = schedule["status"]
        var lines = [
            "name        \(schedule.cell("namespace"))/\(schedule.cell("name"))",
            "state       \(status?.cell("state") ?? "-")",
            "fires       \(status?.cell("text") ?? "-")",
            "next        \(self.next(status))",
        ]
        if let action = schedule["target"]?["action"]?.stringValue { lines.append("action      \(action)") }
        if let topic = schedule["target"]?["topic"]?.stringValue { lines.append("topic       \(topic)") }
        lines.append("priority    \(schedule.cell("priority"))")
        if let pause = schedule["pause"], pause["reason"]?.stringValue != nil {
            lines.append(
                "paused      \(pause.cell("reason")) since \(pause.cell("since")), by \(schedule.cell("updatedBy"))")
        }
        if case .object(let labels)? = schedule["labels"], !labels.isEmpty {
            lines.append("labels      " + Self.labels(schedule))
        }
        lines.append("generation  \(schedule.cell("generation")), changed \(schedule.cell("updatedAt"))")
        lines.append("uid         \(schedule.cell("uid")), shard \(status?.cell("shard") ?? "-")")
        return lines
    }

    func table(_ schedules: [JSONValue]) -> TextTable {
        var table = TextTable("NAME", "STATE", "NEXT", "FIRES", "ACTION")
        for schedule in schedules {
            let status = schedule["status"]
            table.add(
                schedule.cell("name"), status?.cell("state") ?? "-", self.next(status), status?.cell("text") ?? "-",
                schedule["target"]?.cell("action") ?? "-")
        }
        return table
    }

    private func next(_ status: JSONValue?) -> String {
        guard let next = status?["nextFireAt"]?.stringValue else { return "-" }
        return "\(next) (\(RelativeTime.text(next, now: self.now)))"
    }

    private static func labels(_ schedule: JSONValue) -> String {
        (schedule["labels"]?.objectValue ?? []).map { "\($0.name)=\($0.value.stringValue ?? "")" }
            .joined(separator: ", ")
    }
}
