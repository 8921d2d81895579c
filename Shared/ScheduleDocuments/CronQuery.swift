package import EscapementModel
package import JSON
package import Scheduling

/// One question about an expression: which occurrences follow an instant?
///
/// The bulk form of the command line asks one in each line: `{"expr": "30 2 * * *", "tz": "Europe/Berlin",
/// "from": "2026-03-28T00:00:00Z", "count": 3, "seed": "job-1", "anchor": "2026-01-01T00:00:00Z"}`. Only
/// `expr` must be there. Members that are not known are passed over, so that a line may carry notes.
package struct CronQuery: Hashable, Sendable {
    package var expression: String
    /// The zone of an expression without a prefix of its own.
    package var timeZone: String
    /// Occurrences after this instant, or with `isBackwards` before it.
    package var from: WallInstant
    package var count: Int
    /// What `H` is drawn from; `nil` makes `H` an error.
    package var seed: String?
    /// Where the grid of an interval starts; `nil` is `from`.
    package var anchor: WallInstant?
    package var isBackwards: Bool

    package init(
        expression: String, timeZone: String = "UTC", from: WallInstant, count: Int = Self.countDefault,
        seed: String? = nil, anchor: WallInstant? = nil, isBackwards: Bool = false
    ) {
        self.expression = expression
        self.timeZone = timeZone
        self.from = from
        self.count = count
        self.seed = seed
        self.anchor = anchor
        self.isBackwards = isBackwards
    }

    package static let countDefault = 5
    /// Occurrences one answer may hold; two megabytes of text.
    package static let countMax = 100_000

    /// Reads the object of one line.
    ///
    /// - Parameter now: stands for a missing `from`.
    package init(_ value: JSONValue, now: WallInstant) throws(CronQueryFault) {
        guard case .object = value else {
            throw CronQueryFault("A line holds one JSON object, not \(value.kindName).")
        }
        guard let expression = try Self.text("expr", of: value) else { throw CronQueryFault("'expr' is missing.") }
        self.init(expression: expression, from: now)
        if let zone = try Self.text("tz", of: value) { self.timeZone = zone }
        if let from = try Self.instant("from", of: value) { self.from = from }
        if let count = value["count"], count != .null {
            guard let number = count.integerValue, (0...Int64(Self.countMax)).contains(number) else {
                throw CronQueryFault("'count' must be a whole number from 0 to \(Self.countMax).")
            }
            self.count = Int(number)
        }
        self.seed = try Self.text("seed", of: value)
        self.anchor = try Self.instant("anchor", of: value)
    }

    private static func text(_ name: String, of value: JSONValue) throws(CronQueryFault) -> String? {
        switch value[name] {
        case nil, .null?: return nil
        case .string(let text)?: return text
        case let other?: throw CronQueryFault("'\(name)' must be a string, not \(other.kindName).")
        }
    }

    private static func instant(_ name: String, of value: JSONValue) throws(CronQueryFault) -> WallInstant? {
        guard let text = try self.text(name, of: value) else { return nil }
        guard let instant = WallInstant(text: text) else {
            throw CronQueryFault("'\(name)' must be a time such as 2026-01-01T00:00:00Z.")
        }
        return instant
    }

    /// The occurrences, in the order asked for; fewer than `count` when there are no more.
    ///
    /// - Throws: `CronError`; one about `timeZone` lies outside the expression and has no position.
    package func occurrences(zones: ZoneDatabase, cache: ProgramCache) throws(CronError) -> [WallInstant] {
        let expression = try cache.expression(self.expression, seed: self.seed, zones: zones)
        let zone: ZoneRules
        do {
            zone = try zones.rules(named: expression.zoneName ?? self.timeZone)
        } catch {
            throw CronError(.unknownTimeZone, at: CronError.outside, error.detail)
        }
        let anchor = self.anchor ?? self.from
        var found: [WallInstant] = []
        var position = self.from
        while found.count < self.count {
            let next =
                self.isBackwards
                ? expression.previous(before: position, in: zone, anchor: anchor)
                : expression.next(after: position, in: zone, anchor: anchor)
            guard let next else { break }
            found.append(next)
            position = next
        }
        return found
    }
}

/// Why a line is no question, as a sentence.
package struct CronQueryFault: Error, Hashable, Sendable {
    package var detail: String
    init(_ detail: String) { self.detail = detail }
}
