import CoordinatorService
import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Store

/// Makes an explanation from facts; asks nobody.
struct Explainer: Sendable {
    let history: ScheduleHistory
    let at: WallInstant
    let now: WallInstant
    private(set) var checks: [Explanation.Check] = []

    init(history: ScheduleHistory, at: WallInstant, now: WallInstant) {
        self.history = history
        self.at = at
        self.now = now
    }

    /// What the rules say, before anything that happened is looked at.
    enum Rule {
        /// The rules alone decide.
        case decided(Explanation)
        /// The instant is this occurrence of this version.
        case due(Occurrence, StoredSchedule)
        /// The trail says that another definition was in force, of which no version is kept.
        case dueOnRecord
    }

    mutating func check(_ name: String, _ isOK: Bool, _ detail: String) {
        self.checks.append(Explanation.Check(name: name, isOK: isOK, detail: detail))
    }

    func explanation(
        _ verdict: Explanation.Verdict, _ reason: Reason?, _ summary: String, fire: JSONValue? = nil,
        evidence: [JSONValue] = [], suggestions: [String] = []
    ) -> Explanation {
        Explanation(
            verdict: verdict, reason: reason, summary: summary, fire: fire, checks: self.checks, evidence: evidence,
            suggestions: suggestions)
    }

    /// Goes through what is derived: existence, the calendar, pauses.
    mutating func rule(compile: (StoredSchedule) throws -> CompiledSchedule) throws -> Rule {
        guard let life = self.history.life(at: self.at) else { return self.beforeAll() }
        if let endedAt = life.endedAt, self.at > endedAt { return .decided(self.afterDeletion(of: life, at: endedAt)) }
        guard let version = self.history.version(of: life, at: self.at) else { return self.onRecord(life) }
        self.check(
            "existed", true,
            "generation \(version.generation) in force since \(min(version.updatedAt, version.from))")
        let compiled = try compile(version)
        guard let occurrence = self.occurrence(compiled) else {
            return .decided(self.notNamed(compiled, version))
        }
        self.check("matches", true, compiled.text)
        if let pause = version.pause, pause.holds(at: self.at) {
            let until = pause.until.map { " until \($0)" } ?? ""
            let why = pause.reason.map { ": \($0)" } ?? ""
            self.check("not-paused", false, "paused since \(pause.since)\(until)\(why)")
            let isNamespace = pause.scope == .namespace
            return .decided(
                self.explanation(
                    .skipped, isNamespace ? .namespacePaused : .paused,
                    "\(isNamespace ? "The namespace" : "The schedule") was paused\(until), by \(version.updatedBy)\(why).",
                    evidence: [["revision": .integer(version.generation)]],
                    suggestions: isNamespace
                        ? ["escapement namespace resume \(self.history.namespace)"]
                        : [
                            "escapement schedule resume \(self.history.name)",
                            "escapement schedule trigger \(self.history.name)",
                        ]))
        }
        self.check("not-paused", true, "neither the schedule nor its namespace was paused")
        return .due(occurrence, version)
    }

    /// What a ticker did that had not heard yet of the change by which the rules name no such occurrence any more.
    mutating func belated(_ record: JSONValue) -> Explanation {
        self.check(
            "change-known", false, "a change had been made shortly before, and the ticker had not heard of it yet")
        return self.recorded(record)
    }

    /// The occurrence scheduled at the instant, or due at it.
    private func occurrence(_ compiled: CompiledSchedule) -> Occurrence? {
        if case .occurrence(let occurrence) = compiled.standing(of: self.at) { return occurrence }
        let before = WallInstant(milliseconds: self.at.milliseconds - 1)
        guard let next = compiled.next(after: before), next.due == self.at else { return nil }
        return next
    }

    private mutating func afterDeletion(of life: ScheduleLife, at endedAt: WallInstant) -> Explanation {
        guard let later = self.history.lives.last(where: { $0.createdAt >= self.at }) else {
            self.check("existed", false, "deleted at \(endedAt)")
            return self.explanation(.notDue, .deleted, "The schedule was deleted at \(endedAt).")
        }
        self.check("existed", false, "an earlier schedule of this name was deleted at \(endedAt)")
        return self.explanation(
            .notDue, .deleted,
            "An earlier schedule of this name was deleted at \(endedAt); the next one is of \(later.createdAt).")
    }

