import EscapementModel
import Glibc
import Testing

@testable import TickerService

/// The mailbox of the clock thread, taken from as a thread does.
@Suite struct TickerInboxTests {
    private func count(_ events: [TickerEvent]) -> Int {
        events.count { if case .leaderLost = $0 { true } else { false } }
    }

    @Test func `a deadline that is over ends the wait without mail, and mail is there whatever the deadline`() {
        let inbox = TickerInbox()
        var batch: [TickerEvent] = [.leaderConnected]
        inbox.take(into: &batch, until: .distantPast)
        #expect(batch.isEmpty)
        inbox.post(.leaderLost)
        inbox.post(.leaderLost)
        inbox.take(into: &batch, until: .distantFuture)
        #expect(self.count(batch) == 2)
        inbox.take(into: &batch, until: .distantPast)
        #expect(batch.isEmpty, "what was taken is not there twice")
    }

    @Test(.timeLimit(.minutes(1))) func `mail ends a wait whose deadline is far`() async {
        let inbox = TickerInbox()
        // On a thread of its own: it blocks.
        let taken = AsyncStream<Int>.makeStream()
        ClockThread.start {
            var batch: [TickerEvent] = []
            while batch.isEmpty { inbox.take(into: &batch, until: .distantFuture) }
            taken.continuation.yield(batch.count)
        }
        inbox.post(.leaderLost)
        var iterator = taken.stream.makeAsyncIterator()
        #expect(await iterator.next() == 1)
    }

    @Test(.timeLimit(.minutes(1))) func `a full box holds back who offers until it is emptied`() async {
        let inbox = TickerInbox()
        for _ in 1..<TickerInbox.eventsMax - 1 { inbox.post(.leaderLost) }
        // There is room behind it.
        await inbox.offer(.leaderLost)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await inbox.offer(.leaderLost) }
            var batch: [TickerEvent] = []
            var count = 0
            while count < TickerInbox.eventsMax {
                // Only what is in the box already can be taken: the last one is offered before it waits.
                inbox.takeNow(into: &batch)
                count += self.count(batch)
            }
            #expect(count == TickerInbox.eventsMax)
            // It returns.
            await group.waitForAll()
        }
    }
}
