import Discovery
import EscapementModel
import Testing

/// What every discovery that looks at a changing world does; a list in the configuration does the rest.
@Suite struct DiscoveryConformanceTests {
    enum Implementation: String, CaseIterable, Sendable {
        case dns, kubernetes

        var subject: any DiscoverySubject {
            switch self {
            case .dns: DNSSubject()
            case .kubernetes: KubernetesSubject()
            }
        }
    }

    private static func expect(
        _ hosts: [String], from discovery: any Discovery, _ world: any DiscoveryWorld, _ what: String
    ) async throws {
        let wanted = hosts.map { PeerAddress(host: $0, port: 7400) }
        try await eventually(what) {
            await world.pass()
            return await discovery.addresses() == wanted
        }
    }

    @Test(arguments: Implementation.allCases)
    func `finds everyone, sorted, each once`(_ implementation: Implementation) async throws {
        try await implementation.subject.run(finding: ["10.0.0.2", "10.0.0.1"]) { discovery, world in
            try await Self.expect(["10.0.0.1", "10.0.0.2"], from: discovery, world, "both are found")
        }
    }

    @Test(arguments: Implementation.allCases)
    func `notices who comes and who goes`(_ implementation: Implementation) async throws {
        try await implementation.subject.run(finding: ["10.0.0.1"]) { discovery, world in
            try await Self.expect(["10.0.0.1"], from: discovery, world, "the first is found")
            await world.set(["10.0.0.1", "10.0.0.3"])
            try await Self.expect(["10.0.0.1", "10.0.0.3"], from: discovery, world, "the third is found")
            await world.set(["10.0.0.3"])
            try await Self.expect(["10.0.0.3"], from: discovery, world, "the first is gone")
        }
    }

    @Test(arguments: Implementation.allCases)
    func `keeps what it knew while its source is away, and goes on after`(_ implementation: Implementation) async throws
    {
        try await implementation.subject.run(finding: ["10.0.0.1"]) { discovery, world in
            try await Self.expect(["10.0.0.1"], from: discovery, world, "the first is found")
            await world.setReachable(false)
            for _ in 0..<5 {
                await world.pass()
                #expect(await discovery.addresses() == [PeerAddress(host: "10.0.0.1", port: 7400)])
            }
            await world.set(["10.0.0.2"])
            await world.setReachable(true)
            try await Self.expect(["10.0.0.2"], from: discovery, world, "the change is found")
        }
    }

    @Test(arguments: Implementation.allCases)
    func `IPv6 addresses are fine`(_ implementation: Implementation) async throws {
        try await implementation.subject.run(finding: ["fd00::7"]) { discovery, world in
            try await Self.expect(["fd00::7"], from: discovery, world, "it is found")
            #expect(await discovery.addresses().first?.description == "[fd00::7]:7400")
        }
    }

    @Test func `a list is what it is`() async {
        let two = PeerAddress(host: "b", port: 2)
        let one = PeerAddress(host: "a", port: 1)
        #expect(await StaticDiscovery([two, one, two]).addresses() == [one, two])
    }
}
