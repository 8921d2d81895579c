import DispatcherDomain
import Synchronization

/// Where a lane stands in its line of fires that wait for topics, and the hand-over between who reads them and who
/// publishes.
final class WaitingPump: Sendable {
    private struct State {
        var line = WaitingLine()
        /// Grows with each round that puts fires into the line, so that "the end" is not believed when it has moved.
        var joined = 0
        var joinedWhenRead = 0
        var offered: RoundPlan.Resumed?
        /// The walk behind what was offered last, once that is durable.
        var walked: WaitingPass?
        var isOffering = false
    }

    private let state = Mutex(State())
    private let signals = PumpSignals()

    /// As the journal will say with the next entry.
    var line: WaitingLine { self.state.withLock { $0.line } }

    /// The journal was read.
    func begin(at line: WaitingLine) {
        self.state.withLock { $0.line = line }
        self.signals.ring(work: true, commit: false)
    }

    func finish() { self.signals.finish() }

    // MARK: The reader

    /// Waits until fires wait; `nil` after `finish`.
    func awaitWork() async -> WaitingLine? {
        await self.signals.awaitWork {
            let line = self.line
            return line.isEmpty ? nil : line
        }
    }

    /// Called before each read.
    func willRead() { self.state.withLock { $0.joinedWhenRead = $0.joined } }

    /// Waits until the stretch is durable; the walk behind it, or `nil` after `finish`.
    func offer(_ resumed: RoundPlan.Resumed, wake: () -> Void) async -> WaitingPass? {
        self.state.withLock { state in
            state.offered = resumed
            state.isOffering = true
        }
        wake()
        return await self.signals.awaitCommit { self.state.withLock { $0.isOffering ? nil : $0.walked } }
    }

    // MARK: The publisher

    /// What the next round takes along.
    func ready() -> RoundPlan.Resumed? {
        self.state.withLock { state in
            defer { state.offered = nil }
            // What has joined since may lie behind "the end".
            if state.joined != state.joinedWhenRead { state.offered?.isEnd = false }
            return state.offered
        }
    }

    /// Where the line stands before a round is settled.
    var standing: (line: WaitingLine, hasGrown: Bool) {
        self.state.withLock { ($0.line, $0.joined != $0.joinedWhenRead) }
    }

    /// The round is durable.
    func committed(_ settlement: Settlement) {
        let (hasWork, isCommit) = self.state.withLock { state in
            state.line = settlement.waiting
            if settlement.joinedCount > 0 { state.joined += 1 }
            if let pass = settlement.pass {
                state.walked = pass
                state.isOffering = false
            }
            return (settlement.joinedCount > 0, settlement.pass != nil)
        }
        self.signals.ring(work: hasWork, commit: isCommit)
    }
}
