package import EscapementModel

extension ScheduleDefinition {
    /// All that is wrong with the definition; empty when it compiles. With `now`, a schedule that has
    /// nothing left to fire after it is a problem too (`exhausted`).
    package func problems(
        zones: ZoneDatabase, calendars: HolidayCalendars = .none, uid: UID = .zero, now: WallInstant? = nil
    ) -> [ScheduleError] {
        let createdAt = now ?? self.startAt ?? WallInstant(milliseconds: 0)
        var compiler = ScheduleCompiler(
            definition: self, uid: uid, createdAt: createdAt, zones: zones, calendars: calendars, cache: nil)
        let parts = compiler.compile()
        if !compiler.problems.isEmpty { return compiler.problems }
        if let now {
            let before = WallInstant(milliseconds: now.milliseconds - 1)
            if CompiledSchedule(parts, definition: self, uid: uid).isExhausted(at: before) {
                return [
                    ScheduleError(
                        .exhausted, path: "", "The schedule has no occurrence left: all of them are past or excluded.")
                ]
            }
        }
        return []
    }

    /// The problem of a zone written beside expressions that name another one; `nil` when they agree.
    /// For interfaces, which can tell an explicit `UTC` from the default.
    package func zoneConflict(explicitTimeZone: String?) -> ScheduleError? {
        guard let explicitTimeZone, case .cron(let texts) = self.trigger else { return nil }
        for (index, text) in texts.enumerated() {
            guard let name = Self.zonePrefix(of: text), name != explicitTimeZone else { continue }
            return ScheduleError(
                .timeZoneConflict, path: "cron/\(index)",
                "The expression says \(name), the schedule \(explicitTimeZone); remove one of them.")
        }
        return nil
    }

    /// The zone of a `CRON_TZ=` or `TZ=` prefix.
    package static func zonePrefix(of text: String) -> String? {
        let trimmed = text.drop { $0 == " " || $0 == "\t" }
        for prefix in ["CRON_TZ=", "TZ="] where trimmed.hasPrefix(prefix) {
            return String(trimmed.dropFirst(prefix.count).prefix { $0 != " " && $0 != "\t" })
        }
        return nil
    }
}