    /// No schedule is kept that was made before the instant; the audit trail remembers longer.
    private mutating func beforeAll() -> Rule {
        guard let entry = self.history.line(before: self.at) else {
            let first = self.history.lives.last.map { ($0.createdAt, $0.createdBy) }
            let (at, by) = first ?? self.history.trail.last.map { ($0.at, $0.by) } ?? (self.now, "")
            self.check("existed", false, "created at \(at)")
            return .decided(
                self.explanation(.notDue, .notYetCreated, "The schedule was created at \(at), by \(by)."))
        }
        guard entry.action != .delete else {
            self.check("existed", false, "deleted at \(entry.at), as the audit trail says")
            let next = self.history.lives.last.map { "; the next one is of \($0.createdAt)" } ?? ""
            return .decided(
                self.explanation(
                    .notDue, .deleted, "A schedule of this name was deleted at \(entry.at), by \(entry.by)\(next)."))
        }
        self.check("existed", true, "changed last before that at \(entry.at), by \(entry.by), as the audit trail says")
        return .dueOnRecord
    }

    /// No version of that time is kept; the audit trail is.
    private mutating func onRecord(_ life: ScheduleLife) -> Rule {
        guard let entry = self.history.line(before: self.at), entry.action != .delete else {
            self.check(
                "existed", true, "made at \(life.createdAt); which definition was in force then is no longer known")
            return .dueOnRecord
        }
        self.check("existed", true, "changed last before that at \(entry.at), by \(entry.by), as the audit trail says")
        return .dueOnRecord
    }

    private mutating func notNamed(_ compiled: CompiledSchedule, _ version: StoredSchedule) -> Explanation {
        func verdict(_ reason: Reason, _ detail: String, _ summary: String) -> Explanation {
            self.check("matches", false, detail)
            return self.explanation(
                reason == .notDue || reason == .dstGap ? .notDue : .skipped, reason, summary,
                suggestions: ["escapement schedule preview \(self.history.name) --from \(self.at)"])
        }
        switch compiled.standing(of: self.at) {
        case .occurrence: preconditionFailure("an occurrence is named")
        case .beforeStart:
            return verdict(
                .beforeStart, "starts at \(compiled.definition.startAt?.description ?? version.createdAt.description)",
                "The schedule had not started yet.")
        case .afterEnd:
            let end = compiled.definition.endAt.map { "ends at \($0)" } ?? "its limit of occurrences is used up"
            return verdict(.afterEnd, end, "The schedule was over: it \(end).")
        case .excluded:
            return verdict(
                .excluded, "one of \(compiled.definition.exclusions.count) exclusions removes it",
                "The expression names this time, and an exclusion takes it out.")
        case .clockGap:
            return verdict(
                .dstGap, "the clock of \(compiled.zone.name) jumps over the civil time here",
                "The civil time does not exist on this day: the clock jumps over it.")
        case .notDue:
            let before = compiled.previous(before: self.at)?.scheduled.description ?? "none"
            let after = compiled.next(after: self.at)?.scheduled.description ?? "none"
            return verdict(
                .notDue, "\(compiled.text); nearest: \(before) and \(after)",
                "The schedule names no such instant; the nearest are \(before) and \(after).")
        }
    }

    // MARK: What happened

    /// A future occurrence.
    mutating func ahead(_ occurrence: Occurrence) -> Explanation {
        self.check("due", true, "due at \(occurrence.due), in \(Self.text(occurrence.due.duration(since: self.now)))")
        return self.explanation(.willFire, nil, "It will fire at \(occurrence.due).")
    }

    /// Why the activation store has no record of an occurrence.
    func absence(of occurrence: Occurrence, storeTrouble: String?) -> String {
        if let storeTrouble { return "the activation store is away: \(storeTrouble)" }
        return
            "due \(Self.text(self.now.duration(since: occurrence.due))) ago, and the activation store has no document"
    }

