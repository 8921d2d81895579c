import EscapementModel
import HTTPClient
import Testing

/// Schedules that tick every second, and one-shots over half a minute: what must arrive, and no more.
struct Load: Sendable {
    static let schedules = 8
    static let timers = 40

    let stack: Stack
    let reader: TopicReader

    /// Makes the load and waits until every schedule ticks.
    static func begin(_ stack: Stack) async throws -> Load {
        let load = Load(stack: stack, reader: try await stack.consumer())
        for number in 0..<self.schedules { try await load.create("tick-\(number)") }
        for number in 0..<self.timers {
            try await stack.insist(
                .post, "/v1/namespaces/guest/timers",
                #"{"id":"once-\#(number)","delay":"\#(1 + number / 2)s","target":{"action":"/guest/b"}}"#)
        }
        try await load.tick("every schedule ticks", since: WallInstant(milliseconds: 0))
        return load
    }

    func create(_ name: String) async throws {
        try await self.stack.insist(
            .post, "/v1/namespaces/guest/schedules",
            #"{"name":"\#(name)","when":{"every":"1s","anchor":"2026-01-01T00:00:00Z"},"#
                + #""target":{"action":"/guest/a"}}"#)
    }

    static var now: WallInstant { SystemClocks().wallNow() }

    /// Waits until every schedule has ticked for an instant after `instant`.
    func tick(_ what: String, since instant: WallInstant) async throws {
        try await self.reader.until(what) { fires in
            let later = fires.filter { WallInstant(text: $0.time).map { $0 > instant } ?? false }
            return Set(later.map(\.key)).count { $0.hasPrefix("guest/tick-") } == Self.schedules
        }
    }

    /// Waits until every schedule ticks from now on and every one-shot has arrived, judges all that was seen, and closes.
    ///
    /// - Parameter repeatsSince: a fire due from then on may be there again, with the same id.
    func end(repeatsSince: WallInstant? = nil) async throws {
        try await self.tick("every schedule ticks after the harm", since: Self.now)
        try await self.reader.until("every one-shot has arrived") { fires in
            Set(fires.map(\.key)).count { $0.hasPrefix("guest/once-") } == Self.timers
        }
        self.judge(self.reader.all, repeatsSince: repeatsSince)
        await self.reader.close()
    }

    /// No fire twice, and no second of any schedule left out between its first and its last.
    private func judge(_ fires: [TopicReader.Fire], repeatsSince: WallInstant?) {
        var seen: Set<String> = []
        for fire in fires where !seen.insert(fire.id).inserted {
            let due = WallInstant(text: fire.time)
            let mayRepeat = repeatsSince.flatMap { since in due.map { $0 >= since } } ?? false
            #expect(mayRepeat, "\(fire.key) of \(fire.time) is there twice")
        }
        for number in 0..<Self.schedules {
            let ticks = fires.filter { $0.key == "guest/tick-\(number)" }
            let seconds = Set(ticks.compactMap { WallInstant(text: $0.time) }.map { $0.milliseconds / 1000 }).sorted()
            guard let first = seconds.first, let last = seconds.last else {
                Issue.record("tick-\(number) never ticked")
                continue
            }
            let missing = Set(first...last).subtracting(seconds)
            #expect(missing.isEmpty, "tick-\(number) missed \(missing.sorted())")
            #expect(Set(ticks.map(\.id)).count == seconds.count, "tick-\(number) has two ids for one second")
        }
    }
}
