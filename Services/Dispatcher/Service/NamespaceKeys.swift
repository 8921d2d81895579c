/// Keys that the operator keeps for namespaces and targets: never part of a schedule, never logged.
package protocol NamespaceKeys: Sendable {
    /// The OpenWhisk key of a namespace; `nil` when there is none now.
    func whiskKey(of namespace: String) -> WhiskKey?
    /// A key that signs requests to web hooks.
    func signingKey(_ name: String) -> [UInt8]?
}

/// A namespace's key: user and password of its requests. Prints as `<redacted>`.
package struct WhiskKey: Sendable, CustomStringConvertible, CustomReflectable {
    package var uuid: String
    package var key: String

    /// Reads `uuid:key`.
    package init?(text: String) {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, !parts[1].isEmpty else { return nil }
        self.uuid = String(parts[0])
        self.key = String(parts[1])
    }

    package var description: String { "<redacted>" }
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// No keys at all.
package struct NoNamespaceKeys: NamespaceKeys {
    package init() {}
    package func whiskKey(of namespace: String) -> WhiskKey? { nil }
    package func signingKey(_ name: String) -> [UInt8]? { nil }
}
