import EscapementModel
import Synchronization
import TickerDomain
import WireProtocol

/// Asks the dispatcher at the other end of a quiet link whether it is there, and closes the link when it does not answer.
final class LinkProber: Sendable {
    private struct State {
        var probing = LinkProbing()
        var hasGivenUp = false
    }

    private let link: any MessageLink
    private let clocks: any Clocks
    private let state = Mutex(State())

    init(_ link: any MessageLink, clocks: any Clocks) {
        self.link = link
        self.clocks = clocks
    }

    /// Whether it was this that closed the link.
    var hasGivenUp: Bool { self.state.withLock { $0.hasGivenUp } }

    /// Anything came.
    func heard() { self.state.withLock { $0.probing.heard() } }

    /// Works until the task is cancelled or the link is closed.
    func run() async {
        while true {
            do { try await self.clocks.sleep(for: LinkProbing.every) } catch { return }
            switch self.state.withLock({ $0.probing.beat() }) {
            case .nothing: continue
            case .probe: guard self.link.send(Probe()) else { return }
            case .giveUp:
                self.state.withLock { $0.hasGivenUp = true }
                self.link.close()
                return
            }
        }
    }
}
