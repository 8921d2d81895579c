package import EscapementModel

/// Settings that are equal on every member; compared at the handshake and with what the database keeps.
package struct ClusterSettings: Equatable, Sendable {
    /// Part of topic, index and transaction names: lower-case letters, digits and hyphens, 1 to 40.
    package var name: String
    /// How many shards; fixed at the first start. More than a few per ticker, so that load can be spread evenly.
    package var shardCount: Int
    /// How many lanes, at most one per shard: the partitions of the journal topic.
    package var laneCount: Int

    package init(name: String = "escapement", shardCount: Int = 256, laneCount: Int = 16) {
        self.name = name
        self.shardCount = shardCount
        self.laneCount = laneCount
    }

    init(reading reader: inout ConfigurationReader) {
        self.init()
        self.name = reader.value(
            "ESCAPEMENT_CLUSTER_NAME", default: self.name,
            expected: "1 to 40 lower-case letters, digits and hyphens, starting with a letter", show: { $0 },
            parse: { Self.isName($0) ? $0 : nil })
        self.shardCount = reader.integer("ESCAPEMENT_CLUSTER_SHARDS", default: self.shardCount, in: 1...4096)
        self.laneCount = reader.integer("ESCAPEMENT_CLUSTER_LANES", default: self.laneCount, in: 1...256)
        if self.laneCount > self.shardCount {
            reader.refuse(
                "ESCAPEMENT_CLUSTER_LANES", "is \(self.laneCount), more than the \(self.shardCount) shards",
                remedy: "set it to at most ESCAPEMENT_CLUSTER_SHARDS")
        }
    }

    private static func isName(_ text: String) -> Bool {
        (1...40).contains(text.utf8.count) && text.utf8.first.map { (97...122).contains($0) } == true
            && text.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-") }
    }
}

/// `ESCAPEMENT_LOG_LEVEL`: the names of swift-log.
package enum LogLevelName: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
}

/// `ESCAPEMENT_CONFIG_REFUSED`: what a service does whose settings cannot be used.
package enum ConfigurationRefusalPolicy: String, CaseIterable, Sendable {
    /// Ends with 78: for a person at a terminal, and for supervisors that know the code.
    case exit
    /// Stays and says why in its readiness, for platforms that would start it again and again.
    case stay
}

/// `ESCAPEMENT_LOG_FORMAT`.
package enum LogFormatName: String, CaseIterable, Sendable {
    case json, text, auto
}

/// The certificate of a member and the authority of all members: internal links are mutual TLS 1.3.
package struct MemberTLSSettings: Equatable, Sendable {
    /// PEM, leaf first. The role stands in its URI name.
    package var certificateFile: String
    /// PEM, without a password.
    package var keyFile: String
    /// PEM: who may sign members.
    package var authorityFile: String

    package init(certificateFile: String, keyFile: String, authorityFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.authorityFile = authorityFile
    }

    init(reading reader: inout ConfigurationReader) {
        func required(_ name: String, _ what: String) -> String {
            if let path = reader.file(name) { return path }
            reader.refuse(name, "is not set", remedy: "name the file of \(what), in PEM")
            return ""
        }
        self.certificateFile = required("ESCAPEMENT_TLS_CERT_FILE", "this member's certificate")
        self.keyFile = required("ESCAPEMENT_TLS_KEY_FILE", "this member's private key")
        self.authorityFile = required("ESCAPEMENT_TLS_CA_FILE", "the authority that signs all members")
    }
}

