import EscapementModel
import JSON

/// The schemas of the API's documents.
enum OpenAPISchemas {
    static var all: JSONValue {
        .object(
            [self.inputs, self.outputs, self.lists].joined().map { JSONMember($0.key, $0.value) }
                .sorted { $0.name < $1.name })
    }

    private typealias Schemas = [String: JSONValue]

    private static func object(
        _ properties: KeyValuePairs<String, JSONValue>, required: [String] = [], isClosed: Bool = false
    ) -> JSONValue {
        .record([
            "type": "object",
            "properties": .object(properties.map { JSONMember($0.key, $0.value) }),
            "required": required.isEmpty ? nil : .array(required.map { .string($0) }),
            "additionalProperties": isClosed ? false : nil,
        ])
    }

    private static func list(of items: JSONValue) -> JSONValue { ["type": "array", "items": items] }
    private static let text: JSONValue = ["type": "string"]
    private static let number: JSONValue = ["type": "integer"]
    private static let duration: JSONValue = [
        "type": "string", "description": "A duration such as 90s, 1h30m or PT90S",
    ]
    private static let name: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    ]
    private static let priority: JSONValue = [
        "type": "string", "enum": .array(Priority.allCases.map { .string($0.word) }),
        "description": "Which of the fires due at the same millisecond leave first",
    ]
    private static let texts: JSONValue = ["type": "object", "additionalProperties": ["type": "string"]]
    private static func oneOrMany(_ item: JSONValue) -> JSONValue { ["oneOf": [item, self.list(of: item)]] }
    private static func nullable(_ schema: JSONValue) -> JSONValue { ["oneOf": [schema, ["type": "null"]]] }

    private static var inputs: Schemas {
        [
            "When": self.object(
                [
                    "cron": self.oneOrMany(self.text), "every": self.text,
                    "anchor": self.nullable(OpenAPI.instant), "at": self.oneOrMany(OpenAPI.instant),
                    "delay": self.duration, "timeZone": self.text,
                    "dst": self.object(
                        [
                            "gap": ["type": "string", "enum": ["shift", "skip"]],
                            "overlap": ["type": "string", "enum": ["first", "second", "both"]],
                        ], isClosed: true),
                    "startAt": self.nullable(OpenAPI.instant), "endAt": self.nullable(OpenAPI.instant),
                    "limit": self.nullable(["type": "integer", "minimum": 1, "maximum": 100_000]),
                    "excludes": self.list(of: ["type": "object"]), "jitter": self.duration, "seed": self.text,
                ], isClosed: true),
            "Target": self.object(
                [
                    "action": self.text, "topic": self.text,
                    "format": [
                        "type": "string",
                        "enum": ["cloudevents-binary", "cloudevents-structured", "plain", "openwhisk"],
                    ],
                    "key": self.text, "contentType": self.text, "payload": [:], "headers": self.texts,
                    "template": ["type": "boolean"],
                    "http": self.object(["url": self.text, "secret": self.text], required: ["url"], isClosed: true),
                    "openwhisk": self.object(["trigger": self.text, "action": self.text], isClosed: true),
                ], isClosed: true),
            "Policy": self.object([
                "misfire": [
                    "oneOf": [["type": "string", "enum": ["latest", "all", "skip"]], ["type": "object"]]
                ],
                "tolerance": self.duration, "catchupWindow": self.duration,
                "catchupLimit": ["type": "integer", "minimum": 1, "maximum": 10_000],
                "expireAfter": self.nullable(self.duration), "retry": ["type": "object"],
                "onExhausted": ["type": "string", "enum": ["dead-letter", "drop"]],
            ]),
            "ScheduleInput": self.object(
                self.scheduleMembers, required: ["when"]),
            "SchedulePatch": self.object(self.scheduleMembers),
            "PauseInput": self.object(
                ["reason": self.text, "until": self.nullable(OpenAPI.instant)], isClosed: true),
            "ResumeInput": self.object(
                ["reason": self.text, "catchUp": ["type": "string", "enum": ["none"]]], isClosed: true),
            "TriggerInput": self.object(["reason": self.text, "payload": [:]], isClosed: true),
            "BackfillInput": self.object(
                [
                    "from": OpenAPI.instant, "to": OpenAPI.instant,
                    "bounds": ["type": "string", "enum": ["[from,to)"]],
                    "maxFires": ["type": "integer", "minimum": 1, "maximum": 10_000],
                    "rate": ["type": "string", "pattern": "^[0-9]+/s$"],
                    "order": ["type": "string", "enum": ["oldest-first", "newest-first"]],
                    "skipAlreadyFired": ["type": "boolean"], "dryRun": ["type": "boolean"], "reason": self.text,
                ], required: ["from", "to"], isClosed: true),
            "ReplayInput": self.object(
                ["activationIds": self.list(of: self.text), "reason": self.text], required: ["activationIds"],
                isClosed: true),
            "NamespaceInput": self.object([
                "quota": self.object(
                    [
                        "schedules": self.number, "pendingTimers": self.number, "creationsPerSecond": self.number,
                        "payloadBytes": self.number, "minInterval": self.duration,
                    ], isClosed: true)
            ]),
            "TimerInput": self.object(
                [
                    "id": self.name, "delay": self.duration, "at": OpenAPI.instant,
                    "target": OpenAPI.reference("Target"), "policy": OpenAPI.reference("Policy"), "labels": self.texts,
                    "priority": self.priority,
                ], isClosed: true),
            "TimerBatchLine": [
                "description": "One line of NDJSON each; the first may hold defaults",
                "oneOf": [
                    OpenAPI.reference("TimerInput"),
                    self.object(["defaults": ["type": "object"]], required: ["defaults"], isClosed: true),
                ],
            ],
            "PreviewInput": self.object(
                [
                    "when": OpenAPI.reference("When"), "from": OpenAPI.instant,
                    "count": ["type": "integer", "minimum": 1, "maximum": 1000], "seed": self.text,
                ], required: ["when"], isClosed: true),
        ]
    }

    private static var scheduleMembers: KeyValuePairs<String, JSONValue> {
        [
            "name": self.name, "labels": self.texts, "annotations": self.texts, "when": OpenAPI.reference("When"),
            "target": OpenAPI.reference("Target"), "policy": OpenAPI.reference("Policy"), "paused": ["type": "boolean"],
            "priority": self.priority,
        ]
    }

    private static var outputs: Schemas {
        [
            "Schedule": self.object(
                [
                    "uid": self.text, "namespace": self.name, "name": self.name, "generation": self.number,
                    "createdAt": OpenAPI.instant, "createdBy": self.text, "updatedAt": OpenAPI.instant,
                    "priority": self.priority,
                    "labels": self.texts, "annotations": self.texts, "when": OpenAPI.reference("When"),
                    "target": OpenAPI.reference("Target"), "policy": OpenAPI.reference("Policy"),
                    "paused": ["type": "boolean"], "status": ["type": "object"],
                ], required: ["uid", "namespace", "name", "generation", "when", "status"]),
            "Timer": self.object(
                [
                    "id": self.name, "uid": self.text, "namespace": self.name, "dueAt": OpenAPI.instant,
                    "createdAt": OpenAPI.instant, "createdBy": self.text,
                    "state": ["type": "string", "enum": ["pending", "due", "cancelled"]], "shard": self.number,
                    "activationId": self.text, "priority": self.priority, "labels": self.texts,
                    "target": OpenAPI.reference("Target"),
                    "policy": OpenAPI.reference("Policy"), "confirmed": ["type": "boolean"],
                ], required: ["id", "uid", "namespace", "dueAt", "state"]),
            "TimerBatchResult": self.object(
                [
                    "accepted": self.number, "duplicates": self.number, "conflicts": self.number,
                    "rejected": self.number, "batchId": self.text, "firstDueAt": OpenAPI.instant,
                    "lastDueAt": OpenAPI.instant, "results": self.list(of: ["type": "object"]),
                ], required: ["accepted", "duplicates", "conflicts", "rejected", "batchId", "results"]),
            "Fire": self.object(
                ["at": OpenAPI.instant, "due": OpenAPI.instant, "local": self.text, "note": self.text],
                required: ["at", "local"]),
            "Preview": self.object(
                [
                    "text": self.text, "fires": self.list(of: OpenAPI.reference("Fire")),
                    "warnings": self.list(of: OpenAPI.reference("Warning")), "tzdata": self.nullable(self.text),
                ], required: ["text", "fires", "warnings"]),
            "Warning": self.object(["code": self.text, "detail": self.text], required: ["code", "detail"]),
            "Explanation": self.object(
                [
                    "schedule": self.text, "at": OpenAPI.instant,
                    "verdict": [
                        "type": "string",
                        "enum": ["fired", "skipped", "failed", "not-due", "will-fire", "pending", "record-lost"],
                    ],
                    "reason": ["type": "string", "enum": .array(Reason.allCases.map { .string($0.code) })],
                    "summary": self.text,
                    "fire": self.object(
                        [
                            "destination": self.text, "kafka": ["type": "object"], "at": OpenAPI.instant,
                            "latenessMs": self.number, "attempts": self.number, "ticker": self.text,
                            "dispatcher": self.text, "shard": self.number, "epoch": self.number,
                        ], required: ["destination"]),
                    "checks": self.list(
                        of: self.object(["check": self.text, "ok": ["type": "boolean"], "detail": self.text])),
                    "evidence": self.list(of: ["type": "object"]), "suggest": self.list(of: self.text),
                ], required: ["schedule", "at", "verdict", "summary", "checks"]),
            "Reconciliation": self.object(
                [
                    "items": self.list(
                        of: self.object(
                            [
                                "schedule": self.name, "timers": self.number, "expected": self.number,
                                "recorded": self.number,
                                "pending": self.number, "belated": self.number, "differences": self.number,
                                "items": self.list(of: ["type": "object"]),
                            ])), "nextPageToken": self.nullable(self.text),
                ], required: ["items"]),
            "Handover": self.object(
                [
                    "at": OpenAPI.instant, "kind": ["type": "string", "enum": ["shard", "lane"]],
                    "number": self.number, "epoch": self.number, "owner": self.nullable(self.text),
                    "incarnation": self.text, "reason": self.text, "leaderEpoch": self.number,
                ], required: ["at", "kind", "number", "epoch", "owner", "reason"]),
            "ReplayResult": self.object(
                [
                    "items": self.list(
                        of: self.object(
                            [
                                "activationId": self.text,
                                "status": [
                                    "type": "string",
                                    "enum": ["replayed", "replayed-before", "not-found", "not-failed", "gone"],
                                ],
                                "detail": self.text, "replayedAs": self.text,
                            ], required: ["activationId", "status"]))
                ], required: ["items"]),
            "Backfill": self.object(
                [
                    "schedule": self.name, "planned": self.number, "skipped": self.number, "created": self.number,
                    "items": self.list(
                        of: self.object(
                            [
                                "scheduledAt": OpenAPI.instant, "dueAt": OpenAPI.instant,
                                "status": [
                                    "type": "string", "enum": ["planned", "created", "backfilled-before"],
                                ], "timer": self.name, "activationId": self.text,
                            ], required: ["scheduledAt", "dueAt", "status", "timer", "activationId"])),
                ], required: ["schedule", "planned", "skipped", "created", "items"]),
            "Triggered": self.object(
                [
                    "schedule": self.name, "timer": self.name, "dueAt": OpenAPI.instant, "activationId": self.text,
                ], required: ["schedule", "timer", "dueAt", "activationId"]),
            "Revision": self.object(
                [
                    "generation": self.number, "uid": self.text, "at": OpenAPI.instant, "by": self.text,
                    "reason": self.text, "from": OpenAPI.instant, "until": OpenAPI.instant,
                    "pause": ["type": "object"], "changes": self.list(of: ["type": "object"]),
                    "document": ["type": "object"],
                ], required: ["generation", "at", "by", "changes", "document"]),
            "AuditEntry": self.object(
                [
                    "id": self.number, "at": OpenAPI.instant, "object": self.text, "name": self.text,
                    "action": self.text, "generation": self.number, "by": self.text, "address": self.text,
                    "reason": self.text, "changes": self.list(of: ["type": "object"]),
                ], required: ["id", "at", "object", "name", "action", "by"]),
            "Namespace": self.object(
                [
                    "namespace": self.name, "generation": self.number, "quota": ["type": "object"],
                    "paused": ["type": "boolean"], "pause": ["type": "object"], "usage": ["type": "object"],
                    "updatedAt": OpenAPI.instant, "updatedBy": self.text,
                ], required: ["namespace", "generation", "quota", "paused"]),
            "Activation": ["type": "object", "description": "A record as it is in the activation store"],
            "ActivationSummary": ["type": "object", "description": "Buckets: start, count, outcomes, latenessMs"],
            "Cluster": ["type": "object"], "Shards": ["type": "object"],
            "Member": ["type": "object"], "Rebalance": ["type": "object"],
            "Version": self.object(
                [
                    "version": self.text, "revision": self.text, "cluster": self.text, "instance": self.text,
                    "tzdata": self.nullable(self.text),
                ], required: ["version"]),
            "Description": ["type": "object"],
            "Problem": self.object(
                [
                    "type": self.text, "title": self.text, "status": self.number, "code": self.text,
                    "detail": self.text, "instance": self.text, "requestId": self.text,
                    "errors": self.list(
                        of: self.object(
                            [
                                "pointer": self.text, "parameter": self.text, "header": self.text, "code": self.text,
                                "detail": self.text,
                            ], required: ["code", "detail"])),
                ], required: ["type", "title", "status", "code", "detail"]),
        ]
    }

    private static var lists: Schemas {
        func page(_ item: String) -> JSONValue {
            self.object(
                ["items": self.list(of: OpenAPI.reference(item)), "nextPageToken": self.nullable(self.text)],
                required: ["items"])
        }
        return [
            "ScheduleList": page("Schedule"), "RevisionList": page("Revision"), "AuditList": page("AuditEntry"),
            "NamespaceList": page("Namespace"), "HandoverList": page("Handover"), "TimerList": page("Timer"),
            "ActivationList": page("Activation"),
            "FireList": self.object(
                [
                    "text": self.text, "items": self.list(of: OpenAPI.reference("Fire")),
                    "warnings": self.list(of: OpenAPI.reference("Warning")),
                ], required: ["items"]),
            "MemberList": self.object(["items": self.list(of: ["type": "object"])], required: ["items"]),
        ]
    }
}
