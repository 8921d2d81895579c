import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import NIOCore
import ScheduleDocuments
import Scheduling
import Store
import WireProtocol

/// What a backfill asks for.
struct BackfillRequest: Sendable {
    /// Fires of one backfill, unless it says otherwise.
    static let firesDefault = 100
    /// Fires per second.
    static let rateDefault: Int64 = 10
    static let rateMax: Int64 = 1000

    var from: WallInstant
    /// Not itself part of it.
    var to: WallInstant
    var firesMax: Int
    var rate: Int64
    var isNewestFirst: Bool
    var skipsFired: Bool
    var reason: String?
}

extension APIServer {
    /// Fires that should have been.
    var backfillRoutes: [Route] {
        [
            Route(
                .post, "/v1/namespaces/{namespace}/schedules/{name}/backfill", id: "backfillSchedule",
                "Fires what the schedule, as it is now, names in a past time", needs: .operate,
                query: [OpenAPI.dryRun], body: "BackfillInput", answers: [202: "Backfill", 200: "Backfill"],
                handler: { try await self.backfill($0) })
        ]
    }

    /// Each fire is a one-shot of its own with the schedule's template, all stored in one transaction and due one after
    /// another: nothing has to stay awake for it, and it is as durable and as exactly once as any other fire.
    private func backfill(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        let now = self.clocks.wallNow()
        let document = try call.parseOrEmpty(bytes)
        let (request, isDryRun) = try self.backfillRequest(document, call, now: now)
        let stored = try await self.existing(call)
        let compiled = try self.view.compiled(stored)
        let planned =
            compiled.upcoming(after: request.from.advanced(by: .milliseconds(-1)), count: request.firesMax + 2)
            .filter { $0.scheduled >= request.from && $0.scheduled < request.to }
        guard planned.count <= request.firesMax else {
            throw Problem.invalid([
                Problem.Fault(
                    .pointer("/maxFires"), ProblemCode.outOfRange,
                    "'\(stored.name)' has more than \(request.firesMax) occurrences in this time; shorten it or raise maxFires"
                )
            ])
        }
        var missing = planned
        if request.skipsFired, !planned.isEmpty {
            let fired = try await self.fired(stored, request)
            missing = planned.filter { !fired.contains($0.scheduled) }
        }
        guard missing.count * stored.body.template.count <= self.settings.timerBytesMax else {
            throw Problem.invalid([
                Problem.Fault(
                    .pointer("/to"), ProblemCode.outOfRange,
                    "\(missing.count) fires with the payload of '\(stored.name)' are more than "
                        + "\(self.settings.timerBytesMax) bytes; shorten the time and ask several times")
            ])
        }
        if request.isNewestFirst { missing.reverse() }
        let repetition = try Repetition(call, body: bytes, now: now)
        let timers = try self.backfillTimers(missing, of: stored, compiled, request, repetition, call, now: now)
        func answer(_ status: Int, _ outcomes: [CreateOutcome<StoredTimer>]?) -> WriteAnswer {
            self.backfillAnswer(
                status, stored, planned: planned.count, fires: zip(missing.map(\.scheduled), timers), outcomes)
        }
        if isDryRun || timers.isEmpty { return answer(200, nil).response() }
        try await self.checkTimerQuota(call.namespace, adding: timers.count)
        return try await self.once(repetition) { key in
            guard case .outcome(let outcomes) = try await self.store.createTimers(timers, key: key) else {
                return .repeated
            }
            self.cluster.changed(stored.shard)
            try await self.store.record(
                AuditEntry(
                    self.origin(call, at: now, reason: request.reason, key: nil), namespace: call.namespace,
                    object: .schedule, name: stored.name, action: .backfill, generation: stored.generation))
            return .answered(answer(202, outcomes))
        }
    }

    private func backfillRequest(
        _ document: JSONValue, _ call: APICall, now: WallInstant
    ) throws(Problem) -> (BackfillRequest, isDryRun: Bool) {
        var reader = ObjectReader(document, at: "")
        reader.require("from")
        reader.require("to")
        let from = reader.instant("from")
        let to = reader.instant("to")
        if let to, to > now {
            reader.note("to", ProblemCode.outOfRange, "must not lie in the future: that fires by itself")
        }
        if let from, let to, to <= from { reader.note("to", ProblemCode.conflictingFields, "must be after from") }
        _ = reader.word("bounds", ["[from,to)": true])
        let most = reader.integer("maxFires", in: 1...Int64(StoreRules.timersPerRequestMax))
        let rate = self.rate(&reader)
        let newest = reader.word("order", ["oldest-first": false, "newest-first": true])
        let skips = reader.boolean("skipAlreadyFired")
        let isDryRun = reader.boolean("dryRun") ?? false
        let reason = self.reason(&reader)
        let problems = reader.finish()
        guard problems.isEmpty, let from, let to else { throw Problem.invalid(problems) }
        return (
            BackfillRequest(
                from: from, to: to, firesMax: most.map { Int($0) } ?? BackfillRequest.firesDefault,
                rate: rate ?? BackfillRequest.rateDefault, isNewestFirst: newest ?? false, skipsFired: skips ?? true,
                reason: reason), isDryRun || call.isDryRun
        )
    }