    /// What is known of an occurrence that was due and of which no record is found.
    struct Circumstances: Sendable {
        var shard: ShardID
        /// Who owned the shard when it was due; `nil` when nobody did.
        var owner: AssignmentRecord?
        var current: AssignmentRecord?
        /// What members say is wrong now.
        var complaints: [String] = []
        var journal: JournalFinding
        var storeTrouble: String?
    }

    /// Why nothing can be said of an occurrence that was due and of which no record is found: what would know is away.
    /// `nil` when enough is known.
    static func blindness(_ journal: JournalFinding, storeTrouble: String?) -> ClusterError? {
        var troubles = storeTrouble.map { ["the activation store is away: \($0)"] } ?? []
        var code = ClusterError.activationStoreUnavailable
        switch journal {
        case .answer(_, isSettled: false, _), .answer(_, _, isComplete: true): return nil
        case .answer: troubles += storeTrouble == nil ? [] : ["the journal does not reach back to it"]
        case .unsupported: break
        case .unreadable(let error) where error.code == ClusterError.journalUnavailable:
            troubles += storeTrouble == nil ? [] : [error.detail]
        case .unreadable(let error):
            code = error.code
            troubles.append("the journal cannot be looked at: \(error.detail)")
        }
        return troubles.isEmpty ? nil : ClusterError(code, troubles.joined(separator: "; "))
    }

    /// Due, and nothing is recorded.
    mutating func unrecorded(_ occurrence: Occurrence, _ known: Circumstances) -> Explanation {
        let shard = known.shard
        let age = Self.text(self.now.duration(since: occurrence.due))
        self.check("recorded", false, self.absence(of: occurrence, storeTrouble: known.storeTrouble))
        let evidence: [JSONValue] = [["shardHistory": .string("/v1/cluster/shards/\(shard)/history")]]
        if case .answer(_, isSettled: true, let isComplete) = known.journal {
            self.check("settled", true, "shard \(shard) is settled beyond it, so its outcome was written")
            let reach =
                isComplete ? "the journal of that time has no outcome of it" : "the journal does not reach back to it"
            let store = known.storeTrouble == nil ? "the store has no document and " : ""
            return self.explanation(
                .recordLost, .recordLost, "It was settled, and its record is lost: \(store)\(reach).",
                evidence: evidence,
                suggestions: ["escapement audit --schedule \(self.history.name) --from \(self.at)"])
        }
        let isOwned = known.current?.owner != nil
        let then = known.owner?.owner.map { "\($0.name) owned the shard" } ?? "nobody owned the shard"
        if let node = known.current?.owner {
            self.check(
                "shard-owned", true,
                "shard \(shard) is \(node)'s, epoch \(known.current?.epoch.rawValue ?? 0); when it was due \(then)")
        } else {
            self.check("shard-owned", false, "nobody owns shard \(shard) now; when it was due \(then)")
        }
        if !isOwned {
            return self.explanation(
                .pending, .shardUnowned,
                "Nobody owns shard \(shard); when a ticker takes it, the misfire policy decides.", evidence: evidence,
                suggestions: ["escapement cluster status"])
        }
        var complaint = known.complaints.first { $0.lowercased().contains("kafka") }
        if case .unreadable(let error) = known.journal { complaint = complaint ?? error.detail }
        if let complaint {
            self.check("kafka", false, complaint)
            return self.explanation(
                .pending, .kafkaUnavailable, "Kafka does not take records now (\(complaint)); it waits.",
                evidence: evidence, suggestions: ["escapement cluster status"])
        }
        if case .answer(_, isSettled: false, _) = known.journal {
            self.check("settled", false, "shard \(shard) is not settled so far yet")
        }
        return self.explanation(
            .pending, .inFlight, "It was due \(age) ago, when \(then); it is on its way.", evidence: evidence,
            suggestions: ["escapement schedule explain \(self.history.name) --at \(self.at)"])
    }

    static func text(_ duration: Duration) -> String {
        DurationText.format(.milliseconds(duration.wholeMilliseconds / 1000 * 1000))
    }
}
