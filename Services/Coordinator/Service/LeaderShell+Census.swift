import EscapementModel
import Observability
import Store

/// How many schedules there are, for the metrics.
extension LeaderShell {
    /// Counts at the beginning of the term and then every minute; a count that fails is made up for by the next one.
    func keepCount() async {
        while self.environment.leads(), !Task.isCancelled {
            do {
                let counts = try await self.environment.schedules.countSchedules(at: self.environment.clocks.wallNow())
                if self.environment.leads() { self.environment.metrics.show(counts) }
            } catch {
                self.environment.logger.debug(
                    "schedules not counted", event: "schedules_not_counted", [LogKey.error: .text(error)])
            }
            do { try await self.environment.clocks.sleep(for: self.environment.settings.countEvery) } catch { return }
        }
    }
}
