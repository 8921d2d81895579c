package import EscapementModel
package import Logging
package import ServiceConfiguration
import ServiceLifecycle

/// The discovery that a configuration asks for, as a service. To be listed before whoever uses it: it stops after
/// them, because a shutdown may still have to find a new leader.
package struct DiscoveryService: Discovery, Service {
    private let discovery: any Discovery

    package init(_ discovery: any Discovery) { self.discovery = discovery }

    /// - Parameter seed: of the jitter; different in every process.
    /// - Throws: `ConfigurationRefusal` when the pod's namespace is neither set nor to be found.
    package init(
        _ common: CommonConfiguration, clocks: any Clocks, logger: Logger, seed: UInt64
    ) throws(ConfigurationRefusal) {
        let settings = common.discovery
        switch settings.mode {
        case .static: self.discovery = StaticDiscovery(common.coordinators)
        case .dns:
            let name = settings.dnsName ?? PeerAddress(host: "localhost", port: CommonConfiguration.memberPort)
            self.discovery = DNSDiscovery(name: name, resolver: SystemResolver(), clocks: clocks, logger: logger)
        case .kubernetes:
            let kubernetes = settings.kubernetes ?? DiscoverySettings.Kubernetes(url: "")
            self.discovery = KubernetesDiscovery(
                KubernetesDiscovery.Settings(
                    url: kubernetes.url, namespace: try Self.namespace(kubernetes),
                    labelSelector: kubernetes.labelSelector, port: kubernetes.port, tokenFile: kubernetes.tokenFile,
                    authorityFile: kubernetes.authorityFile),
                clocks: clocks, logger: logger, seed: seed, readToken: { try Secret(file: $0).read() })
        }
    }

    package func addresses() async -> [PeerAddress] { await self.discovery.addresses() }

    package func run() async {
        await cancelWhenGracefulShutdown {
            await self.discovery.run()
            // A list has nothing to do: it waits for the end like the others.
            do { try await gracefulShutdown() } catch {}
        }
    }

    private static func namespace(
        _ kubernetes: DiscoverySettings.Kubernetes
    ) throws(ConfigurationRefusal) -> String {
        if let namespace = kubernetes.namespace { return namespace }
        let file = "\(DiscoverySettings.Kubernetes.accountDirectory)/namespace"
        do {
            return try Secret(file: file).read()
        } catch {
            throw ConfigurationRefusal([
                ConfigurationProblem(
                    "ESCAPEMENT_DISCOVERY_KUBERNETES_NAMESPACE", "is not set, and \(file) cannot be read",
                    remedy: "set it, or mount the service account's token")
            ])
        }
    }
}