/// What every service has.
package struct CommonConfiguration: Sendable {
    /// The wire port of members, unless said otherwise.
    package static let memberPort = 7400

    package var cluster: ClusterSettings
    /// Unique among live members; the pod's name on Kubernetes.
    package var instance: String
    /// The failure domain, for spreading and for display; may be empty.
    package var zone: String
    package var logLevel: LogLevelName
    package var logFormat: LogFormatName
    /// Probes and metrics.
    package var adminListen: ListenAddress
    /// Time-zone files, as the package tzdata lays them out.
    package var zoneInfoDirectory: String
    package var tls: MemberTLSSettings
    /// The wire port.
    package var clusterListen: ListenAddress
    /// Where other members reach the wire port; `nil`: the host name and the port that was bound.
    package var advertise: PeerAddress?
    /// Where to ask who leads; each may be a name with several addresses.
    package var coordinators: [PeerAddress]
    package var discovery: DiscoverySettings
    /// Written when everything listens, for a supervisor.
    package var readyFile: String?
    /// How long a shutdown may hand over what it owns. Below the platform's grace period.
    package var drainLimit: Duration
    /// The source revision of the image, for `escapement_build_info`.
    package var revision: String
    package var telemetry = TelemetrySettings()
    package var whenRefused = ConfigurationRefusalPolicy.exit

    package init(
        tls: MemberTLSSettings, instance: String, cluster: ClusterSettings = ClusterSettings(), zone: String = "",
        logLevel: LogLevelName = .info, logFormat: LogFormatName = .auto,
        adminListen: ListenAddress = ListenAddress(host: "0.0.0.0", port: 9090),
        zoneInfoDirectory: String = "/usr/share/zoneinfo",
        clusterListen: ListenAddress = ListenAddress(host: "0.0.0.0", port: CommonConfiguration.memberPort),
        advertise: PeerAddress? = nil, coordinators: [PeerAddress] = [],
        discovery: DiscoverySettings = DiscoverySettings(), readyFile: String? = nil,
        drainLimit: Duration = .seconds(40), revision: String = "unknown"
    ) {
        self.cluster = cluster
        self.instance = instance
        self.zone = zone
        self.logLevel = logLevel
        self.logFormat = logFormat
        self.adminListen = adminListen
        self.zoneInfoDirectory = zoneInfoDirectory
        self.tls = tls
        self.clusterListen = clusterListen
        self.advertise = advertise
        self.coordinators = coordinators
        self.discovery = discovery
        self.readyFile = readyFile
        self.drainLimit = drainLimit
        self.revision = revision
    }

    /// - Parameter needsCoordinators: coordinators find each other in the database, everyone else is told.
    init(reading reader: inout ConfigurationReader, needsCoordinators: Bool) {
        ActivationStoreChoice.check(&reader)
        self.init(
            tls: MemberTLSSettings(reading: &reader), instance: reader.sources.hostName,
            cluster: ClusterSettings(reading: &reader))
        self.instance = reader.value(
            "ESCAPEMENT_INSTANCE_ID", default: self.instance,
            expected: "1 to 128 letters, digits, '.', '_' and '-'", show: { $0 },
            parse: { NameGrammar.fault(in: $0) == nil ? $0 : nil })
        self.zone = reader.text("ESCAPEMENT_ZONE") ?? ""
        self.logLevel = reader.choice("ESCAPEMENT_LOG_LEVEL", default: self.logLevel)
        self.logFormat = reader.choice("ESCAPEMENT_LOG_FORMAT", default: self.logFormat)
        self.adminListen = reader.listen("ESCAPEMENT_HTTP_ADMIN_LISTEN", default: self.adminListen)
        self.zoneInfoDirectory = reader.directory("ESCAPEMENT_TZDIR", default: self.zoneInfoDirectory)
        self.clusterListen = reader.listen("ESCAPEMENT_CLUSTER_LISTEN", default: self.clusterListen)
        self.advertise = reader.value(
            "ESCAPEMENT_CLUSTER_ADVERTISE", default: nil, expected: "host:port", show: { $0?.description ?? "" },
            parse: { text in PeerAddress(text: text).map { .some($0) } })
        self.discovery = DiscoverySettings(reading: &reader)
        self.coordinators = Self.coordinators(
            &reader, needed: needsCoordinators && self.discovery.mode == .static)
        self.readyFile = reader.text("ESCAPEMENT_READY_FILE")
        self.drainLimit = reader.duration(
            "ESCAPEMENT_DRAIN_TIMEOUT", default: self.drainLimit, in: .seconds(1)...(.seconds(3600)))
        self.revision = reader.text("ESCAPEMENT_REVISION", default: self.revision) ?? self.revision
        self.telemetry = TelemetrySettings(reading: &reader)
        self.whenRefused = reader.choice("ESCAPEMENT_CONFIG_REFUSED", default: self.whenRefused)
    }

    private static func coordinators(_ reader: inout ConfigurationReader, needed: Bool) -> [PeerAddress] {
        let name = "ESCAPEMENT_COORDINATORS"
        let addresses: [PeerAddress] = reader.value(
            name, default: [], expected: "a comma-separated list of host:port",
            show: { $0.map(\.description).joined(separator: ",") },
            parse: { text in
                let items = ConfigurationReader.list(text)
                let addresses = items.compactMap { item in
                    PeerAddress(text: item) ?? PeerAddress(text: "\(item):\(self.memberPort)")
                }
                return addresses.count == items.count ? addresses : nil
            })
        if needed, addresses.isEmpty, !reader.problems.contains(where: { $0.name == name }) {
            reader.refuse(
                name, "is not set", remedy: "list at least one coordinator, such as coordinator:\(self.memberPort)")
        }
        return addresses
    }
}
