import EscapementModel
package import JSON

/// Why a query document cannot be answered.
package struct ActivationQueryError: Error, Equatable {
    package var detail: String
}

extension ActivationSearch {
    /// Reads the query document: members are the API's query parameters, as text or numbers. Unknown ones are
    /// ignored, so that a newer coordinator may ask more.
    package init(document: JSONValue) throws(ActivationQueryError) {
        self.init()
        func text(_ name: String) throws(ActivationQueryError) -> String? {
            switch document[name] {
            case nil, .null: return nil
            case .string(let text): return text.isEmpty ? nil : text
            case .number(let text): return text
            default: throw ActivationQueryError(detail: "\(name) must be text")
            }
        }
        func instant(_ name: String) throws(ActivationQueryError) -> WallInstant? {
            guard let text = try text(name) else { return nil }
            guard let instant = WallInstant(text: text) else {
                throw ActivationQueryError(detail: "\(name) must be a time such as 2026-11-23T01:30:00Z")
            }
            return instant
        }
        self.namespace = try text("namespace")
        self.schedule = try text("schedule")
        self.outcome = try text("outcome")
        self.reason = try text("reason")
        self.kind = try text("kind")
        self.activationID = try text("activationId")
        self.action = try text("action")
        self.words = (try text("q") ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
        if self.words.count > Self.wordsMax {
            throw ActivationQueryError(detail: "q must have at most \(Self.wordsMax) words")
        }
        self.labels = try Self.labels(try text("label"))
        self.from = try instant("from")
        self.to = try instant("to")
        if let size = try text("pageSize") {
            guard let number = Int(size), (1...Self.pageSizeMax).contains(number) else {
                throw ActivationQueryError(detail: "pageSize must be from 1 to \(Self.pageSizeMax)")
            }
            self.pageSize = number
        }
        if let bound = try text("countUpTo") {
            guard let number = Int(bound), (1...Self.countBoundMax).contains(number) else {
                throw ActivationQueryError(detail: "countUpTo must be from 1 to \(Self.countBoundMax)")
            }
            self.countBound = number
        }
        if let token = try text("pageToken") {
            guard let position = Position(token: token) else {
                throw ActivationQueryError(detail: "pageToken is not one of ours")
            }
            self.after = position
        }
    }

    /// The interval of a summary, in the member `every`; `nil` when documents are asked for.
    ///
    /// - Throws: also when the range of time would make too many buckets.
    package func interval(document: JSONValue) throws(ActivationQueryError) -> ActivationInterval? {
        guard let text = document["every"]?.stringValue, !text.isEmpty else { return nil }
        guard let interval = DurationText.parse(text).flatMap({ ActivationInterval($0) }) else {
            throw ActivationQueryError(detail: "every must be a duration of whole seconds such as 1h, up to 400 days")
        }
        guard let from = self.from, let to = self.to, from < to else {
            throw ActivationQueryError(detail: "every needs from and to, from being the earlier one")
        }
        let count = to.duration(since: from).wholeMilliseconds / interval.duration.wholeMilliseconds
        guard count < ActivationInterval.bucketsMax else {
            throw ActivationQueryError(
                detail: "every makes more than \(ActivationInterval.bucketsMax) buckets: take a longer one")
        }
        return interval
    }

    /// `team=billing,tier=gold`: all of them.
    private static func labels(_ text: String?) throws(ActivationQueryError) -> [Label] {
        var labels: [Label] = []
        for part in text?.split(separator: ",") ?? [] {
            guard let equals = part.firstIndex(of: "="), equals != part.startIndex else {
                throw ActivationQueryError(detail: "label must look like team=billing, several with commas between")
            }
            labels.append(Label(name: String(part[..<equals]), value: String(part[part.index(after: equals)...])))
        }
        guard labels.count <= Self.labelsMax else {
            throw ActivationQueryError(detail: "label must name at most \(Self.labelsMax) labels")
        }
        return labels
    }

    /// Whether a document matches; for the recent outcomes in memory.
    package func matches(_ document: JSONValue) -> Bool {
        func equal(_ wanted: String?, _ name: String) -> Bool {
            wanted == nil || document[name]?.stringValue == wanted
        }
        guard equal(self.namespace, "namespace"), equal(self.schedule, "schedule"), equal(self.outcome, "outcome"),
            equal(self.reason, "reason"), equal(self.kind, "kind"), equal(self.activationID, "activation_id"),
            equal(self.action, "action"),
            self.labels.allSatisfy({ document["labels"]?[$0.name]?.stringValue == $0.value }),
            self.words.allSatisfy({ Self.isWord($0, of: document) }),
            let scheduled = document["scheduled_at"]?.stringValue.flatMap({ WallInstant(text: $0) })
        else { return false }
        if let from = self.from, scheduled < from { return false }
        if let to = self.to, scheduled >= to { return false }
        guard let after = self.after, let id = document["activation_id"]?.stringValue else { return true }
        return scheduled < after.scheduled || scheduled == after.scheduled && id < after.id
    }
}

extension ActivationSearch {
    private static func isWord(_ word: String, of document: JSONValue) -> Bool {
        func text(_ name: String) -> String { document[name]?.stringValue ?? "" }
        func words(_ text: String) -> [Substring] { text.lowercased().split { !$0.isLetter && !$0.isNumber } }
        func hasAll(_ name: String) -> Bool {
            let wanted = words(word)
            let present = Set(words(text(name)))
            return !wanted.isEmpty && wanted.allSatisfy { present.contains($0) }
        }
        return text("schedule").hasPrefix(word) || text("action").hasPrefix(word) || hasAll("schedule")
            || hasAll("error")
    }
}

extension ActivationSearch.Position {
    /// Opaque to clients: milliseconds, a dot, the activation id.
    package var token: String { "\(self.scheduled.milliseconds).\(self.id)" }

    package init?(token: String) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let milliseconds = Int64(parts[0]), UID(text: parts[1]) != nil else { return nil }
        self.init(scheduled: WallInstant(milliseconds: milliseconds), id: String(parts[1]))
    }

    /// The position of a document; `nil` when it lacks the two members.
    package init?(document: JSONValue) {
        guard let scheduled = document["scheduled_at"]?.stringValue.flatMap({ WallInstant(text: $0) }),
            let id = document["activation_id"]?.stringValue
        else { return nil }
        self.init(scheduled: scheduled, id: id)
    }
}
