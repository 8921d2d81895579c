import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import NIOCore
import ScheduleDocuments
import Store
import WireProtocol

extension APIServer {
    /// Pause, resume, trigger.
    var actionRoutes: [Route] {
        let item = "/v1/namespaces/{namespace}/schedules/{name}"
        return [
            Route(
                .post, "\(item)/pause", id: "pauseSchedule", "Stops a schedule from firing", needs: .operate,
                body: "PauseInput", answers: [200: "Schedule"], handler: { try await self.pauseSchedule($0) }),
            Route(
                .post, "\(item)/resume", id: "resumeSchedule",
                "Lets a schedule fire again; what fell due meanwhile stays unfired", needs: .operate,
                body: "ResumeInput", answers: [200: "Schedule"], handler: { try await self.resumeSchedule($0) }),
            Route(
                .post, "\(item)/trigger", id: "triggerSchedule", "Fires once, now, paused or not", needs: .operate,
                body: "TriggerInput", answers: [202: "Triggered"],
                handler: { try await self.triggerSchedule($0) }),
        ]
    }

    private static let reasonLengthMax = 1000

    /// The member `reason`: a text for people, kept with what was done.
    func reason(_ reader: inout ObjectReader) -> String? {
        guard let reason = reader.string("reason") else { return nil }
        if reason.utf8.count > Self.reasonLengthMax || reason.utf8.contains(0) {
            reader.note(
                "reason", ProblemCode.invalidValue, "must be a text of at most \(Self.reasonLengthMax) bytes")
        }
        return reason
    }

    private func pauseSchedule(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        let now = self.clocks.wallNow()
        var reader = ObjectReader(try call.parseOrEmpty(bytes), at: "")
        let reason = self.reason(&reader)
        let until = reader.instant("until")
        if let until, until <= now { reader.note("until", ProblemCode.outOfRange, "must lie in the future") }
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        return try await self.act(call, bytes, .pause(until: until), reason: reason, now: now)
    }

    private func resumeSchedule(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        var reader = ObjectReader(try call.parseOrEmpty(bytes), at: "")
        let reason = self.reason(&reader)
        if let word = reader.word("catchUp", ["none": "none", "latest": "latest", "all": "all"]), word != "none" {
            reader.note(
                "catchUp", ProblemCode.invalidValue,
                "'\(word)' is not supported: what fell due while paused stays unfired; trigger fires once now")
        }
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        return try await self.act(call, bytes, .resume, reason: reason, now: self.clocks.wallNow())
    }

    private func act(
        _ call: APICall, _ bytes: [UInt8], _ pause: ScheduleChange.PauseChange, reason: String?, now: WallInstant
    ) async throws -> Response {
        let expected = try call.expectedGeneration()
        let name = call.parameter("name")
        return try await self.once(try Repetition(call, body: bytes, now: now)) { key in
            let outcome = try await self.store.changeSchedule(
                namespace: call.namespace, name: name, ScheduleChange(pause: pause), ifGeneration: expected,
                origin: self.origin(call, at: now, reason: reason, key: key))
            switch outcome {
            case .changed(_, let after):
                self.cluster.changed(after.shard)
                return .answered(try self.answer(after))
            case .unchanged(let stored): return .answered(try self.answer(stored))
            case .stale(let current): throw Problem.staleETag("\"\(expected ?? 0)\"", current: current.generation)
            case .missing: throw Self.noSchedule(name, call.namespace)
            case .repeated: return .repeated
            }
        }
    }

    /// A trigger is a one-shot of its own that is due now and carries the schedule's template, so it is as
    /// durable, as exactly once and as well recorded as any other fire, and the schedule's own course is untouched.
    private func triggerSchedule(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        let stored = try await self.existing(call)
        let now = self.clocks.wallNow()
        var template: FireTemplate
        do throws(WireError) {
            template = try FireTemplate(decoding: ByteBuffer(bytes: stored.body.template))
        } catch {
            throw StoreError(.corrupt, operation: "trigger schedule", detail: "\(error)")
        }
        let document = try call.parseOrEmpty(bytes)
        var reader = ObjectReader(document, at: "")
        let reason = self.reason(&reader)
        if let payload = reader.value("payload") {
            let target = TargetDocument(contentType: template.contentType, payload: payload)
            if target.payloadBytes.count > self.settings.payloadByteCountMax {
                reader.note(
                    "payload", TargetDocument.payloadTooLarge,
                    "has \(target.payloadBytes.count) bytes, at most \(self.settings.payloadByteCountMax) are allowed")
            }
            template.payload = ByteBuffer(bytes: target.payloadBytes)
        }
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        template.traceparent = call.traceparent
        let repetition = try Repetition(call, body: bytes, now: now)
        var generator = SystemRandomNumberGenerator()
        let priority = Priority(ofDocument: try JSONParser.parse(stored.body.document))
        // In the shard of the schedule, next to its own fires.
        let uid = ShardPlacement.timerUID(
            shard: stored.shard, priority: priority, drawn: repetition?.uid(0) ?? UID.random(using: &generator))
        let timer = NewTimer(
            uid: uid, namespace: call.namespace, name: "trigger-\(uid.hex)", due: now,
            expireAfterMilliseconds: template.expireAfterMilliseconds,
            template: Array(template.encoded().readableBytesView),
            document: JSONValue.record([
                "priority": priority.stored, "labels": ["escapement/trigger-of": .string(stored.name)],
            ]).bytes,
            contentDigest: uid.hex.utf8.map { $0 }, createdAt: now, createdBy: call.caller.identity)
        return try await self.once(repetition) { key in
            guard case .outcome(let outcomes) = try await self.store.createTimers([timer], key: key) else {
                return .repeated
            }
            self.cluster.changed(stored.shard)
            if case .created? = outcomes.first {
                try await self.store.record(
                    AuditEntry(
                        self.origin(call, at: now, reason: reason, key: nil), namespace: call.namespace,
                        object: .schedule, name: stored.name, action: .trigger, generation: stored.generation))
            }
            let activation = ActivationID(
                cluster: self.settings.cluster, kind: .delay, uid: uid, scheduledTime: timer.due)
            return .answered(
                WriteAnswer(
                    202,
                    [
                        "schedule": .string(stored.name), "timer": .string(timer.name),
                        "dueAt": .string(now.description), "activationId": .string(activation.description),
                    ], location: "/v1/namespaces/\(call.namespace)/activations/\(activation)"))
        }
    }
}
