package import EscapementModel

/// `ESCAPEMENT_DISCOVERY`: how tickers and dispatchers find coordinators.
package enum DiscoveryMode: String, CaseIterable, Sendable {
    /// `ESCAPEMENT_COORDINATORS`.
    case `static`
    /// A name with an address for each coordinator.
    case dns
    /// Pods of a label selector, from the Kubernetes API.
    case kubernetes
}

/// Where coordinators are found. Coordinators read it too, so that one block of variables serves all, and do not
/// use it: they find each other in the database.
package struct DiscoverySettings: Equatable, Sendable {
    /// The Kubernetes API and what to ask it for.
    package struct Kubernetes: Equatable, Sendable {
        /// Where a pod finds its service account.
        package static let accountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"
        package static let labelSelector =
            "app.kubernetes.io/name=escapement,app.kubernetes.io/component=coordinator"

        /// Without a slash at the end.
        package var url: String
        /// `nil`: the pod's own, as its service account says.
        package var namespace: String?
        package var labelSelector: String
        package var port: Int
        package var tokenFile: String
        package var authorityFile: String

        package init(
            url: String, namespace: String? = nil, labelSelector: String = Kubernetes.labelSelector,
            port: Int = CommonConfiguration.memberPort, tokenFile: String = "\(Kubernetes.accountDirectory)/token",
            authorityFile: String = "\(Kubernetes.accountDirectory)/ca.crt"
        ) {
            self.url = url
            self.namespace = namespace
            self.labelSelector = labelSelector
            self.port = port
            self.tokenFile = tokenFile
            self.authorityFile = authorityFile
        }
    }

    package var mode: DiscoveryMode
    /// With `dns`: the name, and the port of every address.
    package var dnsName: PeerAddress?
    /// With `kubernetes`.
    package var kubernetes: Kubernetes?

    package init(mode: DiscoveryMode = .static, dnsName: PeerAddress? = nil, kubernetes: Kubernetes? = nil) {
        self.mode = mode
        self.dnsName = dnsName
        self.kubernetes = kubernetes
    }

    init(reading reader: inout ConfigurationReader) {
        self.init()
        self.mode = reader.choice("ESCAPEMENT_DISCOVERY", default: self.mode)
        self.dnsName = reader.value(
            "ESCAPEMENT_DISCOVERY_DNS_NAME", default: nil, expected: "a name or name:port",
            show: { $0?.description ?? "" },
            parse: { text in
                (PeerAddress(text: text) ?? PeerAddress(text: "\(text):\(CommonConfiguration.memberPort)"))
                    .map { .some($0) }
            })
        if self.mode == .dns, self.dnsName == nil,
            !reader.problems.contains(where: { $0.name == "ESCAPEMENT_DISCOVERY_DNS_NAME" })
        {
            reader.refuse(
                "ESCAPEMENT_DISCOVERY_DNS_NAME", "is not set though ESCAPEMENT_DISCOVERY is dns",
                remedy: "name the headless Service or host that has an address for each coordinator")
        }
        self.kubernetes = Self.kubernetes(&reader, isUsed: self.mode == .kubernetes)
    }

    private static func kubernetes(_ reader: inout ConfigurationReader, isUsed: Bool) -> Kubernetes? {
        let name = "ESCAPEMENT_DISCOVERY_KUBERNETES_API_URL"
        let given = reader.value(
            name, default: "", expected: "an https address without a path, such as https://10.0.0.1:6443",
            show: { $0 },
            parse: { text in
                let url = text.hasSuffix("/") ? String(text.dropLast()) : text
                let rest = url.dropFirst("https://".utf8.count)
                return url.hasPrefix("https://") && !rest.isEmpty && !rest.contains("/") ? url : nil
            })
        // What kubelet gives every pod.
        let host = reader.text("KUBERNETES_SERVICE_HOST")
        let port = reader.text("KUBERNETES_SERVICE_PORT", default: "443") ?? "443"
        var kubernetes = Kubernetes(
            url: given.isEmpty ? host.map { "https://\($0.contains(":") ? "[\($0)]" : $0):\(port)" } ?? "" : given)
        kubernetes.namespace = reader.text("ESCAPEMENT_DISCOVERY_KUBERNETES_NAMESPACE")
        kubernetes.labelSelector =
            reader.text("ESCAPEMENT_DISCOVERY_KUBERNETES_LABEL_SELECTOR", default: kubernetes.labelSelector)
            ?? kubernetes.labelSelector
        kubernetes.port = reader.integer(
            "ESCAPEMENT_DISCOVERY_KUBERNETES_PORT", default: kubernetes.port, in: 1...65_535)
        kubernetes.tokenFile =
            reader.text("ESCAPEMENT_DISCOVERY_KUBERNETES_TOKEN_FILE", default: kubernetes.tokenFile)
            ?? kubernetes.tokenFile
        kubernetes.authorityFile =
            reader.text("ESCAPEMENT_DISCOVERY_KUBERNETES_CA_FILE", default: kubernetes.authorityFile)
            ?? kubernetes.authorityFile
        guard isUsed else { return nil }
        if kubernetes.url.isEmpty, !reader.problems.contains(where: { $0.name == name }) {
            reader.refuse(
                "ESCAPEMENT_DISCOVERY", "is kubernetes, but this is no pod: KUBERNETES_SERVICE_HOST is not set",
                remedy: "run it in a pod with a service account, or set \(name)")
        }
        return kubernetes
    }
}
