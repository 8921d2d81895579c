import EscapementModel
import ServiceConfiguration
import Testing

@Suite struct DiscoverySettingsTests {
    private let fixtures = Fixtures()

    private func load(_ changes: [String: String]) throws -> CommonConfiguration {
        try self.fixtures.load(TickerConfiguration.self, changes).model.common
    }

    private func problems(_ changes: [String: String]) -> [String] {
        self.fixtures.problems(TickerConfiguration.self, changes).map(\.description)
    }

    @Test func `a list is the default, and then it has to be there`() throws {
        #expect(try self.load([:]).discovery.mode == .static)
        #expect(self.problems(["ESCAPEMENT_COORDINATORS": ""]).first?.hasPrefix("ESCAPEMENT_COORDINATORS") == true)
    }

    @Test func `with DNS the name stands for the list`() throws {
        let common = try self.load([
            "ESCAPEMENT_DISCOVERY": "dns", "ESCAPEMENT_COORDINATORS": "",
            "ESCAPEMENT_DISCOVERY_DNS_NAME": "escapement-coordinators",
        ])
        #expect(common.discovery.mode == .dns)
        #expect(common.discovery.dnsName == PeerAddress(host: "escapement-coordinators", port: 7400))
        let other = try self.load([
            "ESCAPEMENT_DISCOVERY": "DNS", "ESCAPEMENT_DISCOVERY_DNS_NAME": "coordinators.example:7500",
        ])
        #expect(other.discovery.dnsName == PeerAddress(host: "coordinators.example", port: 7500))
    }

    @Test func `DNS without a name is refused`() {
        #expect(
            self.problems(["ESCAPEMENT_DISCOVERY": "dns"]) == [
                "ESCAPEMENT_DISCOVERY_DNS_NAME is not set though ESCAPEMENT_DISCOVERY is dns; name the headless "
                    + "Service or host that has an address for each coordinator"
            ])
    }

    @Test func `in a pod Kubernetes needs nothing else`() throws {
        let discovery = try self.load([
            "ESCAPEMENT_DISCOVERY": "kubernetes", "ESCAPEMENT_COORDINATORS": "",
            "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443",
        ]).discovery
        let kubernetes = try #require(discovery.kubernetes)
        #expect(kubernetes.url == "https://[fd00::1]:6443")
        #expect(kubernetes.namespace == nil && kubernetes.port == 7400)
        #expect(
            kubernetes.labelSelector == "app.kubernetes.io/name=escapement,app.kubernetes.io/component=coordinator")
        #expect(kubernetes.tokenFile == "/var/run/secrets/kubernetes.io/serviceaccount/token")
    }

    @Test func `every part can be said`() throws {
        let discovery = try self.load([
            "ESCAPEMENT_DISCOVERY": "kubernetes",
            "ESCAPEMENT_DISCOVERY_KUBERNETES_API_URL": "https://10.1.2.3:6443/",
            "ESCAPEMENT_DISCOVERY_KUBERNETES_NAMESPACE": "schedules",
            "ESCAPEMENT_DISCOVERY_KUBERNETES_LABEL_SELECTOR": "app=c",
            "ESCAPEMENT_DISCOVERY_KUBERNETES_PORT": "7500", "ESCAPEMENT_DISCOVERY_KUBERNETES_TOKEN_FILE": "/t",
            "ESCAPEMENT_DISCOVERY_KUBERNETES_CA_FILE": "/c",
        ]).discovery
        #expect(
            discovery.kubernetes
                == DiscoverySettings.Kubernetes(
                    url: "https://10.1.2.3:6443", namespace: "schedules", labelSelector: "app=c", port: 7500,
                    tokenFile: "/t", authorityFile: "/c"))
    }

    @Test func `outside a pod Kubernetes needs an address`() {
        let problem = self.problems(["ESCAPEMENT_DISCOVERY": "kubernetes"]).first ?? ""
        #expect(problem.contains("this is no pod: KUBERNETES_SERVICE_HOST is not set"))
        for address in ["http://10.0.0.1", "10.0.0.1:6443", "https://", "https://a/b"] {
            let problems = self.problems([
                "ESCAPEMENT_DISCOVERY": "kubernetes", "ESCAPEMENT_DISCOVERY_KUBERNETES_API_URL": address,
            ])
            #expect(problems.count == 1 && problems[0].contains("https address"), "\(address): \(problems)")
        }
    }

    @Test func `an unknown way is refused with those that there are`() {
        #expect(
            self.problems(["ESCAPEMENT_DISCOVERY": "gossip"]) == [
                "ESCAPEMENT_DISCOVERY is 'gossip'; set it to one of static, dns, kubernetes"
            ])
    }
}
