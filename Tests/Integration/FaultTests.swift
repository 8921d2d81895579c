import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// Processes killed and stopped for real, and a consumer that counts.
@Suite(.serialized) struct FaultTests {
    /// Schedules that tick every second, and one-shots over half a minute: what must arrive, and no more.
    private static let schedules = 8
    private static let timers = 40

    /// Makes the load, does harm in the middle of it, and judges what a `read_committed` consumer has seen.
    private func survive(
        _ options: [String] = [], _ harm: @escaping (Stack) async throws -> Void
    ) async throws {
        try await Stack.with(options) { stack in
            let reader = try await stack.consumer()
            for number in 0..<Self.schedules {
                try await stack.insist(
                    .post, "/v1/namespaces/guest/schedules",
                    #"{"name":"tick-\#(number)","when":{"every":"1s","anchor":"2026-01-01T00:00:00Z"},"#
                        + #""target":{"action":"/guest/a"}}"#)
            }
            for number in 0..<Self.timers {
                try await stack.insist(
                    .post, "/v1/namespaces/guest/timers",
                    #"{"id":"once-\#(number)","delay":"\#(1 + number / 2)s","target":{"action":"/guest/b"}}"#)
            }
            try await reader.until("every schedule ticks") { fires in
                Set(fires.map(\.key).filter { $0.hasPrefix("guest/tick-") }).count == Self.schedules
            }
            try await harm(stack)
            let harmedAt = SystemClocks().wallNow()
            try await reader.until("every schedule ticks after the harm, and every one-shot has arrived") { fires in
                let later = fires.filter { WallInstant(text: $0.time).map { $0 > harmedAt } ?? false }
                return Set(later.map(\.key)).count { $0.hasPrefix("guest/tick-") } == Self.schedules
                    && Set(fires.map(\.key)).count { $0.hasPrefix("guest/once-") } == Self.timers
            }
            self.judge(reader.all)
            await reader.close()
        }
    }

    /// No fire twice, and no second of any schedule left out between its first and its last.
    private func judge(_ fires: [TopicReader.Fire]) {
        #expect(Set(fires.map(\.id)).count == fires.count, "a fire is there twice")
        for number in 0..<Self.schedules {
            let seconds = fires.filter { $0.key == "guest/tick-\(number)" }
                .compactMap { WallInstant(text: $0.time) }.map { $0.milliseconds / 1000 }.sorted()
            guard let first = seconds.first, let last = seconds.last else {
                Issue.record("tick-\(number) never ticked")
                continue
            }
            let missing = Set(first...last).subtracting(seconds)
            #expect(missing.isEmpty, "tick-\(number) missed \(missing.sorted())")
            #expect(Set(seconds).count == seconds.count, "tick-\(number) ticked twice in a second")
        }
    }

    @Test func `a killed ticker misses and doubles nothing`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.ticker).first)
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a killed dispatcher misses and doubles nothing`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.dispatcher).first)
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a killed leader holds no fire up`() async throws {
        try await self.survive { stack in
            let victim = try await stack.leader()
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a ticker stopped beyond every lease is fenced when it wakes`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.ticker).first)
            kill(victim.pid, SIGSTOP)
            try await Eventually.holds("the other ticker owns all shards") {
                let others = try stack.processes(.ticker).filter { $0.name != victim.name }
                for other in others where try await stack.metric("escapement_shards_owned", of: other) == 16 {
                    return true
                }
                return false
            }
            kill(victim.pid, SIGCONT)
        }
    }

    @Test func `a dispatcher stopped beyond every lease publishes nothing when it wakes`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.dispatcher).first)
            kill(victim.pid, SIGSTOP)
            try await Eventually.holds("the other dispatcher owns all lanes") {
                let others = try stack.processes(.dispatcher).filter { $0.name != victim.name }
                for other in others where try await stack.metric("escapement_lanes_owned", of: other) == 4 {
                    return true
                }
                return false
            }
            kill(victim.pid, SIGCONT)
        }
    }

    @Test func `a rolling restart of every service misses and doubles nothing`() async throws {
        try await self.survive { stack in
            for role in [Role.coordinator, .dispatcher, .ticker] {
                for process in try stack.processes(role) {
                    kill(process.pid, SIGTERM)
                    try await Eventually.holds("\(process.name) runs again") {
                        let now = try stack.processes(role).first { $0.name == process.name }
                        return now.map { $0.pid != process.pid } ?? false
                    }
                    try await stack.untilReady()
                }
            }
        }
    }
}