    /// `10/s`.
    private func rate(_ reader: inout ObjectReader) -> Int64? {
        guard let text = reader.string("rate") else { return nil }
        guard text.hasSuffix("/s"), let number = Int64(text.dropLast(2)), (1...BackfillRequest.rateMax).contains(number)
        else {
            reader.note(
                "rate", ProblemCode.outOfRange,
                "must be from 1/s to \(BackfillRequest.rateMax)/s, not '\(ObjectReader.clipped(text))'")
            return nil
        }
        return number
    }

    /// The scheduled times in the range that were dispatched, by their own records.
    private func fired(_ stored: StoredSchedule, _ request: BackfillRequest) async throws -> Set<WallInstant> {
        let search = RecordSearch(cluster: self.cluster, namespace: stored.namespace, name: stored.name)
        let records = try await search.records(
            from: request.from, to: request.to, limit: StoreRules.timersPerRequestMax + 1)
        return Set(
            records.filter { $0["outcome"]?.stringValue == Outcome.dispatched.name }
                .compactMap { $0["scheduled_at"]?.stringValue.flatMap { WallInstant(text: $0) } })
    }

    private func backfillTimers(
        _ occurrences: [Occurrence], of stored: StoredSchedule, _ compiled: CompiledSchedule,
        _ request: BackfillRequest, _ repetition: Repetition?, _ call: APICall, now: WallInstant
    ) throws -> [NewTimer] {
        var template: FireTemplate
        do throws(WireError) {
            template = try FireTemplate(decoding: ByteBuffer(bytes: stored.body.template))
        } catch {
            throw StoreError(.corrupt, operation: "backfill schedule", detail: "\(error)")
        }
        template.traceparent = call.traceparent
        // What is late on purpose does not expire by the schedule's rule.
        template.expireAfterMilliseconds = 0
        var generator = SystemRandomNumberGenerator()
        let namesNeighbours = template.namesNeighbours
        let payloadDigest = template.payloadDigest
        return occurrences.enumerated().map { index, occurrence in
            let instant = occurrence.scheduled
            let drawn: UID
            if request.skipsFired {
                drawn = Self.backfillUID(stored, instant)
            } else {
                drawn = repetition?.uid(index) ?? UID.random(using: &generator)
            }
            // In the shard of the schedule, next to its own fires, and behind those that are due now.
            let uid = ShardPlacement.timerUID(shard: stored.shard, priority: .low, drawn: drawn)
            template.backfills = instant
            if namesNeighbours { template.neighbours = compiled.neighbours(of: occurrence) }
            let due = now.advanced(by: .milliseconds(Int64(index) * 1000 / request.rate))
            return NewTimer(
                uid: uid, namespace: call.namespace, name: "backfill-\(uid.hex)", due: due,
                expireAfterMilliseconds: 0,
                template: Array(template.encoded(payloadDigest: payloadDigest).readableBytesView),
                document: JSONValue.record([
                    "priority": Priority.low.stored,
                    "labels": [
                        "escapement/backfill-of": .string(stored.name),
                        "escapement/scheduled-at": .string(instant.description),
                    ],
                ]).bytes, contentDigest: Array(uid.hex.utf8), createdAt: now, createdBy: call.caller.identity)
        }
    }

    /// The same for every backfill of an occurrence, so that a second one meets the first one's timer.
    private static func backfillUID(_ stored: StoredSchedule, _ instant: WallInstant) -> UID {
        var hash = SHA256()
        hash.update("backfill".utf8)
        hash.update(bigEndian: stored.uid.high)
        hash.update(bigEndian: stored.uid.low)
        hash.update(bigEndian: UInt64(bitPattern: instant.milliseconds))
        return hash.finishDigest().high
    }

    /// - Parameter outcomes: `nil` when nothing was stored.
    private func backfillAnswer(
        _ status: Int, _ stored: StoredSchedule, planned: Int, fires: Zip2Sequence<[WallInstant], [NewTimer]>,
        _ outcomes: [CreateOutcome<StoredTimer>]?
    ) -> WriteAnswer {
        var created = 0
        var items: [JSONValue] = []
        for (index, (instant, timer)) in fires.enumerated() {
            var due = timer.due
            var word = "planned"
            switch outcomes?[index] {
            case .created?:
                created += 1
                word = "created"
            case .duplicate(let earlier)?, .conflict(let earlier)?:
                due = earlier.due
                word = "backfilled-before"
            case .withheld?, nil: break
            }
            let activation = ActivationID(
                cluster: self.settings.cluster, kind: .delay, uid: timer.uid, scheduledTime: due)
            items.append([
                "scheduledAt": .string(instant.description), "dueAt": .string(due.description),
                "status": .string(word), "timer": .string(timer.name), "activationId": .string(activation.description),
            ])
        }
        return WriteAnswer(
            status,
            [
                "schedule": .string(stored.name), "planned": .integer(planned),
                "skipped": .integer(planned - items.count), "created": .integer(created), "items": .array(items),
            ])
    }
}
