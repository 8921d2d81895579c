/// The two bells between who reads what a lane has put aside and who publishes it: there is work; what was offered is
/// durable.
///
/// Each has one listener at a time, and a ring that nobody waits for is kept.
final class PumpSignals: Sendable {
    private typealias Bell = (rings: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)

    private let work: Bell
    private let commit: Bell

    init() {
        let work = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let commit = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.work = (work.stream, work.continuation)
        self.commit = (commit.stream, commit.continuation)
    }

    func ring(work: Bool, commit: Bool) {
        if work { self.work.ring.yield() }
        if commit { self.commit.ring.yield() }
    }

    /// Nobody waits any more.
    func finish() {
        self.work.ring.finish()
        self.commit.ring.finish()
    }

    /// Looks now and at each ring for work until `find` finds something; `nil` after `finish`.
    func awaitWork<Found>(_ find: () -> Found?) async -> Found? { await Self.wait(self.work, find) }

    /// The same at each commit.
    func awaitCommit<Found>(_ find: () -> Found?) async -> Found? { await Self.wait(self.commit, find) }

    private static func wait<Found>(_ bell: Bell, _ find: () -> Found?) async -> Found? {
        while true {
            if let found = find() { return found }
            var iterator = bell.rings.makeAsyncIterator()
            guard await iterator.next() != nil else { return nil }
        }
    }
}
