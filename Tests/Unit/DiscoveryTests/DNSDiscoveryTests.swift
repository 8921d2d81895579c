import Discovery
import EscapementModel
import Testing
import TestSupport

@Suite struct DNSDiscoveryTests {
    private func run(_ body: @Sendable (DNSDiscovery, DNSSubject.World) async throws -> Void) async throws {
        let world = DNSSubject.World(["10.0.0.1"])
        let discovery = DNSDiscovery(
            name: PeerAddress(host: "coordinators.test", port: 7400), resolver: world, clocks: world.clocks,
            logger: quietLogger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await discovery.run() }
            try await body(discovery, world)
            group.cancelAll()
        }
    }

    @Test func `an answer is good for a second`() async throws {
        try await self.run { discovery, world in
            for _ in 0..<5 { _ = await discovery.addresses() }
            #expect(world.questions == 1)
            await world.pass()
            _ = await discovery.addresses()
            #expect(world.questions == 2)
        }
    }

    @Test func `a resolver that does not answer costs two seconds, and one question`() async throws {
        try await self.run { discovery, world in
            #expect(await discovery.addresses().count == 1)
            await world.pass()
            world.fallSilent()
            async let known = discovery.addresses()
            try await eventually("it is asked") { world.questions == 2 }
            await world.clocks.advance(by: .seconds(3))
            #expect(await known.count == 1, "what was known")
            #expect(await discovery.addresses().count == 1)
            #expect(world.questions == 2, "the question is still open")
        }
    }

    @Test func `a name without addresses is a failure, not an answer`() async throws {
        try await self.run { discovery, world in
            #expect(await discovery.addresses().count == 1)
            await world.set([])
            await world.pass()
            #expect(await discovery.addresses().count == 1)
        }
    }

    @Test func `the system's resolver knows this machine`() async throws {
        let found = try await SystemResolver().resolve("localhost", port: 7400)
        #expect(found.contains { $0.host == "127.0.0.1" || $0.host == "::1" })
        #expect(found.allSatisfy { $0.port == 7400 })
        await #expect(throws: ResolutionError.self) { try await SystemResolver().resolve("no such name", port: 1) }
    }
}
