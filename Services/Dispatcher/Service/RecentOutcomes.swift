package import DispatcherDomain
import Synchronization

/// The last outcomes of this process, newest first, for when Elasticsearch cannot be asked. Bounded.
package final class RecentOutcomes: Sendable {
    /// Outcomes kept: a page or two of history, a few megabytes.
    package static let countMax = 2000

    private struct Kept {
        /// As rounds brought them, oldest first: a round costs one entry, and goes as a whole once the others hold
        /// enough. So up to twice as many lie here.
        var rounds: [[OutcomeRecord]] = []
        var count = 0
    }

    private let kept = Mutex(Kept())

    package init() {}

    package func add(_ outcomes: [OutcomeRecord]) {
        var round = outcomes.count > Self.countMax ? Array(outcomes.suffix(Self.countMax)) : outcomes
        if round.isEmpty { return }
        // Payloads would make this a matter of a hundred megabytes.
        for index in round.indices where round[index].payload?.text != nil { round[index].payload?.text = nil }
        self.kept.withLock { kept in
            kept.rounds.append(round)
            kept.count += round.count
            while let oldest = kept.rounds.first, kept.count - oldest.count >= Self.countMax {
                kept.count -= oldest.count
                kept.rounds.removeFirst()
            }
        }
    }

    /// All that is kept, by scheduled time and id, newest first.
    package var newestFirst: [OutcomeRecord] {
        self.kept.withLock { kept in kept.rounds.flatMap { $0 }.suffix(Self.countMax) }.sorted {
            $0.scheduled == $1.scheduled ? $0.id > $1.id : $0.scheduled > $1.scheduled
        }
    }
}
