import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling
import Store

extension APIServer {
    /// Who asks for a change, for the audit trail.
    func origin(_ call: APICall, at now: WallInstant, reason: String? = nil, key: IdempotencyKey?) -> ChangeOrigin {
        ChangeOrigin(at: now, by: call.caller.identity, address: call.remoteAddress, reason: reason, key: key)
    }

    // MARK: Replace

    func putSchedule(_ call: APICall) async throws -> Response {
        let document = try await call.document()
        let name = call.parameter("name")
        let expected = try call.expectedGeneration()
        let requiresOne = call.request.headers[.ifMatch] != nil
        let existing = try await self.store.schedule(namespace: call.namespace, name: name)
        if call.mustBeNew, let existing {
            throw Problem(
                412, Problem.Code.alreadyExists, "the schedule '\(name)' exists (generation \(existing.generation))")
        }
        let reading = try await self.reading(call)
        guard let existing else {
            if requiresOne {
                throw Problem(412, Problem.Code.staleETag, "there is no schedule '\(ObjectReader.clipped(name))'")
            }
            return try await self.putNew(call, document, name: name, reading)
        }
        let draft = try ScheduleDraft.read(document, name: name, changing: try .init(existing), reading)
        return try await self.change(
            call, existing, self.change(of: existing, to: draft, reading), expected: expected, reading)
    }

    private func putNew(
        _ call: APICall, _ document: JSONValue, name: String, _ reading: DocumentReading
    ) async throws -> Response {
        var generator = SystemRandomNumberGenerator()
        let draft = try ScheduleDraft.read(document, name: name, drawn: .random(using: &generator), reading)
        if let fault = NameGrammar.fault(in: name) {
            throw Problem.invalid([Problem.Fault(.pointer("/name"), ProblemCode.invalidName, "name \(fault)")])
        }
        let new = self.new(draft, call, reading)
        if call.isDryRun { return try self.answer(StoredSchedule(new, revision: .none)).response() }
        try await self.checkScheduleQuota(call.namespace)
        switch try await self.store.createSchedule(new, origin: self.origin(call, at: reading.now, key: nil)) {
        case .outcome(.created(let stored)):
            self.cluster.changed(stored.shard)
            return try self.answer(stored, status: 201).response()
        case .outcome(.duplicate(let stored)): return try self.answer(stored).response()
        case .outcome(.conflict(let stored)):
            // Made by somebody else since we looked.
            throw Problem.staleETag("no generation", current: stored.generation)
        case .outcome(.withheld), .repeated:
            throw StoreError(.corrupt, operation: "put schedule", detail: "no key was given, and nothing else")
        }
    }

    // MARK: Merge

    func patchSchedule(_ call: APICall) async throws -> Response {
        let patch = try await call.document()
        guard case .object = patch else {
            throw Problem.invalid([
                Problem.Fault(
                    .pointer(""), ProblemCode.invalidType, "the patch must be an object, not \(patch.kindName)")
            ])
        }
        let expected = try call.expectedGeneration()
        let reading = try await self.reading(call)
        // A merge says what is to be, whatever the rest has become: done again when somebody was faster.
        for _ in 0..<Self.mergeTriesMax {
            let existing = try await self.existing(call)
            let merged = MergePatch.apply(patch, to: try JSONParser.parse(existing.body.document))
            let draft = try ScheduleDraft.read(merged, name: existing.name, changing: try .init(existing), reading)
            let change = self.change(of: existing, to: draft, reading)
            do {
                return try await self.change(
                    call, existing, change, expected: expected ?? existing.generation, reading)
            } catch let problem as Problem where problem.code == Problem.Code.staleETag && expected == nil {
                continue
            }
        }
        throw Problem(
            409, Problem.Code.staleETag, "others keep changing the schedule; try again", retryAfterSeconds: 1)
    }

    private static let mergeTriesMax = 5

    private func change(
        of existing: StoredSchedule, to draft: ScheduleDraft, _ reading: DocumentReading
    ) -> ScheduleChange {
        let isPaused = existing.isPaused(at: reading.now)
        let pause: ScheduleChange.PauseChange =
            switch draft.paused {
            case true? where !isPaused: .pause(until: nil)
            case false? where isPaused: .resume
            default: .keep
            }
        return ScheduleChange(body: draft.body(namespace: existing.namespace), pause: pause)
    }

    private func change(
        _ call: APICall, _ existing: StoredSchedule, _ change: ScheduleChange, expected: UInt64?,
        _ reading: DocumentReading
    ) async throws -> Response {
        let origin = self.origin(call, at: reading.now, key: nil)
        if call.isDryRun {
            let next = existing.successor(change, origin: origin, revision: existing.createdRevision)
            return try self.answer(next ?? existing).response()
        }
        switch try await self.store.changeSchedule(
            namespace: existing.namespace, name: existing.name, change, ifGeneration: expected, origin: origin)
        {
        case .changed(_, let after):
            self.cluster.changed(after.shard)
            return try self.answer(after).response()
        case .unchanged(let stored): return try self.answer(stored).response()
        case .stale(let current): throw Problem.staleETag("\"\(expected ?? 0)\"", current: current.generation)
        case .missing: throw Self.noSchedule(existing.name, existing.namespace)
        case .repeated: throw StoreError(.corrupt, operation: "change schedule", detail: "no key was given")
        }
    }
}
