import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Store

extension APIServer {
    /// Namespaces: quotas, and pausing all at once.
    var namespaceRoutes: [Route] {
        let item = "/v1/namespaces/{namespace}"
        return [
            Route(
                .get, "/v1/namespaces", id: "listNamespaces", "The namespaces that the token may see", needs: .read,
                query: OpenAPI.paging, answers: [200: "NamespaceList"],
                handler: { try await self.listNamespaces($0) }),
            Route(
                .get, item, id: "getNamespace", "A namespace, its quota and what it holds", needs: .read,
                answers: [200: "Namespace"], handler: { try await self.getNamespace($0) }),
            Route(
                .put, item, id: "putNamespace", "Sets a namespace's quota", needs: .administer,
                query: [OpenAPI.dryRun], body: "NamespaceInput", answers: [200: "Namespace"],
                handler: { try await self.putNamespace($0) }),
            Route(
                .post, "\(item)/pause", id: "pauseNamespace", "Pauses all schedules of a namespace", needs: .operate,
                body: "PauseInput", answers: [200: "Namespace"], handler: { try await self.pauseNamespace($0) }),
            Route(
                .post, "\(item)/resume", id: "resumeNamespace", "Ends the pause of a namespace", needs: .operate,
                body: "ResumeInput", answers: [200: "Namespace"], handler: { try await self.resumeNamespace($0) }),
        ]
    }

    /// Counts are exact up to this.
    private static let usageMax = 10_000
    /// Rounds of bringing schedules into line within one request; what is left, the next request does.
    private static let settleRoundsMax = 400

    private func listNamespaces(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let after = try token.map { (token: String) throws(Problem) in try PageToken.key("n", token) }
        let found: [NamespaceSettings]
        switch call.caller.namespaces {
        case .all: found = try await self.store.namespaces(after: after, limit: size + 1)
        case .only(let names):
            var own: [NamespaceSettings] = []
            for name in Set(names).sorted().filter({ $0 > after ?? "" }).prefix(size + 1) {
                own.append(try await self.store.namespace(name))
            }
            found = own
        }
        return Answer.json([
            "items": .array(found.prefix(size).map { self.document($0) }),
            "nextPageToken": found.count > size ? .string(PageToken.make("n", found[size - 1].namespace)) : .null,
        ])
    }

    private func getNamespace(_ call: APICall) async throws -> Response {
        let settings = try await self.store.namespace(call.namespace)
        return try await self.answer(settings).response()
    }

    private func putNamespace(_ call: APICall) async throws -> Response {
        var reader = ObjectReader(try await call.document(), at: "")
        let expected = try call.expectedGeneration()
        for field in ["namespace", "generation", "pause", "paused", "usage", "updatedAt", "updatedBy"] {
            _ = reader.value(field)
        }
        var quota = NamespaceQuota()
        if let value = reader.value("quota") {
            var inner = ObjectReader(value, at: "/quota")
            let counts = Int64(1)...1_000_000_000
            func count(_ name: String) -> UInt64? { inner.integer(name, in: counts).map { UInt64($0) } }
            quota.schedulesMax = count("schedules")
            quota.pendingTimersMax = count("pendingTimers")
            quota.creationsPerSecondMax = count("creationsPerSecond")
            quota.payloadBytesMax = inner.integer("payloadBytes", in: 1...Int64(TargetDocument.payloadMax))
                .map { UInt64($0) }
            quota.intervalMinMilliseconds = inner.duration("minInterval", in: .seconds(1)...Duration.seconds(86_400))
                .map { UInt64($0.wholeMilliseconds) }
            reader.note(inner.finish())
        }
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        if call.isDryRun {
            let settings = try await self.store.namespace(call.namespace)
            let origin = self.origin(call, at: self.clocks.wallNow(), key: nil)
            return try await self.answer(settings.successor(.setQuota(quota), origin: origin) ?? settings).response()
        }
        return try await self.change(call, .setQuota(quota), reason: nil, expected: expected, bytes: nil)
    }

