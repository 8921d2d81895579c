import EscapementModel
import JSON
import NIOCore
import ScheduleDocuments
import Scheduling
import WireProtocol

/// What reading a document of schedules or timers needs to know, and what both kinds share.
struct DocumentReading: Sendable {
    let settings: APISettings
    let zones: ZoneDatabase
    let namespace: String
    let now: WallInstant
    /// The shortest period that the namespace may have; `nil` for no such limit.
    let intervalMinMilliseconds: UInt64?

    /// Letters of the key of a label or annotation, and its bytes.
    private static let keyLengthMax = 128
    private static let labelValueMax = 256

    /// A name of the user's choice, checked.
    func name(_ member: String, _ reader: inout ObjectReader) -> String? {
        guard let name = reader.string(member) else { return nil }
        if let fault = NameGrammar.fault(in: name) { reader.note(member, ProblemCode.invalidName, fault) }
        return name
    }

    /// The priority, when the document says one.
    func priority(_ reader: inout ObjectReader) -> Priority? {
        reader.word("priority", ["high": .high, "normal": .normal, "low": .low])
    }

    /// Labels: short texts by which objects are found. Sorted by name.
    func labels(_ reader: inout ObjectReader) -> [JSONMember] {
        self.texts("labels", &reader) { text in
            text.utf8.count > Self.labelValueMax || text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
                ? "must be one line of at most \(Self.labelValueMax) bytes" : nil
        }
    }

    /// Annotations: texts that are kept and given back.
    func annotations(_ reader: inout ObjectReader) -> [JSONMember] {
        let annotations = self.texts("annotations", &reader) { _ in nil }
        let size = annotations.reduce(0) { $0 + $1.name.utf8.count + ($1.value.stringValue?.utf8.count ?? 0) }
        if size > self.settings.annotationByteCountMax {
            reader.note(
                "annotations", ProblemCode.outOfRange,
                "have \(size) bytes, at most \(self.settings.annotationByteCountMax) are allowed")
        }
        return annotations
    }

    private func texts(
        _ name: String, _ reader: inout ObjectReader, fault: (String) -> String?
    ) -> [JSONMember] {
        guard let value = reader.value(name) else { return [] }
        guard case .object(let members) = value else {
            reader.note(name, ProblemCode.invalidType, "must be an object of strings, not \(value.kindName)")
            return []
        }
        if members.count > self.settings.labelsMax {
            reader.note(
                name, ProblemCode.tooMany,
                "has \(members.count) members, at most \(self.settings.labelsMax) are allowed")
            return []
        }
        var inner = ObjectReader(value, at: reader.pointer(to: name))
        for member in members {
            if let fault = Self.keyFault(member.name) { inner.note(member.name, ProblemCode.invalidName, fault) }
            if let text = inner.string(member.name), let fault = fault(text) {
                inner.note(member.name, ProblemCode.invalidValue, fault)
            }
        }
        reader.note(inner.finish())
        return members.filter { $0.value != .null }.sorted { $0.name < $1.name }
    }

    private static func keyFault(_ key: String) -> String? {
        let isFine = key.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: "/"):
                true
            default: false
            }
        }
        if key.isEmpty || key.utf8.count > self.keyLengthMax || !isFine {
            return "must be 1 to \(self.keyLengthMax) of letters, digits, '.', '_', '-' and '/'"
        }
        return nil
    }

    /// The target, with this API's bound for payloads.
    func target(_ reader: inout ObjectReader) -> TargetDocument {
        let value = reader.value("target")
        let pointer = reader.pointer(to: "target")
        let (target, problems) = TargetDocument.read(value, cluster: self.settings.cluster, at: pointer)
        reader.note(problems)
        let size = target.payloadBytes.count
        let bound = self.settings.payloadByteCountMax
        if size > bound, !problems.contains(where: { $0.code == TargetDocument.payloadTooLarge }) {
            reader.note([
                DocumentProblem(
                    pointer: "\(pointer)/payload", code: TargetDocument.payloadTooLarge,
                    detail: "payload has \(size) bytes, at most \(bound) are allowed; send a reference instead")
            ])
        }
        return target
    }
}

extension FireTemplate {
    /// What dispatchers publish for a document's target.
    init(
        origin: Origin, namespace: String, name: String, target: TargetDocument, labels: [JSONMember],
        policy: PolicyDocument, traceparent: String
    ) {
        self.init(
            origin: origin, namespace: namespace, name: name, action: target.action, topic: target.topic,
            key: target.key, format: target.format, contentType: target.contentType,
            payload: .init(bytes: target.payloadBytes),
            labels: labels.map { Label(name: $0.name, value: $0.value.stringValue ?? "") },
            expireAfterMilliseconds: policy.expireAfterMilliseconds, traceparent: traceparent,
            headers: target.headers.map { Header(name: $0.name, value: $0.value.stringValue ?? "") },
            isPattern: target.isPattern, web: target.web.map { Web($0) })
        self.retry.attemptsMax = policy.retry.attemptsMax
        self.retry.backoffMinMilliseconds = policy.retry.backoffMinMilliseconds
        self.retry.backoffMaxMilliseconds = policy.retry.backoffMaxMilliseconds
        self.retry.dropsExhausted = policy.retry.dropsExhausted
    }
}

extension FireTemplate.Web {
    fileprivate init(_ target: WebTarget) {
        switch target {
        case .hook(let url, let secret): self = .hook(url: url, secret: secret)
        case .trigger(let name): self = .trigger(name)
        case .action(let name): self = .action(name)
        }
    }
}
