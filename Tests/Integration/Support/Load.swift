import EscapementModel
import HTTPClient
import Testing

/// A schedule that ticks every second in each shard, and one-shots over half a minute: what must arrive, and no more.
struct Load: Sendable {
    static let timers = 40

    let stack: Stack
    /// One in each shard.
    let schedules: [String]
    let reader: TopicReader

    /// Makes the load and waits until every schedule ticks.
    static func begin(_ stack: Stack) async throws -> Load {
        let load = Load(
            stack: stack, schedules: Self.names(shardCount: stack.shardCount), reader: try await stack.consumer())
        for name in load.schedules { try await load.create(name) }
        for number in 0..<self.timers {
            try await stack.insist(
                .post, "/v1/namespaces/guest/timers",
                #"{"id":"once-\#(number)","delay":"\#(1 + number / 2)s","target":{"action":"/guest/b"}}"#)
        }
        try await load.tick("every schedule ticks", since: WallInstant(milliseconds: 0))
        return load
    }

    /// For each shard the first name of the row that lies in it.
    private static func names(shardCount: Int) -> [String] {
        var names: [ShardID: String] = [:]
        for number in 0... {
            let name = "tick-\(number)"
            let shard = ShardPlacement.shard(namespace: "guest", name: name, shardCount: shardCount)
            if names[shard] == nil { names[shard] = name }
            if names.count == shardCount { break }
        }
        return names.sorted { $0.key < $1.key }.map(\.value)
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
            return Set(later.map(\.key)).count { $0.hasPrefix("guest/tick-") } == self.schedules.count
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
        let byKey = Dictionary(grouping: fires, by: \.key)
        for name in self.schedules {
            let ticks = byKey["guest/\(name)"] ?? []
            let seconds = Set(ticks.compactMap { WallInstant(text: $0.time) }.map { $0.milliseconds / 1000 }).sorted()
            guard let first = seconds.first, let last = seconds.last else {
                Issue.record("\(name) never ticked")
                continue
            }
            let missing = Set(first...last).subtracting(seconds)
            #expect(missing.isEmpty, "\(name) missed \(missing.sorted())")
            #expect(Set(ticks.map(\.id)).count == seconds.count, "\(name) has two ids for one second")
        }
    }
}
