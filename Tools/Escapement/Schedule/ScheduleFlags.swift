import ArgumentParser
import JSON

/// A schedule as flags. Only what is given becomes part of the document, so the same flags create and merge.
struct ScheduleFlags: ParsableArguments {
    @Option(parsing: .unconditionalSingleValue, help: "A cron expression, quoted; may be repeated.")
    var cron: [String] = []

    @Option(help: "A period such as 15m, 1h30m, 1d or 1mo.")
    var every: String?

    @Option(help: "An instant such as 2026-12-24T18:00:00Z; may be repeated.")
    var at: [String] = []

    @Option(help: "Once, after this time: 90s.")
    var delay: String?

    @Option(name: .customLong("time-zone"), help: "The IANA zone of the expressions, such as Europe/Paris.")
    var timeZone: String?

    @Option(help: "From where periods are counted.")
    var anchor: String?

    @Option(help: "The first instant at which it may fire.")
    var start: String?

    @Option(help: "The instant from which it no longer fires.")
    var end: String?

    @Option(help: "How often it fires at most.")
    var limit: Int?

    @Option(help: "Spread each fire over this time, by a stable hash.")
    var jitter: String?

    @Option(help: "What H is drawn from.")
    var seed: String?

    @Option(help: "What becomes of missed fires: latest, all or skip.")
    var misfire: String?

    @Option(help: "How late counts as on time.")
    var tolerance: String?

    @Option(name: .customLong("catchup-window"), help: "How old a missed fire may be.")
    var catchupWindow: String?

    @Option(name: .customLong("catchup-limit"), help: "How many missed fires 'all' makes up for.")
    var catchupLimit: Int?

    @Option(name: .customLong("expire-after"), help: "How late a fire is still worth sending.")
    var expireAfter: String?

    @Option(
        help: "Which of the fires due at one millisecond leave first: high, normal or low; for the schedule's life.")
    var priority: String?

    @OptionGroup(title: "Target")
    var target: TargetFlags

    /// The document of what was given.
    func document() throws -> JSONValue {
        func text(_ value: String?) -> JSONValue? { value.map { .string($0) } }
        let when = JSONValue.record([
            "cron": self.cron.isEmpty ? nil : .array(self.cron.map { .string($0) }), "every": text(self.every),
            "at": self.at.isEmpty ? nil : .array(self.at.map { .string($0) }), "delay": text(self.delay),
            "anchor": text(self.anchor), "timeZone": text(self.timeZone), "startAt": text(self.start),
            "endAt": text(self.end), "limit": self.limit.map { .integer($0) }, "jitter": text(self.jitter),
            "seed": text(self.seed),
        ])
        let policy = JSONValue.record([
            "misfire": text(self.misfire), "tolerance": text(self.tolerance),
            "catchupWindow": text(self.catchupWindow), "catchupLimit": self.catchupLimit.map { .integer($0) },
            "expireAfter": text(self.expireAfter),
        ])
        return .record([
            "priority": text(self.priority), "labels": self.target.labelMembers(),
            "when": when == .object([]) ? nil : when,
            "target": try self.target.target(), "policy": policy == .object([]) ? nil : policy,
        ])
    }

    /// Whether a trigger is given, so that a merge replaces the one that was there.
    var hasTrigger: Bool { !self.cron.isEmpty || self.every != nil || !self.at.isEmpty || self.delay != nil }
}
