import EscapementModel
import Store

extension StoredSchedule {
    /// Reads `ScheduleStatements.columns`.
    init(row: inout PostgresRow) throws(PostgresFailure) {
        let uid = try row.uid()
        let shard = try row.shard()
        let namespace = try row.text()
        let name = try row.text()
        let generation = try row.unsigned()
        let createdRevision = Revision(try row.unsigned())
        let replaces = try row.bool()
        let from = WallInstant(milliseconds: try row.int())
        let endedRevision = try row.optionalUnsigned().map { Revision($0) }
        let until = try row.optionalInt().map { WallInstant(milliseconds: $0) }
        let createdAt = WallInstant(milliseconds: try row.int())
        let createdBy = try row.text()
        let updatedAt = WallInstant(milliseconds: try row.int())
        let updatedBy = try row.text()
        let changeReason = try row.optionalText()
        let body = try ScheduleBody(row: &row)
        self.init(
            uid: uid, shard: shard, namespace: namespace, name: name, generation: generation,
            createdRevision: createdRevision, replaces: replaces, from: from, endedRevision: endedRevision,
            until: until, createdAt: createdAt, createdBy: createdBy, updatedAt: updatedAt, updatedBy: updatedBy,
            changeReason: changeReason, body: body, pause: try SchedulePause.read(row: &row))
    }
}

extension ScheduleBody {
    /// With the tags as its last column.
    fileprivate init(row: inout PostgresRow) throws(PostgresFailure) {
        guard let kind = UInt8(exactly: try row.int()).flatMap({ FireKind(rawValue: $0) }) else {
            throw .corrupt("the kind of a schedule")
        }
        let when = try row.bytes()
        guard let policy = UInt8(exactly: try row.int()) else { throw .corrupt("a misfire policy") }
        let tolerance = try row.unsigned()
        let window = try row.unsigned()
        guard let limit = UInt32(exactly: try row.int()) else { throw .corrupt("a misfire limit") }
        let template = try row.bytes()
        let document = try row.bytes()
        self.init(
            kind: kind, when: when, misfirePolicy: policy, misfireToleranceMilliseconds: tolerance,
            misfireWindowMilliseconds: window, misfireLimit: limit, template: template, document: document,
            labels: LabelTags.labels(try row.texts()))
    }
}

extension SchedulePause {
    fileprivate static func read(row: inout PostgresRow) throws(PostgresFailure) -> SchedulePause? {
        let scope = try row.optionalInt()
        let since = try row.optionalInt()
        let until = try row.optionalInt().map { WallInstant(milliseconds: $0) }
        let reason = try row.optionalText()
        guard let scope, let since else { return nil }
        guard let known = UInt8(exactly: scope).flatMap(Scope.init(rawValue:)) else {
            throw .corrupt("the scope of a pause")
        }
        return SchedulePause(
            scope: known, since: WallInstant(milliseconds: since), until: until, reason: reason)
    }
}

/// Labels as tags, which an index finds: the name of each, and `name=value`. A name has no `=` in it.
enum LabelTags {
    static func tags(_ labels: [String: String]) -> [String] {
        labels.sorted { $0.key < $1.key }.flatMap { [$0.key, "\($0.key)=\($0.value)"] }
    }

    static func labels(_ tags: [String]) -> [String: String] {
        var labels: [String: String] = [:]
        for tag in tags {
            guard let sign = tag.firstIndex(of: "=") else { continue }
            labels[String(tag[..<sign])] = String(tag[tag.index(after: sign)...])
        }
        return labels
    }

    /// What a selector asks of a set of tags.
    struct Query {
        /// All of these.
        var required: [String] = []
        /// None of these.
        var forbidden: [String] = []
        /// Of each group one.
        var choices: [(tag: String, group: Int64)] = []

        init(_ requirements: [LabelRequirement]) {
            for (group, requirement) in requirements.enumerated() {
                switch requirement {
                case .exists(let name): self.required.append(name)
                case .isAbsent(let name): self.forbidden.append(name)
                case .isNoneOf(let name, let values): self.forbidden += values.map { "\(name)=\($0)" }
                case .isOneOf(let name, let values) where values.count == 1:
                    self.required += values.map { "\(name)=\($0)" }
                case .isOneOf(let name, let values):
                    // No schedule has the empty tag: a choice of nothing never holds.
                    let tags = values.isEmpty ? [""] : values.map { "\(name)=\($0)" }
                    self.choices += tags.map { ($0, Int64(group)) }
                }
            }
        }
    }
}
