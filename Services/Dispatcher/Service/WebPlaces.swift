import EscapementModel
import Synchronization

/// Places for the requests to HTTP targets that are under way in this process, for each host and in all.
///
/// A host gets at most its own bound, and never more than a quarter of the places that are free: hosts that answer slowly,
/// or never, share what there is, and the next one still finds a place (Choudhury, Hahne: "Dynamic Queue Length Thresholds
/// in a Shared Memory ATM Switch", 1996).
package final class WebPlaces: Sendable {
    /// In all.
    package static let countMax = 512
    /// For each host.
    package static let hostCountMax = 32

    private struct State {
        var taken = 0
        var hosts: [String: Int] = [:]
        /// Lanes that found none, and how to tell them that one may be free.
        var refused: [LaneID: @Sendable () -> Void] = [:]
    }

    private let countMax: Int
    private let hostCountMax: Int
    private let state = Mutex(State())

    package init(countMax: Int = countMax, hostCountMax: Int = hostCountMax) {
        self.countMax = countMax
        self.hostCountMax = hostCountMax
    }

    /// Takes a place, or says that there is none; then `wake` is called once when one may be free.
    func take(_ host: String, for lane: LaneID, wake: @escaping @Sendable () -> Void) -> Bool {
        self.state.withLock { state in
            let taken = state.hosts[host] ?? 0
            let free = self.countMax - state.taken
            guard free > 0, taken < self.hostCountMax, taken < max(1, free / 4) else {
                state.refused[lane] = wake
                return false
            }
            state.hosts[host] = taken + 1
            state.taken += 1
            return true
        }
    }

    func free(_ host: String) {
        let refused = self.state.withLock { state in
            state.taken -= 1
            let taken = (state.hosts[host] ?? 1) - 1
            state.hosts[host] = taken == 0 ? nil : taken
            defer { state.refused = [:] }
            return state.refused
        }
        for wake in refused.values { wake() }
    }
}
