package import TLS

/// How a cluster of brokers in this process is set up.
package struct ClusterConfiguration: Sendable {
    package enum Security: String, CaseIterable, Sendable {
        case plaintext = "PLAINTEXT"
        case tls = "SSL"
        case saslPlaintext = "SASL_PLAINTEXT"
        case saslTLS = "SASL_SSL"

        package var hasTLS: Bool { self == .tls || self == .saslTLS }
        package var hasSASL: Bool { self == .saslPlaintext || self == .saslTLS }
    }

    package struct Address: Equatable, Sendable {
        package var host: String
        /// 0 takes any free port, and keeps it while the cluster runs.
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// One broker for each; ids count from 1.
    package var listeners: [Address]
    /// The host that clients are told; `nil` for the one listened on.
    package var advertisedHost: String?
    package var security: Security
    /// Needed with TLS. A trust source makes client certificates compulsory.
    package var tls: TLSConfiguration?
    package var credentials: Credentials
    /// Where logs and state live; created when missing.
    package var dataFolder: String
    /// Partitions of a topic that is created without a number of them.
    package var defaultPartitions: Int32 = 1
    /// Replicas of such a topic, where there are as many brokers.
    package var defaultReplicas: Int16 = 3
    /// The brokers' `min.insync.replicas`, by id, for topics that set none; 1 where none is given. The leader's counts.
    package var defaultReplicasMin: [Int32: Int] = [:]
    /// How many brokers have to be up before anything about a transaction is changed. Each has a copy of it.
    package var transactionReplicasMin = 1
    package var autoCreatesTopics = true
    /// How often time-outs of transactions and group members are looked for.
    package var tickMilliseconds: Int64 = 100

    package init(
        listeners: [Address] = [Address(host: "127.0.0.1", port: 0)], security: Security = .plaintext,
        tls: TLSConfiguration? = nil, credentials: Credentials = Credentials(), dataFolder: String
    ) {
        self.listeners = listeners
        self.security = security
        self.tls = tls
        self.credentials = credentials
        self.dataFolder = dataFolder
    }

    func replicasMin(of broker: Int32) -> Int { self.defaultReplicasMin[broker] ?? 1 }
}
