import EscapementModel
import TestSupport
import Testing

@Suite struct PriorityTests {
    @Test func `the order of uids is the order of priorities, whatever was drawn`() {
        var random = SeededRandom(seed: 7)
        let shard = ShardID(0xbeef)
        for _ in 0..<200 {
            let schedules = Priority.allCases.map {
                ShardPlacement.scheduleUID(priority: $0, drawn: .random(using: &random))
            }
            #expect(schedules == schedules.sorted())
            #expect(schedules.map { Priority.rank(ofSchedule: $0) } == [0, 1, 2])
            let timers = Priority.allCases.map {
                ShardPlacement.timerUID(shard: shard, priority: $0, drawn: .random(using: &random))
            }
            #expect(timers == timers.sorted())
            #expect(timers.map { Priority.rank(ofTimer: $0) } == [0, 1, 2])
            #expect(timers.allSatisfy { ShardPlacement.shard(ofTimer: $0) == shard })
        }
    }

    @Test func `all bits but those of shard and priority are as they were drawn`() {
        let drawn = UID.max
        #expect(
            ShardPlacement.scheduleUID(priority: .high, drawn: drawn) == UID(high: 0x3fff_ffff_ffff_ffff, low: .max))
        #expect(
            ShardPlacement.scheduleUID(priority: .low, drawn: .zero) == UID(high: 0x8000_0000_0000_0000, low: 0))
        #expect(
            ShardPlacement.timerUID(shard: ShardID(0x1234), priority: .normal, drawn: drawn)
                == UID(high: 0x1234_7fff_ffff_ffff, low: .max))
        #expect(
            ShardPlacement.timerUID(shard: ShardID(0x1234), priority: .low, drawn: .zero)
                == UID(high: 0x1234_8000_0000_0000, low: 0))
    }

    @Test func `words name priorities`() {
        for priority in Priority.allCases { #expect(Priority(word: priority.word) == priority) }
        #expect(Priority(word: "High") == nil)
        #expect(Priority.high < .normal && Priority.normal < .low)
    }
}
