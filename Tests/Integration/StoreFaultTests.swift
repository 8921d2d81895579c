import EscapementModel
import Testing

/// The benchmark of a failing activation store in short: what it counts, not how fast it was.
@Suite(.serialized) struct StoreFaultTests {
    @Test(.enabled(if: !Surroundings.hasRealElasticsearch, "faults are ordered from the stand-in"))
    func `while the store fails, everything fires, and every outcome is recorded once or kept with the reason`()
        async throws
    {
        try await Stack.with { stack in
            let environment = try stack.clientEnvironment().merging(stack.surroundings.variables) { $1 }
            let output = try await Command(
                "escapement",
                ["bench", "store-faults", "--rate", "200", "--seconds", "4", "--data-dir", stack.folder],
                environment: environment
            ).succeed()
            let lines = output.split(separator: "\n").filter { $0.hasPrefix("{") }
            #expect(lines.count == 4)
            #expect(lines.allSatisfy { $0.contains(#""ok":true"#) }, "\(output)")
            #expect(lines.last?.contains(#""parked":0"#) == false, "one in a hundred of 800: \(output)")
        }
    }
}
