import EscapementModel
import Store
import Testing

@testable import PostgresStore

/// What may wait for a transaction, without a database.
@Suite struct TimerQueueTests {
    private static func timers(_ count: Int, bytes: Int) -> [NewTimer] {
        var random = SystemRandomNumberGenerator()
        let template = [UInt8](repeating: 1, count: bytes)
        return (0..<count).map { number in
            NewTimer(
                uid: ShardPlacement.timerUID(shard: ShardID(0), using: &random), namespace: "guest", name: "\(number)",
                due: WallInstant(milliseconds: 1_900_000_000_000), expireAfterMilliseconds: 0, template: template,
                document: [], contentDigest: [1], createdAt: WallInstant(milliseconds: 1_800_000_000_000),
                createdBy: "test")
        }
    }

    /// Adds requests of these sizes, in order; which were admitted.
    private static func admitted(_ sizes: [(count: Int, bytes: Int)], to queue: TimerQueue) async -> [Bool] {
        await withTaskGroup(of: Void.self) { group in
            var admitted: [Bool] = []
            for size in sizes {
                let (admission, isAdmitted) = AsyncStream<Bool>.makeStream()
                group.addTask {
                    let timers = Self.timers(size.count, bytes: size.bytes)
                    _ = await withCheckedContinuation { (completion: CheckedContinuation<TimerQueue.Answer, Never>) in
                        let request = TimerQueue.Request(
                            timers: timers, key: nil, isAtomic: false, completion: completion)
                        let isRefused = queue.add(request) == .refused
                        if isRefused { completion.resume(returning: .success(.outcome([]))) }
                        isAdmitted.yield(!isRefused)
                        isAdmitted.finish()
                    }
                }
                for await isAdmitted in admission { admitted.append(isAdmitted) }
            }
            while case let requests = queue.next(), !requests.isEmpty {
                for request in requests { request.completion.resume(returning: .success(.outcome([]))) }
            }
            return admitted
        }
    }

    @Test func `requests wait up to a number of timers and of bytes, and those beyond are refused`() async {
        let queue = TimerQueue()
        let large = (count: 10, bytes: 3_000_000)
        #expect(await Self.admitted([large, large, large, (1, 10)], to: queue) == [true, true, false, true])
        // What has been taken does not count any more.
        #expect(await Self.admitted([large, large], to: queue) == [true, true])
        let many = (count: 20_000, bytes: 0)
        #expect(await Self.admitted([many, many, many], to: queue) == [true, true, false])
    }
}
