/// Who writes: the fields that are equal on every log line of a process.
package struct ProcessIdentity: Equatable, Sendable {
    /// Always `escapement`.
    package var service: String
    /// `coordinator`, `ticker`, `dispatcher`, or a tool's name.
    package var role: String
    package var version: String
    /// The source revision the program was built from; `unknown` outside a release build.
    package var revision: String
    /// `ESCAPEMENT_INSTANCE_ID`: the pod's or host's name.
    package var instance: String
    /// `ESCAPEMENT_CLUSTER_NAME`.
    package var cluster: String

    package init(
        role: String, instance: String, cluster: String, version: String = BuildInformation.version,
        revision: String = BuildInformation.revision, service: String = "escapement"
    ) {
        self.service = service
        self.role = role
        self.version = version
        self.revision = revision
        self.instance = instance
        self.cluster = cluster
    }
}

/// What was built. A release build replaces the two values.
package enum BuildInformation {
    package static let version = "0.1.0"
    package static let revision = "unknown"
}
