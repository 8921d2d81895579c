import DispatcherDomain
import EscapementModel
import JSON

/// An outcome as an activation of Apache OpenWhisk, as its Elasticsearch store keeps them.
///
/// A fire shows as the activation of a trigger named like the schedule: `path` is `namespace/schedule`, `start` is when it
/// fired, `end` is 0 (OpenWhisk's "no end") and there is no `duration`, so that it never enters the average that
/// OpenWhisk's scheduler takes of an action's durations. All that we know more is in the annotation `escapement`. One document that OpenWhisk cannot read breaks every
/// listing of its namespace, hence `fault`.
enum OpenWhiskDocument {
    /// Who invoked it; OpenWhisk wants five characters at least.
    private static let subject = "escapement"
    /// No version of an entity is known here.
    private static let version = "0.0.1"
    private static let nameCharactersMax = 256
    /// Elasticsearch's bound for the name of an index, bytes.
    private static let indexBytesMax = 255

    /// The index of a namespace, whose name is lower-cased.
    static func index(_ pattern: String, namespace: String) -> String {
        let name = pattern.replacing("%s", with: namespace.lowercased())
        return name.hasPrefix("/") ? String(name.dropFirst()) : name
    }

    /// Why OpenWhisk, or Elasticsearch, could not take the document; `nil` when they can.
    static func fault(of outcome: OutcomeRecord, index: String) -> String? {
        for (what, name) in [("namespace", outcome.namespace), ("name", outcome.name)] where !self.isEntityName(name) {
            return "the \(what) is no name that OpenWhisk can read"
        }
        let forbidden = index.unicodeScalars.contains {
            $0.value <= 0x20 || "\\/*?\"<>|,#:".unicodeScalars.contains($0)
        }
        if forbidden || index.utf8.count > self.indexBytesMax || index.first.map({ "-_+.".contains($0) }) != false {
            return "the namespace does not make the name of an index"
        }
        return nil
    }

    static func document(of outcome: OutcomeRecord, native: JSONValue) -> JSONValue {
        // What never fired has no other time than the one it was scheduled for.
        let start = outcome.outcome == .dispatched ? outcome.settledAt : outcome.scheduled
        let result = self.result(of: outcome).text
        let path = "\(outcome.namespace)/\(outcome.name)"
        return [
            "@timestamp": .string(start.description),
            "activationId": .string(outcome.id.description),
            "annotations": ["path": .string(path), "kind": "escapement", "escapement": native],
            "end": 0, "entityType": "activation", "logs": .array([]), "name": .string(outcome.name),
            "namespace": .string(outcome.namespace), "path": .string(path), "publish": false,
            "response": [
                "statusCode": .integer(self.statusCode(of: outcome.outcome)), "result": .string(result),
                "size": .integer(result.utf8.count),
            ],
            "start": .integer(start.milliseconds), "subject": .string(self.subject),
            "updated": .integer(outcome.settledAt.milliseconds), "version": .string(self.version),
        ]
    }

    /// Our own document within a stored one; `nil` when somebody else wrote it.
    static func native(in document: JSONValue) -> JSONValue? { document["annotations"]?["escapement"] }

    /// `document` without what people wrote, which is in our own part, and as the error in the result; `nil` when it has
    /// nothing of that.
    static func withoutFreeText(_ document: JSONValue) -> JSONValue? {
        guard let native = self.native(in: document), let less = ActivationDocument.withoutFreeText(native) else {
            return nil
        }
        var changed = document.replacing("annotations", "escapement", with: less)
        if native["error"] != nil, let outcome = native["outcome"]?.stringValue {
            let result = JSONValue.object([
                JSONMember("error", .string("\(outcome), \(native["reason"]?.stringValue ?? "")"))
            ]).text
            changed = changed.replacing("response", "result", with: .string(result))
                .replacing("response", "size", with: .integer(result.utf8.count))
        }
        return changed
    }

    /// 0 success, 1 application error, 3 internal error of the platform.
    private static func statusCode(of outcome: Outcome) -> Int {
        switch outcome {
        case .dispatched: 0
        case .failed: 3
        case .skipped: 1
        }
    }

    private static func result(of outcome: OutcomeRecord) -> JSONValue {
        guard outcome.outcome == .dispatched else {
            let detail = outcome.error.isEmpty ? "" : ": \(outcome.error)"
            return ["error": .string("\(outcome.outcome.name), \(outcome.reason.code)\(detail)")]
        }
        guard let position = outcome.position else { return .object([]) }
        return [
            "topic": .string(position.topic), "partition": .integer(position.partition),
            "offset": .integer(position.offset),
        ]
    }

    /// OpenWhisk's rule for names: `\A([\w]|[\w][\w@ .-]*[\w@.-]+)\z`, with ASCII word characters.
    private static func isEntityName(_ name: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "_"): true
            default: false
            }
        }
        func isInner(_ byte: UInt8) -> Bool { isWord(byte) || "@ .-".utf8.contains(byte) }
        guard let first = name.utf8.first, let last = name.utf8.last else { return false }
        return isWord(first) && last != UInt8(ascii: " ") && name.utf8.allSatisfy(isInner)
            && name.utf8.count <= self.nameCharactersMax
    }
}

extension JSONValue {
    /// The value with another member in one of its members; unchanged where there is no such object.
    fileprivate func replacing(_ name: String, _ inner: String, with value: JSONValue) -> JSONValue {
        func changed(_ object: JSONValue, _ name: String, _ change: (JSONValue) -> JSONValue) -> JSONValue {
            guard case .object(let members) = object else { return object }
            return .object(members.map { $0.name == name ? JSONMember(name, change($0.value)) : $0 })
        }
        return changed(self, name) { changed($0, inner) { _ in value } }
    }
}
