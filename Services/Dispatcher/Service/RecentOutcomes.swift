package import DispatcherDomain
import NIOCore
import Synchronization

/// The last outcomes of this process, newest first, for when Elasticsearch cannot be asked. Bounded.
package final class RecentOutcomes: Sendable {
    /// Outcomes kept, where they do not take more than `bytesMax`: a page or two of history, a megabyte.
    package static let countMax = 2000
    /// Bytes kept, or one round if that is more. Payloads are among them, where they are recorded.
    package static let bytesMax = 16_777_216

    private struct Kept {
        /// As rounds brought them, oldest first: a round costs one entry, and goes as a whole once the others hold
        /// enough. So up to a round more than `countMax` lies here.
        var rounds: [Round] = []
        var count = 0
        var bytes = 0
    }

    /// As the journal has them: read when somebody asks.
    private struct Round {
        var outcomes: ByteBuffer
        var count: Int
        var bytes: Int { self.outcomes.readableBytes }
    }

    private let kept = Mutex(Kept())

    package init() {}

    package func add(_ settlement: Settlement) {
        if settlement.fires.isEmpty { return }
        let round = Round(outcomes: settlement.encodedOutcomes, count: settlement.fires.count)
        self.kept.withLock { kept in
            kept.rounds.append(round)
            kept.count += round.count
            kept.bytes += round.bytes
            while kept.rounds.count > 1, let oldest = kept.rounds.first,
                kept.count - oldest.count >= Self.countMax || kept.bytes > Self.bytesMax
            {
                kept.count -= oldest.count
                kept.bytes -= oldest.bytes
                kept.rounds.removeFirst()
            }
        }
    }

    /// All that is kept but for payloads, by scheduled time and id, newest first. O(bytes).
    package var newestFirst: [OutcomeRecord] {
        let rounds = self.kept.withLock { $0.rounds }
        var outcomes = rounds.flatMap { JournalCodec.outcomes(in: $0.outcomes) }
        for index in outcomes.indices { outcomes[index].payload?.text = nil }
        return outcomes.sorted { $0.scheduled == $1.scheduled ? $0.id > $1.id : $0.scheduled > $1.scheduled }
    }
}
