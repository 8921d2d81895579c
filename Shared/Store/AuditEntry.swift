package import EscapementModel

/// What was done.
package enum AuditAction: String, Sendable {
    case create
    case replace
    case pause
    case resume
    case delete
    case cancel
    case setQuota = "set-quota"
    case trigger
    case backfill
    case replay
    case drain
    case rebalance
}

/// To what it was done.
package enum AuditObject: String, Sendable {
    case schedule
    case timer
    case namespace
    case cluster
}

/// One line of the audit trail: who did what, when, from where and why, with the documents before and after. Written in
/// the transaction of the change. A timer's creation has none: its own row says who made it and when.
package struct AuditEntry: Hashable, Sendable {
    /// Grows in about the order of time; given by the store.
    package var id: UInt64
    package var at: WallInstant
    /// Empty for the cluster's.
    package var namespace: String
    package var object: AuditObject
    package var name: String
    package var action: AuditAction
    /// The generation that the change made; 0 where there is none.
    package var generation: UInt64
    package var by: String
    package var address: String?
    package var reason: String?
    /// Canonical JSON as the object's documents are; `nil` where there was or is none.
    package var before: [UInt8]?
    package var after: [UInt8]?

    package init(
        id: UInt64 = 0, at: WallInstant, namespace: String, object: AuditObject, name: String, action: AuditAction,
        generation: UInt64 = 0, by: String, address: String? = nil, reason: String? = nil, before: [UInt8]? = nil,
        after: [UInt8]? = nil
    ) {
        self.id = id
        self.at = at
        self.namespace = namespace
        self.object = object
        self.name = name
        self.action = action
        self.generation = generation
        self.by = by
        self.address = address
        self.reason = reason
        self.before = before
        self.after = after
    }

    /// The line of a change of an object that the store holds.
    package init(
        _ origin: ChangeOrigin, namespace: String, object: AuditObject, name: String, action: AuditAction,
        generation: UInt64 = 0, before: [UInt8]? = nil, after: [UInt8]? = nil
    ) {
        self.init(
            at: origin.at, namespace: namespace, object: object, name: name, action: action, generation: generation,
            by: origin.by, address: origin.address, reason: origin.reason, before: before, after: after)
    }
}

/// Which lines of the audit trail are asked for; `nil` leaves a part open.
package struct AuditFilter: Hashable, Sendable {
    package var namespace: String?
    package var object: AuditObject?
    package var name: String?
    /// From this instant on.
    package var from: WallInstant?
    /// Before this instant.
    package var to: WallInstant?

    package init(
        namespace: String? = nil, object: AuditObject? = nil, name: String? = nil, from: WallInstant? = nil,
        to: WallInstant? = nil
    ) {
        self.namespace = namespace
        self.object = object
        self.name = name
        self.from = from
        self.to = to
    }

    package func admits(_ entry: AuditEntry) -> Bool {
        (self.namespace.map { $0 == entry.namespace } ?? true) && (self.object.map { $0 == entry.object } ?? true)
            && (self.name.map { $0 == entry.name } ?? true) && (self.from.map { entry.at >= $0 } ?? true)
            && (self.to.map { entry.at < $0 } ?? true)
    }
}

/// The audit trail. Lines are kept for `StoreRules.auditRetention`.
package protocol AuditStore: Sendable {
    /// Lines that `filter` admits, newest first, older than the one with the id `before`.
    func auditTrail(
        _ filter: AuditFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AuditEntry]
    /// Adds a line for what is done elsewhere: a trigger, a drain. Its id is ignored.
    func record(_ entry: AuditEntry) async throws(StoreError)
}
