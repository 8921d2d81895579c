package import DispatcherDomain
import Synchronization

/// The last outcomes of this process, newest first, for when Elasticsearch cannot be asked. Bounded.
package final class RecentOutcomes: Sendable {
    /// Outcomes kept: a page or two of history, a few megabytes.
    package static let countMax = 2000

    private struct Ring {
        var outcomes: [OutcomeRecord] = []
        var next = 0
    }

    private let ring = Mutex(Ring())

    package init() {}

    package func add(_ outcomes: [OutcomeRecord]) {
        self.ring.withLock { ring in
            for outcome in outcomes.suffix(Self.countMax) {
                var outcome = outcome
                // Payloads would make this a matter of a hundred megabytes.
                outcome.payload?.text = nil
                if ring.outcomes.count < Self.countMax {
                    ring.outcomes.append(outcome)
                } else {
                    ring.outcomes[ring.next] = outcome
                }
                ring.next = (ring.next + 1) % Self.countMax
            }
        }
    }

    /// All that is kept, by scheduled time and id, newest first.
    package var newestFirst: [OutcomeRecord] {
        self.ring.withLock { $0.outcomes }.sorted {
            $0.scheduled == $1.scheduled ? $0.id > $1.id : $0.scheduled > $1.scheduled
        }
    }
}
