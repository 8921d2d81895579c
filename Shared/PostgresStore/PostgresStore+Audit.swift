import EscapementModel
package import Store

extension PostgresStore {
    package func auditTrail(
        _ filter: AuditFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AuditEntry] {
        let operation = "read audit trail"
        let statement =
            switch (filter.namespace, filter.name) {
            case (_?, _?): self.audit.listOfName
            case (_?, nil): self.audit.listOfNamespace
            case (nil, _): self.audit.list
            }
        let call = statement(
            .text(filter.namespace), .text(filter.object?.rawValue), .text(filter.name),
            .int(filter.from?.milliseconds), .int(filter.to?.milliseconds),
            .int(Int64(clamping: before ?? .max)), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(AuditEntry.init(row:)) }
    }

    package func record(_ entry: AuditEntry) async throws(StoreError) {
        let operation = "record in audit trail"
        _ = try await self.run(
            operation,
            self.audit.record(
                .int(entry.at.milliseconds), .text(entry.namespace), .text(entry.object.rawValue),
                .text(entry.name), .text(entry.action.rawValue), try self.signed(entry.generation, operation),
                .text(entry.by), .text(entry.address), .text(entry.reason), .bytes(entry.before),
                .bytes(entry.after)))
    }

    package func recall(_ key: IdempotencyKey) async throws(StoreError) -> KeyState {
        let operation = "recall answer"
        let call = self.audit.recall(
            .text(key.namespace), .text(key.key), .int(Self.keysUsed(before: key.at).milliseconds))
        let result = try await self.run(operation, call)[0]
        let row = try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in
                (
                    digest: try row.bytes(), at: WallInstant(milliseconds: try row.int()),
                    answer: try row.optionalBytes()
                )
            }
        }
        guard let row else { return .unknown }
        if row.digest != key.digest { return .otherRequest }
        return row.answer.map { .answered($0) } ?? .unanswered(since: row.at)
    }

    package func remember(_ answer: [UInt8], for key: IdempotencyKey) async throws(StoreError) {
        _ = try await self.run(
            "remember answer",
            self.audit.remember(.text(key.namespace), .text(key.key), .bytes(key.digest), .bytes(answer)))
    }
}

extension AuditEntry {
    fileprivate init(row: inout PostgresRow) throws(PostgresFailure) {
        let id = try row.unsigned()
        let at = WallInstant(milliseconds: try row.int())
        let namespace = try row.text()
        let objectText = try row.text()
        let name = try row.text()
        let actionText = try row.text()
        guard let object = AuditObject(rawValue: objectText), let action = AuditAction(rawValue: actionText) else {
            throw .corrupt("an action in the audit trail")
        }
        self.init(
            id: id, at: at, namespace: namespace, object: object, name: name, action: action,
            generation: try row.unsigned(), by: try row.text(), address: try row.optionalText(),
            reason: try row.optionalText(), before: try row.optionalBytes(), after: try row.optionalBytes())
    }
}
