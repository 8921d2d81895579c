/// What a request does, as far as rights go.
enum Permission: String, Sendable {
    /// Look at schedules, timers, records.
    case read
    /// Create, change and delete them.
    case write
    /// Pause, resume, trigger, cancel: what is done at night without changing what was agreed.
    case operate
    /// The cluster itself: namespaces, drains.
    case administer
}

/// What a token may do in its namespaces.
package enum APIRole: String, CaseIterable, Sendable {
    case viewer
    case `operator`
    case editor
    case admin

    func may(_ permission: Permission) -> Bool {
        switch (self, permission) {
        case (_, .read): true
        case (.viewer, _): false
        case (.operator, .operate): true
        case (.operator, .write), (.operator, .administer): false
        case (.editor, .write), (.editor, .operate): true
        case (.editor, .administer): false
        case (.admin, _): true
        }
    }
}

/// Who calls, and what they may do.
package struct Caller: Hashable, Sendable {
    package enum Namespaces: Hashable, Sendable {
        case all
        case only([String])
    }

    /// For `createdBy`, the audit trail and the log: `token:ci`.
    package var identity: String
    package var role: APIRole
    package var namespaces: Namespaces

    package init(identity: String, role: APIRole, namespaces: Namespaces) {
        self.identity = identity
        self.role = role
        self.namespaces = namespaces
    }

    func mayUse(_ namespace: String) -> Bool {
        switch self.namespaces {
        case .all: true
        case .only(let names): names.contains(namespace)
        }
    }

    /// What `_` stands for.
    func ownNamespace(default fallback: String) -> String {
        switch self.namespaces {
        case .all: fallback
        case .only(let names): names.first ?? fallback
        }
    }
}