    private func pauseNamespace(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        var reader = ObjectReader(try call.parseOrEmpty(bytes), at: "")
        let reason = self.reason(&reader)
        let until = reader.instant("until")
        if let until, until <= self.clocks.wallNow() {
            reader.note("until", ProblemCode.outOfRange, "must lie in the future")
        }
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        return try await self.change(
            call, .pause(until: until), reason: reason, expected: try call.expectedGeneration(), bytes: bytes)
    }

    private func resumeNamespace(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        var reader = ObjectReader(try call.parseOrEmpty(bytes), at: "")
        let reason = self.reason(&reader)
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        return try await self.change(
            call, .resume, reason: reason, expected: try call.expectedGeneration(), bytes: bytes)
    }

    private func change(
        _ call: APICall, _ change: NamespaceChange, reason: String?, expected: UInt64?, bytes: [UInt8]?
    ) async throws -> Response {
        let now = self.clocks.wallNow()
        let repetition = try bytes.flatMap { (bytes: [UInt8]) throws(Problem) in
            try Repetition(call, body: bytes, now: now)
        }
        return try await self.once(repetition) { key in
            let origin = self.origin(call, at: now, reason: reason, key: key)
            let outcome = try await self.store.changeNamespace(
                call.namespace, change, ifGeneration: expected, origin: origin)
            self.limits.forget(call.namespace)
            switch outcome {
            case .changed(_, let settings), .unchanged(let settings):
                try await self.settle(call.namespace, self.origin(call, at: now, reason: reason, key: nil))
                return .answered(try await self.answer(settings))
            case .stale(let current): throw Problem.staleETag("\"\(expected ?? 0)\"", current: current.generation)
            case .missing: throw Problem.notFound("namespace '\(call.namespace)'")
            case .repeated: return .repeated
            }
        }
    }

    /// Writes a namespace's pause into its schedules, a transaction at a time.
    private func settle(_ namespace: String, _ origin: ChangeOrigin) async throws {
        for _ in 0..<Self.settleRoundsMax {
            let shards = try await self.store.settleNamespace(
                namespace, limit: StoreRules.settledAtOnceMax, origin: origin, leaderEpoch: nil)
            if shards.isEmpty { return }
            for shard in Set(shards).sorted() { self.cluster.changed(shard) }
        }
    }

    private func answer(_ settings: NamespaceSettings) async throws -> WriteAnswer {
        let usage = try await self.store.usage(of: settings.namespace, upTo: Self.usageMax)
        func bounded(_ count: Int) -> JSONValue {
            ["value": .integer(count), "relation": .string(count >= Self.usageMax ? "gte" : "eq")]
        }
        let document =
            (self.document(settings).objectValue ?? []) + [
                JSONMember(
                    "usage", ["schedules": bounded(usage.schedules), "pendingTimers": bounded(usage.pendingTimers)])
            ]
        return WriteAnswer(200, .object(document), etag: "\"\(settings.generation)\"")
    }

    private func document(_ settings: NamespaceSettings) -> JSONValue {
        let quota = settings.quota
        let isPaused = settings.isPaused(at: self.clocks.wallNow())
        return .record([
            "namespace": .string(settings.namespace), "generation": .integer(settings.generation),
            "quota": .record([
                "schedules": quota.schedulesMax.map { .integer($0) },
                "pendingTimers": quota.pendingTimersMax.map { .integer($0) },
                "creationsPerSecond": quota.creationsPerSecondMax.map { .integer($0) },
                "payloadBytes": quota.payloadBytesMax.map { .integer($0) },
                "minInterval": quota.intervalMinMilliseconds.map {
                    .string(DurationText.format(.milliseconds(Int64(clamping: $0))))
                },
            ]),
            "paused": .bool(isPaused), "pause": isPaused ? settings.pause.map(ScheduleView.document) : nil,
            "updatedAt": settings.updatedAt.map { .string($0.description) },
            "updatedBy": settings.updatedBy.map { .string($0) },
        ])
    }
}
