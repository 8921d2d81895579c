import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Store

/// What a record says, in words: where, when, how late and by whom it fired, or why it did not.
extension Explainer {
    /// Whether it matters who owned the shard: what was late may have been nobody's.
    static func asksForOwnership(_ record: JSONValue, _ version: StoredSchedule) -> Bool {
        switch self.reason(of: record) {
        case .catchupWindow, .catchupLimit, .coalesced, .expired: true
        default:
            record["lateness_ms"]?.integerValue.map { $0 > version.body.misfireToleranceMilliseconds } ?? false
        }
    }

    private static func reason(of record: JSONValue) -> Reason {
        Reason.allCases.first { $0.code == record["reason"]?.stringValue } ?? .dispatched
    }

    /// There is a record: it says all.
    mutating func recorded(_ record: JSONValue, _ facts: RecordedFacts = RecordedFacts()) -> Explanation {
        let id = record["activation_id"]?.stringValue ?? ""
        if let absence = facts.absence {
            self.check("stored", false, absence)
            self.check("recorded", true, "activation \(id), in the journal")
        } else {
            self.check("recorded", true, "activation \(id)")
        }
        let ownership = facts.ownership?.finding(now: self.now)
        if let ownership { self.check("shard-owned", ownership.isOwned, ownership.detail) }
        var evidence: [JSONValue] = [["activation": .string(id)]]
        if let shard = facts.ownership?.shard {
            evidence.append(["shardHistory": .string("/v1/cluster/shards/\(shard)/history")])
        }
        switch record["outcome"]?.stringValue {
        case Outcome.dispatched.name: return self.fired(record, facts, evidence)
        case Outcome.failed.name:
            let error = record["error"]?.stringValue ?? Self.reason(of: record).code
            return self.explanation(
                .failed, Self.reason(of: record),
                "It could not be delivered to \(Self.destination(record, facts.version)), given up at "
                    + "\(record["@timestamp"]?.stringValue ?? "?") by \(Self.senders(record)): \(error).",
                evidence: evidence, suggestions: ["escapement schedule trigger \(self.history.name)"])
        default: return self.skipped(record, facts, ownership?.summary, evidence)
        }
    }

    // MARK: Fired

    private mutating func fired(
        _ record: JSONValue, _ facts: RecordedFacts, _ evidence: [JSONValue]
    ) -> Explanation {
        let at = record["dispatched_at"]?.stringValue ?? record["@timestamp"]?.stringValue
        let lateness = record["lateness_ms"]?.integerValue
        if let lateness, let tolerance = facts.version?.body.misfireToleranceMilliseconds {
            let isOnTime = lateness <= tolerance
            let limit = isOnTime ? "" : ", more than the tolerance of \(Self.text(milliseconds: tolerance))"
            self.check("on-time", isOnTime, "\(Self.text(milliseconds: lateness)) late\(limit)")
        }
        let destination = Self.destination(record, facts.version)
        let fire = JSONValue.record([
            "destination": .string(destination), "kafka": record["kafka"], "at": at.map { .string($0) },
            "latenessMs": lateness.map { .integer($0) }, "attempts": record["attempts"], "ticker": record["ticker"],
            "dispatcher": record["dispatcher"], "shard": record["shard"], "epoch": record["epoch"],
        ])
        return self.explanation(
            .fired, .dispatched,
            "Sent to \(destination)\(at.map { " at \($0)" } ?? "")\(lateness.map { ", \($0) ms late" } ?? ""), by "
                + "\(Self.senders(record)).",
            fire: fire, evidence: evidence)
    }

    private static func senders(_ record: JSONValue) -> String {
        let ticker = record["ticker"]?.stringValue.map { "the ticker \($0) and " } ?? ""
        return ticker + "the dispatcher \(record["dispatcher"]?.stringValue ?? "that is not recorded")"
    }

    /// `topic/partition@offset`, or the HTTP target with its answer.
    private static func destination(_ record: JSONValue, _ version: StoredSchedule?) -> String {
        if let kafka = record["kafka"] { return self.place(kafka) }
        let target = version.flatMap { try? JSONParser.parse($0.body.document) }?["target"]
        let answer =
            record["outcome"]?.stringValue == Outcome.dispatched.name
            ? record["error"]?.stringValue.map { " (\($0))" } ?? "" : ""
        if let url = target?["http"]?["url"]?.stringValue {
            // What follows may be a secret.
            return "\(url.prefix { $0 != "?" })\(answer)"
        }
        for kind in ["trigger", "action"] {
            if let path = target?["openwhisk"]?[kind]?.stringValue { return "OpenWhisk's \(kind) \(path)\(answer)" }
        }
        guard version != nil else { return "its target\(answer)" }
        return target?["topic"]?.stringValue.map { "the topic \($0)" } ?? "Kafka"
    }

