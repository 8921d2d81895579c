extension ScheduleDefinition {
    /// Whether schedules that read alike have the same occurrences whoever they are and whenever they were created,
    /// apart from those before their creation: then one compiled schedule serves all of them. Definitions that draw
    /// from the uid (`H`, jitter), count from the beginning or measure from it do not.
    ///
    /// - Parameter cache: where the expressions are looked up, and left for the compiler.
    package func isImpersonal(zones: ZoneDatabase, cache: ProgramCache) -> Bool {
        guard case .cron(let texts) = self.trigger, self.limit == nil, self.jitterMilliseconds == 0,
            self.exclusions.isEmpty
        else { return false }
        return texts.allSatisfy { text in
            do throws(CronError) {
                let expression = try cache.expression(text, seed: "", zones: zones)
                guard case .calendar = expression.body else { return false }
                return !expression.isSeeded
            } catch {
                // The compiler says what is wrong with it.
                return false
            }
        }
    }
}
