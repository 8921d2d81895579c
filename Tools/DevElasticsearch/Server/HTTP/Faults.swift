import EscapementModel
package import JSON
import Synchronization

/// What the server does wrong on order of a test.
package final class Faults: Sendable {
    /// The shares are percentages of requests, or of documents where it says so.
    package struct Plan: Equatable, Sendable {
        /// Every request is answered with 503.
        package var isDown = false
        /// Templates and policies are hidden, as from credentials that may write documents only.
        package var hidesSetup = false
        /// Searches do not reach one of the shards.
        package var lacksShard = false
        /// So many requests are answered with 429.
        package var tooManyPercent = 0
        /// What such an answer says in `Retry-After`; 0 for nothing.
        package var retryAfterSeconds = 0
        /// So many documents of bulk requests are answered with 429.
        package var busyDocumentsPercent = 0
        /// One in so many documents is refused as malformed; 0 for none.
        package var refuseOneIn = 0
        /// Every answer waits so long, in milliseconds.
        package var delayMilliseconds = 0
        /// So many connections are closed in the middle of the answer, the request having taken effect.
        package var closePercent = 0

        package init() {}
    }

    private struct State {
        var plan = Plan()
        var random: SplitMix64
        var documentCount = 0
    }

    private let state: Mutex<State>

    package init(seed: UInt64) { self.state = Mutex(State(random: SplitMix64(seed: seed))) }

    package var plan: Plan {
        get { self.state.withLock { $0.plan } }
        set { self.state.withLock { $0.plan = newValue } }
    }

    func draws(_ share: any KeyPath<Plan, Int> & Sendable) -> Bool {
        self.state.withLock { state in
            let percent = state.plan[keyPath: share]
            return percent > 0 && Int.random(in: 0..<100, using: &state.random) < percent
        }
    }

    /// Whether the next document of a bulk request is refused.
    func refusesDocument() -> Bool {
        self.state.withLock { state in
            guard state.plan.refuseOneIn > 0 else { return false }
            state.documentCount += 1
            return state.documentCount % state.plan.refuseOneIn == 0
        }
    }
}

extension Faults.Plan {
    package var json: JSONValue {
        [
            "down": .bool(self.isDown), "hidesSetup": .bool(self.hidesSetup), "lacksShard": .bool(self.lacksShard),
            "retryAfterSeconds": .integer(Int64(self.retryAfterSeconds)),
            "tooManyPercent": .integer(Int64(self.tooManyPercent)),
            "busyDocumentsPercent": .integer(Int64(self.busyDocumentsPercent)),
            "refuseOneIn": .integer(Int64(self.refuseOneIn)),
            "delayMilliseconds": .integer(Int64(self.delayMilliseconds)),
            "closePercent": .integer(Int64(self.closePercent)),
        ]
    }

    /// - Returns: `nil` when a member is unknown or of another type, with its name.
    package static func read(_ json: JSONValue) -> (plan: Faults.Plan?, problem: String) {
        var plan = Faults.Plan()
        for member in json.objectValue ?? [] {
            if member.name == "down", let flag = member.value.boolValue {
                plan.isDown = flag
                continue
            }
            if member.name == "hidesSetup", let flag = member.value.boolValue {
                plan.hidesSetup = flag
                continue
            }
            if member.name == "lacksShard", let flag = member.value.boolValue {
                plan.lacksShard = flag
                continue
            }
            guard let number = member.value.integerValue, number >= 0 else {
                return (nil, "\(member.name) is not a number")
            }
            switch member.name {
            case "retryAfterSeconds": plan.retryAfterSeconds = Int(number)
            case "tooManyPercent": plan.tooManyPercent = Int(number)
            case "busyDocumentsPercent": plan.busyDocumentsPercent = Int(number)
            case "refuseOneIn": plan.refuseOneIn = Int(number)
            case "delayMilliseconds": plan.delayMilliseconds = Int(number)
            case "closePercent": plan.closePercent = Int(number)
            default: return (nil, "\(member.name) is not a fault")
            }
        }
        return (plan, "")
    }
}
