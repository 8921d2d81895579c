package import DispatcherDomain
package import EscapementModel
import Synchronization

/// What the leader said about owners, for everyone in the process; wakes those who wait for a change.
package final class ViewBoard: Sendable {
    private struct State {
        var view = OwnershipView()
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: AsyncStream<Void>.Continuation] = [:]
    }

    private let state = Mutex(State())
    private let clocks: any Clocks

    package init(clocks: any Clocks) { self.clocks = clocks }

    /// Takes a view of the leader; an older one than the last changes nothing.
    package func apply(leaderEpoch: Epoch, version: UInt64, owners: [ShardID: OwnershipView.Owner]) {
        let isNew = self.state.withLock { state in
            state.view.apply(leaderEpoch: leaderEpoch, version: version, owners: owners)
        }
        if isNew { self.changed() }
    }

    /// Whether the leader's views name `incarnation` as the owner.
    package func allows(_ shard: ShardID, _ epoch: Epoch, _ incarnation: Incarnation) -> Bool {
        self.state.withLock { $0.view.allows(shard, epoch, incarnation) }
    }

    /// The highest epoch that the views name for the shard.
    package func epoch(of shard: ShardID) -> Epoch { self.state.withLock { $0.view.epoch(of: shard) } }

    /// Wakes everyone who waits; also for changes of what is owned here.
    package func changed() {
        let waiters = self.state.withLock { Array($0.waiters.values) }
        for waiter in waiters { waiter.yield() }
    }

    /// Waits until `condition` holds, looking again at every change; `false` when `limit` passed or the task
    /// was cancelled first.
    package func wait(upTo limit: Duration, until condition: @escaping @Sendable () -> Bool) async -> Bool {
        if condition() { return true }
        let (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = self.state.withLock { state in
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = continuation
            return state.nextWaiter
        }
        defer { self.state.withLock { _ = $0.waiters.removeValue(forKey: id) } }
        // What changed before the registration woke nobody.
        if condition() { return true }
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in changes where condition() { return true }
                return false
            }
            group.addTask {
                do { try await self.clocks.sleep(for: limit) } catch {}
                return false
            }
            let result = await group.next() ?? false
            group.cancelAll()
            return result
        }
    }
}
