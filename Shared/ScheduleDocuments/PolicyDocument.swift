import EscapementModel
package import JSON
package import Scheduling

/// The JSON of `policy`: what becomes of late occurrences, and how long a fire stays worth sending.
///
/// `{"misfire": "latest", "tolerance": "60s", "catchupWindow": "1h", "catchupLimit": 100,
/// "expireAfter": "2h"}`; `misfire` may also be the object `{"policy", "tolerance", "window", "limit"}`.
package struct PolicyDocument: Hashable, Sendable {
    package var misfire: MisfireRule
    /// Milliseconds after its due instant; 0 for any lateness.
    package var expireAfterMilliseconds: UInt64
    /// `retry` and `onExhausted` as they were written. They are for HTTP targets; a Kafka delivery is repeated by
    /// the dispatcher until it succeeds, so they change nothing for it.
    package var delivery: [JSONMember]
    /// The same as values; what was not said is 0.
    package var retry = Retry()

    package struct Retry: Hashable, Sendable {
        package var attemptsMax: UInt32 = 0
        package var backoffMinMilliseconds: UInt64 = 0
        package var backoffMaxMilliseconds: UInt64 = 0
        package var dropsExhausted = false
    }

    package init(
        misfire: MisfireRule = MisfireRule(), expireAfterMilliseconds: UInt64 = 0, delivery: [JSONMember] = []
    ) {
        self.misfire = misfire
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.delivery = delivery
    }

    /// The longest expiry.
    package static let expireAfterMax = Duration.seconds(366 * 86_400)

    /// What a policy may say.
    package enum Scope: Sendable {
        /// Of a schedule: everything.
        case schedule
        /// Of a timer: only the expiry, since a timer always fires late.
        case timer
    }

    /// Reads `value`; `nil` gives the defaults.
    package static func read(
        _ value: JSONValue?, scope: Scope, at pointer: String = "/policy"
    ) -> (policy: PolicyDocument, problems: [DocumentProblem]) {
        var policy = PolicyDocument()
        guard let value else { return (policy, []) }
        var reader = ObjectReader(value, at: pointer)
        if !reader.problems.isEmpty { return (policy, reader.problems) }
        switch scope {
        case .schedule: self.readMisfire(&reader, into: &policy.misfire)
        case .timer: break
        }
        let expiries = Duration.milliseconds(1)...self.expireAfterMax
        if let expiry = reader.duration("expireAfter", in: expiries) {
            policy.expireAfterMilliseconds = UInt64(expiry.wholeMilliseconds)
        }
        policy.delivery = self.readDelivery(&reader, into: &policy.retry)
        return (policy, reader.finish())
    }

    /// Writes the policy with its defaults filled in, in one order.
    package func write(scope: Scope) -> JSONValue {
        let expiry: JSONValue =
            self.expireAfterMilliseconds == 0
            ? .null : .string(DurationText.format(.milliseconds(Int64(clamping: self.expireAfterMilliseconds))))
        switch scope {
        case .timer: return .object([JSONMember("expireAfter", expiry)] + self.delivery)
        case .schedule:
            return .object(
                [
                    JSONMember("misfire", .string("\(self.misfire.policy)")),
                    JSONMember("tolerance", Self.text(self.misfire.toleranceMilliseconds)),
                    JSONMember("catchupWindow", Self.text(self.misfire.windowMilliseconds)),
                    JSONMember("catchupLimit", .integer(self.misfire.limit)),
                    JSONMember("expireAfter", expiry),
                ] + self.delivery)
        }
    }

    private static func readDelivery(_ reader: inout ObjectReader, into rule: inout Retry) -> [JSONMember] {
        var members: [JSONMember] = []
        if let retry = reader.value("retry") {
            var inner = ObjectReader(retry, at: reader.pointer(to: "retry"))
            let backoffs = Duration.milliseconds(1)...Duration.seconds(86_400)
            rule.attemptsMax = UInt32(inner.integer("maxAttempts", in: 1...1000) ?? 0)
            rule.backoffMinMilliseconds = UInt64(inner.duration("minBackoff", in: backoffs)?.wholeMilliseconds ?? 0)
            rule.backoffMaxMilliseconds = UInt64(inner.duration("maxBackoff", in: backoffs)?.wholeMilliseconds ?? 0)
            reader.note(inner.finish())
            if rule.backoffMaxMilliseconds > 0, rule.backoffMaxMilliseconds < rule.backoffMinMilliseconds {
                reader.note("retry", ProblemCode.conflictingFields, "has a 'maxBackoff' below its 'minBackoff'")
            }
            members.append(JSONMember("retry", retry))
        }
        if let word = reader.word("onExhausted", ["dead-letter": "dead-letter", "drop": "drop"]) {
            members.append(JSONMember("onExhausted", .string(word)))
            rule.dropsExhausted = word == "drop"
        }
        return members
    }

    private static let policies: KeyValuePairs<String, MisfireRule.Policy> = [
        "latest": .latest, "all": .all, "skip": .skip,
    ]

    private static func readMisfire(_ reader: inout ObjectReader, into rule: inout MisfireRule) {
        if case .object? = reader.value("misfire"), let value = reader.value("misfire") {
            var inner = ObjectReader(value, at: reader.pointer(to: "misfire"))
            rule.policy = inner.word("policy", self.policies) ?? rule.policy
            self.readBounds(&inner, "tolerance", "window", "limit", into: &rule)
            reader.note(inner.finish())
            for name in ["tolerance", "catchupWindow", "catchupLimit"] where reader.has(name) {
                reader.note(name, ProblemCode.conflictingFields, "is given inside 'misfire' already")
                _ = reader.value(name)
            }
        } else {
            rule.policy = reader.word("misfire", self.policies) ?? rule.policy
            self.readBounds(&reader, "tolerance", "catchupWindow", "catchupLimit", into: &rule)
        }
    }

    private static func readBounds(
        _ reader: inout ObjectReader, _ tolerance: String, _ window: String, _ limit: String,
        into rule: inout MisfireRule
    ) {
        let tolerances =
            Duration.milliseconds(
                MisfireRule.toleranceRange.lowerBound)...Duration.milliseconds(MisfireRule.toleranceRange.upperBound)
        if let value = reader.duration(tolerance, in: tolerances) {
            rule.toleranceMilliseconds = value.wholeMilliseconds
        }
        let windows = Duration.zero...Duration.milliseconds(MisfireRule.windowMax)
        if let value = reader.duration(window, in: windows) {
            rule.windowMilliseconds = value.wholeMilliseconds
            if rule.windowMilliseconds < rule.toleranceMilliseconds {
                reader.note(window, ProblemCode.conflictingFields, "must not be shorter than the tolerance")
            }
        } else {
            rule.windowMilliseconds = max(rule.windowMilliseconds, rule.toleranceMilliseconds)
        }
        let limits = Int64(MisfireRule.limitRange.lowerBound)...Int64(MisfireRule.limitRange.upperBound)
        if let value = reader.integer(limit, in: limits) { rule.limit = Int(value) }
    }

    private static func text(_ milliseconds: Int64) -> JSONValue {
        .string(DurationText.format(.milliseconds(milliseconds)))
    }
}
