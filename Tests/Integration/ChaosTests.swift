import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// Everything at once, at load: every fire that must come is known beforehand and counted.
///
/// `ESCAPEMENT_CHAOS_SECONDS` (30), `ESCAPEMENT_CHAOS_RATE` (fires a second, 2000), `ESCAPEMENT_CHAOS_SEED` and
/// `ESCAPEMENT_OUTAGE_SECONDS` (15) make it longer, or the same again.
@Suite(.serialized) struct ChaosTests {
    private static let seconds = Self.number("ESCAPEMENT_CHAOS_SECONDS", 30)
    private static let rate = Self.number("ESCAPEMENT_CHAOS_RATE", 2000)
    private static let outage = Self.number("ESCAPEMENT_OUTAGE_SECONDS", 15)
    /// One-shots of one request.
    private static let batchMax = 5000
    /// After so long without any fire what is missing is missing.
    private static let silence = Duration.seconds(60)
    private static let partitions: Int32 = 4

    private static func number(_ variable: String, _ fallback: Int) -> Int {
        Command.inherited[variable].flatMap { Int($0) } ?? fallback
    }

    // MARK: Load

    /// One-shots due evenly from `start` on, named `once-0` and so on.
    private func createTimers(
        _ stack: Stack, count: Int, from start: WallInstant, over seconds: Int, topic: String? = nil, prefix: String
    ) async throws {
        for first in stride(from: 0, to: count, by: Self.batchMax) {
            let place = topic.map { #""topic":"\#($0)","# } ?? ""
            var body = #"{"defaults":{"target":{\#(place)"action":"/guest/b"}}}"# + "\n"
            for index in first..<min(first + Self.batchMax, count) {
                let at = start.advanced(by: .milliseconds(Int64(index) * Int64(seconds) * 1000 / Int64(count)))
                body += #"{"id":"\#(prefix)-\#(index)","at":"\#(at)"}"# + "\n"
            }
            let answer = try await stack.call(
                .post, "/v1/namespaces/guest/timers/batch?mode=atomic", body, contentType: "application/x-ndjson")
            guard answer.status < 300 else { throw StackError("timers: \(answer.status) \(answer.body.text)") }
        }
    }

    /// Schedules that tick every second, of which nothing is to be left out however long the outage.
    private func createSchedules(
        _ stack: Stack, count: Int, topic: String? = nil, prefix: String
    ) async throws {
        let place = topic.map { #""topic":"\#($0)","# } ?? ""
        for number in 0..<count {
            try await stack.insist(
                .post, "/v1/namespaces/guest/schedules",
                #"{"name":"\#(prefix)-\#(number)","when":{"every":"1s","anchor":"2026-01-01T00:00:00Z"},"#
                    + #""policy":{"misfire":"all","catchupLimit":10000},"#
                    + #""target":{\#(place)"action":"/guest/a"}}"#)
        }
    }

    // MARK: Faults

    @Test(arguments: ["exactly-once", "at-least-once"])
    func `processes killed and stopped at random, at load, cost no fire`(mode: String) async throws {
        let seed = UInt64(Self.number("ESCAPEMENT_CHAOS_SEED", Int.random(in: 1...999_999)))
        let count = Self.rate * Self.seconds
        print("chaos: \(mode), \(count) one-shots in \(Self.seconds) s, ESCAPEMENT_CHAOS_SEED=\(seed)")
        try await Stack.with(environment: ["ESCAPEMENT_DELIVERY_MODE": mode]) { stack in
            let ledger = try await FireLedger(stack, topic: stack.firesTopic, partitions: Self.partitions)
            // Time for all of them to be stored before the first is due.
            let start = SystemClocks().wallNow().advanced(by: .seconds(Int64(10 + count / 3000)))
            try await self.createTimers(stack, count: count, from: start, over: Self.seconds, prefix: "once")
            var harm = RandomHarm(seed: seed)
            try await SystemClocks().sleep(for: start.duration(since: SystemClocks().wallNow()))
            let end = start.advanced(by: .seconds(Int64(Self.seconds)))
            async let reading: Void = ledger.drain(silence: .seconds(Int64(Self.seconds) + 60)) {
                SystemClocks().wallNow() >= end
            }
            try await harm.rage(in: stack, until: end)
            try await reading
            try await ledger.drain(silence: Self.silence) { ledger.keyCount == count }
            // What might be doubled comes behind: once more until it is quiet.
            try await ledger.drain(silence: .seconds(3)) { false }
            let entries = ledger.entries
            let missed = (0..<count).filter { ledger.count(of: "guest/once-\($0)") == 0 }
            var ids: [String: Set<String>] = [:]
            for entry in entries where ledger.count(of: entry.key) > 1 { ids[entry.key, default: []].insert(entry.id) }
            let doubled = entries.count - ledger.keyCount
            print("chaos: \(mode), \(harm.summary): \(missed.count) missed, \(doubled) doubled of \(entries.count)")
            #expect(missed.isEmpty, "missed \(missed.prefix(10))")
            if mode == "exactly-once" { #expect(doubled == 0, "doubled \(ids.keys.sorted().prefix(10))") }
            #expect(ids.allSatisfy { $0.value.count == 1 }, "a doubled fire has the same id")
            await ledger.close()
        }
    }

    @Test func `an outage of Kafka under load costs nothing`() async throws {
        try await self.outlast { stack, seconds in
            let kafka = try #require(try stack.report["kafka"]?["adminUrl"]?.stringValue)
            try await stack.order(.post, "\(kafka)/brokers/1/down")
            try await SystemClocks().sleep(for: .seconds(Int64(seconds)))
            try await stack.order(.post, "\(kafka)/brokers/1/up")
        }
    }

    @Test func `a topic that is away holds up no other, and its fires come when it is back`() async throws {
        try await self.outlast(topic: "escapement.fires.away") { stack, seconds in
            let kafka = try #require(try stack.report["kafka"]?["adminUrl"]?.stringValue)
            try await stack.order(
                .post, "\(kafka)/faults",
                #"{"kind":"error","api":"Produce","error":"NOT_LEADER_OR_FOLLOWER","#
                    + #""topic":"escapement.fires.away","count":1000000}"#)
            try await SystemClocks().sleep(for: .seconds(Int64(seconds)))
            try await stack.order(.delete, "\(kafka)/faults")
        }
    }

    /// Schedules and one-shots at load, an outage in the middle, and the judgement.
    ///
    /// - Parameter topic: where the one-shots go, when it is not the schedules' topic.
    private func outlast(topic: String? = nil, _ outage: (Stack, _ seconds: Int) async throws -> Void) async throws {
        let rate = min(Self.rate, 500)
        let schedules = 40
        // As long again as the outage, to fall back.
        let seconds = Self.outage * 2 + 10
        let count = rate * seconds
        try await Stack.with { stack in
            if let topic {
                let kafka = try #require(try stack.report["kafka"]?["adminUrl"]?.stringValue)
                try await stack.order(
                    .post, "\(kafka)/topics", #"{"name":"\#(topic)","partitions":\#(Self.partitions),"replicas":1}"#)
            }
            let ticks = try await FireLedger(stack, topic: stack.firesTopic, partitions: Self.partitions)
            let once = try await FireLedger(stack, topic: topic ?? stack.firesTopic, partitions: Self.partitions)
            try await self.createSchedules(stack, count: schedules, prefix: "tick")
            if let topic { try await self.createSchedules(stack, count: schedules, topic: topic, prefix: "tock") }
            let start = SystemClocks().wallNow().advanced(by: .seconds(Int64(10 + count / 3000)))
            try await self.createTimers(stack, count: count, from: start, over: seconds, topic: topic, prefix: "once")
            try await SystemClocks().sleep(for: start.duration(since: SystemClocks().wallNow()) + .seconds(5))
            let before = try stack.residentMegabytes()
            let away = SystemClocks().wallNow()
            try await outage(stack, Self.outage)
            let back = SystemClocks().wallNow()
            let during = try stack.residentMegabytes()
            func timers() -> Int { (0..<count).count { once.count(of: "guest/once-\($0)") > 0 } }
            try await once.drain(silence: Self.silence) { once.entries.count >= count && timers() == count }
            let arrived = SystemClocks().wallNow()
            // Schedules never fall silent.
            try await ticks.drain(silence: Self.silence) { (ticks.entries.last?.due ?? .distantPast) > arrived }
            let after = try stack.residentMegabytes()
            print(
                "outage: \(Self.outage) s, \(rate + schedules) fires/s; all there \(arrived.duration(since: back)) after its end"
            )
            self.judgeLateness(ticks.entries.filter { $0.due >= start }, away: away, back: back)
            print("outage: resident MB before \(before), during \(during), after \(after)")
            #expect(timers() == count)
            #expect(Set(once.entries.map(\.id)).count == once.entries.count, "a fire is there twice")
            #expect(Set(ticks.entries.map(\.id)).count == ticks.entries.count, "a fire is there twice")
            // What was due before the tickers had heard of its schedule came late, and so in no order.
            self.judgeTicks(ticks.entries.filter { $0.key.hasPrefix("guest/tick-") && $0.due >= start })
            self.judgeTicks(once.entries.filter { $0.key.hasPrefix("guest/tock-") && $0.due >= start })
            if topic != nil {
                // Nobody else waited.
                let meanwhile = ticks.entries.filter { $0.due > away && $0.due < back }
                #expect(meanwhile.count >= schedules * (Self.outage - 1))
            }
            // Bounded: nothing piles up for the length of the outage.
            for (name, size) in after { #expect(size < (before[name] ?? size) + 300, "\(name) grew to \(size) MB") }
            await ticks.close()
            await once.close()
        }
    }

    /// Fires are as punctual at last as if nothing had been.
    private func judgeLateness(_ fires: [FireLedger.Entry], away: WallInstant, back: WallInstant) {
        func median(_ fires: some Sequence<FireLedger.Entry>) -> Duration {
            let lateness = fires.map { $0.sent.duration(since: $0.due) }.sorted()
            return lateness.isEmpty ? .zero : lateness[lateness.count / 2]
        }
        let during = median(fires.filter { $0.due > away && $0.due < back })
        let atLast = median(fires.sorted { $0.due < $1.due }.suffix(200))
        print("outage: median lateness of what was due during it \(during), of the last fires \(atLast)")
        #expect(atLast < max(during, .seconds(1)))
    }

    /// Nothing is left out between the first and the last tick of a schedule, and the fires of a shard come in the order in
    /// which they are due.
    private func judgeTicks(_ ticks: [FireLedger.Entry]) {
        for (key, fires) in Dictionary(grouping: ticks, by: \.key) {
            let seconds = fires.map { $0.due.milliseconds / 1000 }.sorted()
            guard let first = seconds.first, let last = seconds.last else { continue }
            #expect(seconds == Array(first...last), "\(key) missed or doubled a second")
        }
        let byShard = Dictionary(grouping: ticks) { fire -> ShardID in
            let name = fire.key.split(separator: "/").last.map(String.init) ?? ""
            return ShardPlacement.shard(namespace: "guest", name: name, shardCount: 16)
        }
        var overtaken: [String] = []
        for (shard, fires) in byShard {
            let settled = fires.sorted { ($0.sequence, $0.due) < ($1.sequence, $1.due) }
            for (before, after) in zip(settled, settled.dropFirst()) where before.due > after.due {
                overtaken.append(
                    "shard \(shard): \(after.key) of \(after.due) in entry \(after.sequence) of lane \(after.lane) behind "
                        + "\(before.key) of \(before.due) in \(before.sequence)")
            }
        }
        #expect(overtaken.isEmpty, "\(overtaken.count) of \(ticks.count), \(overtaken.prefix(5))")
    }
}
