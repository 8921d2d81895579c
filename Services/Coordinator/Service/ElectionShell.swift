import CoordinatorDomain
import EscapementModel
import Logging
import Observability
import Store
import Synchronization

/// Drives `LeaderElection` over the lock service: one loop takes the events, calls of the store run beside it and
/// come back as events, so a slow database never delays the end of a lease.
final class ElectionShell: Sendable {
    /// What the election means for the rest of the process.
    enum Change: Sendable {
        case lead(Epoch)
        case stepDown(Epoch, LeaderElection.StepDownReason)
    }

    private struct State {
        var election: LeaderElection
        var generator: SplitMix64
        var seen: LeaderRecord?

        mutating func receive(_ event: LeaderElection.Event, now: MonotonicInstant) -> [LeaderElection.Action] {
            self.election.receive(event, now: now, using: &self.generator)
        }
    }

    private let store: any LockStore
    private let clocks: any Clocks
    private let settings: CoordinatorSettings
    private let logger: Logger
    private let state: Mutex<State>
    /// Unbounded by type, bounded by what enters: one answer of the store at a time, and ticks.
    private let events: AsyncStream<LeaderElection.Event>
    private let enqueue: AsyncStream<LeaderElection.Event>.Continuation

    init(
        store: any LockStore, clocks: any Clocks, settings: CoordinatorSettings, seed: UInt64, logger: Logger
    ) {
        self.store = store
        self.clocks = clocks
        self.settings = settings
        self.logger = logger
        self.state = Mutex(
            State(
                election: LeaderElection(
                    me: settings.incarnation, timing: settings.election, now: clocks.monotonicNow()),
                generator: SplitMix64(seed: seed)))
        (self.events, self.enqueue) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// The leader row as it was seen last by this process while it did not lead.
    var seen: LeaderRecord? { self.state.withLock { $0.seen } }

    /// Whether this process leads under `epoch` now, by its own clock.
    func leads(_ epoch: Epoch) -> Bool {
        let now = self.clocks.monotonicNow()
        return self.state.withLock { $0.election.ledEpoch(at: now) == epoch }
    }

    /// A fenced write has learned that somebody else leads.
    func deposed(_ epoch: Epoch) { self.enqueue.yield(.deposed(epoch)) }

    /// Steps down, gives the lease back, and ends `run`; a takeover on its way is waited for, so that it can be given back.
    func stop() { self.enqueue.yield(.stop) }

    /// Takes part in the election until `stop`, or until the task is cancelled. `onChange` must return soon.
    /// After `stop` it takes as long as a takeover whose answer is awaited, but `settings.takenWithin` at most.
    func run(onChange: @escaping @Sendable (Change) async -> Void) async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                while true {
                    self.enqueue.yield(.tick)
                    do { try await self.clocks.sleep(for: self.settings.tickEvery) } catch { return }
                }
            }
            var isStopping = false
            for await event in self.events {
                let now = self.clocks.monotonicNow()
                let actions = self.state.withLock { $0.receive(event, now: now) }
                for action in actions {
                    switch action {
                    case .observe: group.addTask { await self.observe() }
                    case .take(let row): group.addTask { await self.take(row) }
                    case .renew(let epoch): group.addTask { await self.renew(epoch) }
                    case .lead(let epoch):
                        self.state.withLock { $0.seen = nil }
                        self.logger.info(
                            "this coordinator leads", event: "leader_elected", [LogKey.epoch: .number(epoch.rawValue)])
                        await onChange(.lead(epoch))
                    case .stepDown(let epoch, let reason):
                        self.logger.info(
                            "this coordinator leads no longer", event: "leader_stepped_down",
                            [LogKey.epoch: .number(epoch.rawValue), LogKey.reason: .string(reason.rawValue)])
                        await onChange(.stepDown(epoch, reason))
                    case .release(let epoch): await self.release(epoch)
                    }
                }
                if event == .stop {
                    isStopping = true
                    group.addTask {
                        do { try await self.clocks.sleep(for: self.settings.takenWithin) } catch { return }
                        self.enqueue.finish()
                    }
                }
                if isStopping, !self.state.withLock({ $0.election.isTaking }) { break }
            }
            group.cancelAll()
        }
    }

    private func observe() async {
        do {
            let record = try await self.store.observeLeader()
            self.state.withLock { $0.seen = record }
            self.enqueue.yield(
                .observed(
                    LeaderElection.Row(
                        epoch: record.epoch, beat: record.beat, holder: record.holder,
                        isHeldByPredecessor: record.address == self.settings.address
                            && record.holder != self.settings.incarnation)))
        } catch {
            self.note(error)
            self.enqueue.yield(.observationFailed)
        }
    }

    private func take(_ row: LeaderElection.Row) async {
        let sentAt = self.clocks.monotonicNow()
        let seen = LeaderRecord(epoch: row.epoch, beat: row.beat, holder: row.holder, node: nil, address: nil)
        do {
            let epoch = try await self.store.takeLeadership(
                from: seen, holder: self.settings.incarnation, node: self.settings.node, address: self.settings.address)
            self.enqueue.yield(epoch.map { .took($0, sentAt: sentAt) } ?? .takeFailed)
        } catch {
            self.note(error)
            self.enqueue.yield(.takeFailed)
        }
    }

    private func renew(_ epoch: Epoch) async {
        let sentAt = self.clocks.monotonicNow()
        do {
            let isOurs = try await self.store.renewLeadership(epoch: epoch, holder: self.settings.incarnation)
            self.enqueue.yield(isOurs ? .renewed(epoch, sentAt: sentAt) : .deposed(epoch))
        } catch {
            self.note(error)
            self.enqueue.yield(.renewalFailed(epoch))
        }
    }

    private func release(_ epoch: Epoch) async {
        do {
            try await self.store.releaseLeadership(epoch: epoch, holder: self.settings.incarnation)
        } catch {
            // The others then wait for the lease to run out.
            self.note(error)
        }
    }

    private func note(_ error: StoreError) {
        self.logger.debug(
            "the lock service did not answer", event: "election_call_failed", [LogKey.error: .text(error)])
    }
}
