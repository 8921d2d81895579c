import DispatcherDomain
import EscapementModel
import Testing

@Suite struct WaitingLineTests {
    /// A line with fires of `topics` at the offsets 0, 1, and so on.
    private func line(_ topics: String...) -> WaitingLine {
        var line = WaitingLine()
        for (offset, topic) in topics.enumerated() { line.joined(topic, at: Int64(offset)) }
        return line
    }

    @Test func `a topic waits until its last fire is settled`() {
        var line = self.line("a", "a", "a")
        var pass = WaitingPass(from: line)
        line.advance(over: 0..<2, settled: [0, 1], waiting: [], isEnd: false, &pass)
        #expect(line.holds("a"))
        #expect(line.settled.next == 2 && pass.position == 2)
        line.advance(over: 2..<3, settled: [2], waiting: [], isEnd: false, &pass)
        #expect(!line.holds("a") && line.isEmpty)
        #expect(line.settled.next == 3)
    }

    @Test func `what is settled behind a fire that waits is remembered, and no other topic waits for it`() {
        var line = self.line("away", "b", "away", "b", "b")
        var pass = WaitingPass(from: line)
        line.advance(
            over: 0..<5, settled: [1, 3, 4], waiting: [(0, "away"), (2, "away")], isEnd: true, &pass)
        #expect(line.settled.next == 0)
        #expect(line.settled.stretches == [1..<2, 3..<5])
        #expect(line.holds("away") && !line.holds("b"))
        #expect([0, 1, 2, 3, 4].map { line.settled.contains($0) } == [false, true, false, true, true])
        var again = WaitingPass(from: line)
        line.advance(over: 0..<5, settled: [0, 2], waiting: [], isEnd: true, &again)
        #expect(line.settled.next == 5 && line.settled.stretches.isEmpty && line.isEmpty)
    }

    @Test func `a topic that was passed by is passed by to the end of the walk`() {
        var line = self.line("a", "a", "b")
        var pass = WaitingPass(from: line)
        line.advance(over: 0..<1, settled: [], waiting: [(0, "a")], isEnd: false, &pass)
        #expect(pass.left == ["a"])
        line.advance(over: 1..<3, settled: [2], waiting: [(1, "a")], isEnd: false, &pass)
        #expect(line.holds("a"), "the first of them waits, whatever lies behind")
        #expect(!line.holds("b"))
    }

    @Test func `marks of transactions between fires that wait cost nothing`() {
        var line = WaitingLine()
        for offset in stride(from: Int64(0), to: 100, by: 2) { line.joined("a", at: offset) }
        var pass = WaitingPass(from: line)
        line.advance(
            over: 0..<100, settled: [], waiting: stride(from: Int64(0), to: 100, by: 2).map { ($0, "a") },
            isEnd: true, &pass)
        #expect(line.settled.stretches.isEmpty)
    }

    @Test func `a fire that lies nobody knows where is waited for until the end of the line`() {
        var line = self.line("a")
        line.joined("a", at: -1)
        var pass = WaitingPass(from: line)
        line.advance(over: 0..<1, settled: [0], waiting: [], isEnd: false, &pass)
        #expect(line.holds("a"))
        line.advance(over: 1..<2, settled: [1], waiting: [], isEnd: true, &pass)
        #expect(line.isEmpty)
    }

    @Test func `too many topics count as one for all`() {
        var line = WaitingLine()
        for number in 0...WaitingLine.topicsMax { line.joined("t\(number)", at: Int64(number)) }
        #expect(line.holds("anything"))
        var pass = WaitingPass(from: line)
        let end = Int64(WaitingLine.topicsMax) + 1
        line.advance(over: 0..<end, settled: Array(0..<end), waiting: [], isEnd: true, &pass)
        #expect(!line.holds("anything") && line.isEmpty)
    }

    /// Whatever is available when, fires of one topic come out in order and each once.
    @Test(arguments: 1...20) func `fires of a topic never overtake each other`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var line = WaitingLine()
        var log: [String] = []
        var taken: [String: [Int64]] = [:]
        for _ in 0..<60 {
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let topic = ["a", "b", "c"].randomElement(using: &random) ?? "a"
                line.joined(topic, at: Int64(log.count))
                log.append(topic)
            }
            var pass = WaitingPass(from: line)
            while pass.position < log.count {
                let stretch = pass.position..<min(Int64(log.count), pass.position + 3)
                var settled: [Int64] = []
                var waiting: [(offset: Int64, topic: String)] = []
                for offset in stretch where !line.settled.contains(offset) {
                    let topic = log[Int(offset)]
                    let waits =
                        pass.left.contains(topic) || waiting.contains { $0.topic == topic }
                        || Int.random(in: 0..<3, using: &random) == 0
                    if waits { waiting.append((offset, topic)) } else { settled.append(offset) }
                }
                line.advance(
                    over: stretch, settled: settled, waiting: waiting, isEnd: stretch.upperBound == log.count, &pass)
                line.settled.checkInvariants()
                for offset in settled { taken[log[Int(offset)], default: []].append(offset) }
            }
            for topic in ["a", "b", "c"] {
                let all = log.indices.filter { log[$0] == topic }.map { Int64($0) }
                #expect(line.holds(topic) == (taken[topic, default: []].count < all.count))
                #expect(taken[topic, default: []] == Array(all.prefix(taken[topic, default: []].count)))
            }
        }
    }
}
