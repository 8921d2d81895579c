import EscapementModel
import JSON

/// Why a schedule fired, or did not, at one instant: a verdict, its reason, and the checks that lead to it in the order in
/// which they were made. Of those that fail each leads to the next: nobody owned the shard, so the fire was late, so it
/// was beyond the window.
struct Explanation: Hashable, Sendable {
    enum Verdict: String, Sendable {
        case fired
        /// Not fired, by rule.
        case skipped
        /// Could not be delivered.
        case failed
        /// There is no occurrence at this instant.
        case notDue = "not-due"
        /// It lies ahead and nothing stands against it.
        case willFire = "will-fire"
        /// It was due; its outcome is not known yet.
        case pending
        /// It is settled, and nothing says how any more.
        case recordLost = "record-lost"
    }

    struct Check: Hashable, Sendable {
        var name: String
        var isOK: Bool
        var detail: String
    }

    var verdict: Verdict
    /// `nil` only for what lies ahead.
    var reason: Reason?
    var summary: String
    /// Where, when, how late and by whom it fired; `nil` when it did not.
    var fire: JSONValue?
    var checks: [Check] = []
    var evidence: [JSONValue] = []
    var suggestions: [String] = []

    func document(schedule: String, at: WallInstant) -> JSONValue {
        .record([
            "schedule": .string(schedule), "at": .string(at.description), "verdict": .string(self.verdict.rawValue),
            "reason": self.reason.map { .string($0.code) }, "summary": .string(self.summary),
            "fire": self.fire,
            "checks": .array(
                self.checks.map { check in
                    [
                        "check": .string(check.name), "ok": .bool(check.isOK), "detail": .string(check.detail),
                    ]
                }),
            "evidence": .array(self.evidence), "suggest": .array(self.suggestions.map { .string($0) }),
        ])
    }
}
