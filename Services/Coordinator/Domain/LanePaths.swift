package import EscapementModel

/// Which tickers are cut off from which dispatchers, by the tickers' own word.
///
/// A ticker that cannot reach a lane's owner fires nothing of the lane's shards, though the leader sees both
/// alive: such shards belong to a ticker that can. A path that is said to be whole again counts as cut for
/// `mendedAfter` more, so that a path that comes and goes does not make shards travel with it.
///
/// Each report is the whole of what a ticker cannot reach; a lost one is repeated on its next link. At most one
/// entry for each pair of members.
package struct LanePaths: Equatable, Sendable {
    private struct Path: Hashable {
        var ticker: Incarnation
        var dispatcher: Incarnation
    }

    /// How long a path has to be whole before shards are placed by it again.
    package static let mendedAfter = Duration.seconds(30)

    /// Since when each path is whole again; `nil` while it is not.
    private var cut: [Path: MonotonicInstant?] = [:]

    package init() {}

    package var isEmpty: Bool { self.cut.isEmpty }

    /// Takes a ticker's word for what it cannot reach now.
    package mutating func report(from ticker: Incarnation, unreachable: Set<Incarnation>, now: MonotonicInstant) {
        for (path, mendedAt) in self.cut where path.ticker == ticker && mendedAt == nil {
            if !unreachable.contains(path.dispatcher) { self.cut[path] = .some(now) }
        }
        for dispatcher in unreachable {
            self.cut[Path(ticker: ticker, dispatcher: dispatcher)] = .some(nil)
        }
    }

    /// The member is no more; another run of its process has paths of its own.
    package mutating func forget(_ member: Incarnation) {
        self.cut = self.cut.filter { $0.key.ticker != member && $0.key.dispatcher != member }
    }

    /// Forgets what has been whole for long enough.
    package mutating func expire(now: MonotonicInstant) {
        self.cut = self.cut.filter { _, mendedAt in
            mendedAt.map { now.duration(since: $0) < Self.mendedAfter } ?? true
        }
    }

    /// The tickers that cannot, or until lately could not, reach the dispatcher.
    package func tickersCutOff(from dispatcher: Incarnation) -> Set<Incarnation> {
        Set(self.cut.keys.filter { $0.dispatcher == dispatcher }.map(\.ticker))
    }

    /// The dispatchers that the ticker says it cannot reach now, in order.
    package func unreachable(from ticker: Incarnation) -> [Incarnation] {
        self.cut.filter { $0.key.ticker == ticker && $0.value == nil }.map(\.key.dispatcher).sorted()
    }
}
