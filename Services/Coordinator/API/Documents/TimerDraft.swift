import EscapementModel
import JSON
import NIOCore
import ScheduleDocuments
import Store
import WireProtocol

/// A timer as a user wrote it, read and checked.
struct TimerDraft: Sendable {
    /// The user's id; `nil` draws one.
    var name: String?
    var due: WallInstant
    /// When it is due in the user's words, for the digest: a repeated request with a delay is the same request
    /// although it would be due later.
    var spokenDue: JSONMember
    var target: TargetDocument
    var policy: PolicyDocument
    var labels: [JSONMember]
    var priority: Priority

    /// The longest delay, ten years and some days.
    static let delayMax = WhenDocument.delayMax

    /// - Throws: everything that is wrong with the document.
    static func read(_ value: JSONValue, _ reading: DocumentReading) throws(Problem) -> TimerDraft {
        var reader = ObjectReader(value, at: "")
        if !reader.problems.isEmpty { throw Problem.invalid(reader.problems) }
        let name = reading.name("id", &reader)
        let hasBoth = reader.has("delay") && reader.has("at")
        if hasBoth { reader.note("", ProblemCode.conflictingFields, "has delay and at; exactly one of them says when") }
        if !reader.has("delay"), !reader.has("at") {
            reader.note("", ProblemCode.missingField, "needs one of delay, at")
        }
        let delay = reader.duration("delay", in: .zero...self.delayMax)
        let at = reader.instant("at")
        let target = reading.target(&reader)
        let (policy, problems) = PolicyDocument.read(reader.value("policy"), scope: .timer)
        reader.note(problems)
        let labels = reading.labels(&reader)
        let priority = reading.priority(&reader) ?? .normal
        let all = reader.finish()
        guard all.isEmpty else { throw Problem.invalid(all) }
        let due: WallInstant
        let spoken: JSONMember
        switch (delay, at) {
        case (let delay?, _):
            due = reading.now.advanced(by: delay)
            spoken = JSONMember("delay", .string(DurationText.format(delay)))
        case (nil, let at?):
            due = at
            spoken = JSONMember("at", .string(at.description))
        case (nil, nil):
            preconditionFailure("a timer without delay and at has problems")
        }
        return TimerDraft(
            name: name, due: due, spokenDue: spoken, target: target, policy: policy, labels: labels, priority: priority)
    }

    /// What the store keeps. `uid` carries its shard and its priority.
    func timer(uid: UID, namespace: String, now: WallInstant, by identity: String, traceparent: String) -> NewTimer {
        let name = self.name ?? uid.hex
        let document = JSONValue.record([
            "priority": self.priority.stored, "labels": self.labels.isEmpty ? nil : .object(self.labels),
            "target": self.target.write(),
            "policy": self.policy.write(scope: .timer),
        ])
        let template = FireTemplate(
            origin: .timer, namespace: namespace, name: name, target: self.target, labels: self.labels,
            policy: self.policy, traceparent: traceparent)
        var hash = SHA256()
        hash.update(JSONValue.object([self.spokenDue]).bytes)
        hash.update(document.bytes)
        return NewTimer(
            uid: uid, namespace: namespace, name: name, due: self.due,
            expireAfterMilliseconds: self.policy.expireAfterMilliseconds,
            template: Array(template.encoded().readableBytesView), document: document.bytes,
            contentDigest: hash.finish(), createdAt: now, createdBy: identity)
    }
}
