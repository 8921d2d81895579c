package import Logging
import Synchronization

/// The process's log level, changeable while it runs (`PUT /admin/log-level`). One atomic load per
/// suppressed log statement; no lock.
package final class LogLevelControl: Sendable {
    private let rank: Atomic<Int>

    /// Starts at `level`.
    package init(_ level: Logger.Level) {
        self.rank = Atomic(Self.ranks.firstIndex(of: level) ?? 0)
    }

    /// The least severe level that is written. A change holds from the next log statement on.
    package var level: Logger.Level {
        get { Self.ranks[self.rank.load(ordering: .relaxed)] }
        set { self.rank.store(Self.ranks.firstIndex(of: newValue) ?? 0, ordering: .relaxed) }
    }

    private static let ranks = Logger.Level.allCases
}