    /// `topic/partition@offset`.
    static func place(_ kafka: JSONValue) -> String {
        let (topic, partition) = (kafka["topic"]?.stringValue ?? "", kafka["partition"]?.integerValue ?? 0)
        return "\(topic)/\(partition)@\(kafka["offset"]?.integerValue ?? 0)"
    }

    // MARK: Skipped

    private mutating func skipped(
        _ record: JSONValue, _ facts: RecordedFacts, _ ownership: String?, _ evidence: [JSONValue]
    ) -> Explanation {
        let reason = Self.reason(of: record)
        let count = record["count"]?.integerValue ?? 1
        let settledAt = record["@timestamp"]?.stringValue
        let lateness = facts.due.flatMap { due in
            settledAt.flatMap { WallInstant(text: $0) }.map { max(.zero, $0.duration(since: due)) }
        }
        let run = count > 1 ? "one of \(count) that were skipped together" : "skipped"
        self.checkSkip(reason, lateness, facts.version?.body, "\(run), settled at \(settledAt ?? "?")")
        let late = lateness.map { "\(Self.text($0)) late, at \(settledAt ?? "?"), it was settled." }
        let parts = [facts.due.map { "Due \($0)." }, ownership, late, Self.skipped(reason)]
        let end = WallInstant(milliseconds: self.at.milliseconds + 1000)
        return self.explanation(
            .skipped, reason, parts.compactMap { $0 }.joined(separator: " "), evidence: evidence,
            suggestions: [
                "escapement schedule backfill \(self.history.name) --from \(self.at) --to \(end)",
                "escapement schedule trigger \(self.history.name)",
            ])
    }

    /// How late it was beside what the schedule allows, and the rule that decided.
    private mutating func checkSkip(_ reason: Reason, _ lateness: Duration?, _ body: ScheduleBody?, _ detail: String) {
        guard let lateness, let body else {
            return self.check(reason == .catchupWindow ? "within-catchup-window" : Self.name(reason), false, detail)
        }
        let late = "\(Self.text(lateness)) late"
        let inWindow = "\(late), window \(Self.text(milliseconds: body.misfireWindowMilliseconds))"
        let isWithin = lateness <= .milliseconds(Int64(clamping: body.misfireWindowMilliseconds))
        switch reason {
        case .catchupWindow where isWithin && body.misfirePolicy == MisfireRule.Policy.skip.rawValue:
            self.check("within-catchup-window", true, inWindow)
            let tolerance = Self.text(milliseconds: body.misfireToleranceMilliseconds)
            self.check("within-tolerance", false, "\(late), tolerance \(tolerance), policy 'skip'; \(detail)")
        case .catchupWindow: self.check("within-catchup-window", false, "\(inWindow); \(detail)")
        case .coalesced:
            self.check("within-catchup-window", true, inWindow)
            self.check("newest-missed", false, "the policy 'latest' fires the newest alone; \(detail)")
        case .catchupLimit:
            self.check("within-catchup-window", true, inWindow)
            self.check(
                "within-catchup-limit", false, "the policy 'all' makes up for \(body.misfireLimit) of them; \(detail)")
        case .expired:
            let document = try? JSONParser.parse(body.document)
            let limit = document?["policy"]?["expireAfter"]?.stringValue.map { ", expireAfter \($0)" } ?? ""
            self.check("within-expire-after", false, "\(late)\(limit); \(detail)")
        default: self.check(Self.name(reason), false, detail)
        }
    }

    private static func name(_ reason: Reason) -> String { reason.code.lowercased().replacing("_", with: "-") }

    private static func skipped(_ reason: Reason) -> String {
        switch reason {
        case .catchupWindow: "When it could be fired at last, it was older than the misfire window allows."
        case .catchupLimit: "More occurrences were missed than the policy makes up for; this was one of the older ones."
        case .coalesced: "Several were missed; the policy 'latest' fired the newest in their stead."
        case .expired: "When it could be sent at last, its time of usefulness (expireAfter) was over."
        case .quota: "The namespace's quota of fires was used up."
        case .cancelled: "It was cancelled before it was due."
        default: "It was skipped: \(reason.code)."
        }
    }

    /// To the millisecond.
    private static func text(milliseconds: some BinaryInteger) -> String {
        DurationText.format(.milliseconds(Int64(clamping: milliseconds)))
    }
}
