import DispatcherDomain
import EscapementModel
import NIOCore
import Synchronization
import WireProtocol

/// The fires of a lane that go to HTTP targets, between who delivers them, who reads them and who publishes their ends.
final class DeliveryPump: Sendable {
    private struct State {
        var queue = DeliveryQueue<ParkedFire>()
        /// Ends that no round has taken along yet, in the order in which they came.
        var ends: [RoundPlan.TakenUp.End] = []
        /// When to look again if nothing happens.
        var wakeAt = WallInstant.distantFuture
    }

    private let state = Mutex(State())
    private let signals = PumpSignals()

    /// What is settled, as the journal says.
    var settled: SettledOffsets { self.state.withLock { $0.queue.settled } }

    /// The journal was read; whatever was parked before may still be there.
    func begin(at settled: SettledOffsets) {
        self.state.withLock { $0.queue.begin(at: settled) }
        self.ring()
    }

    func finish() { self.signals.finish() }

    /// There may be something to do: a place, a fire, or time has passed.
    func ring() { self.signals.ring(work: true, commit: false) }

    func isDue(_ now: WallInstant) -> Bool { self.state.withLock { $0.wakeAt <= now } }

    // MARK: Who delivers and reads

    /// Waits until there is something to do; `nil` after `finish`.
    ///
    /// - Parameters:
    ///   - now: called for every look.
    ///   - admits: whether a request to a host may begin; then it does.
    func next(now: () -> WallInstant, admits: (String) -> Bool) async -> DeliveryQueue<ParkedFire>.Step? {
        await self.signals.awaitWork {
            let now = now()
            return self.state.withLock { state in
                state.wakeAt = .distantFuture
                if let step = state.queue.next(now: now, admits: admits) { return step }
                state.wakeAt = state.queue.nextTime(after: now)
                return nil
            }
        }
    }

    func finished(_ offset: Int64, _ decision: ParkedDecision) {
        self.state.withLock { state in
            state.queue.finished(offset)
            state.ends.append(.init(offset: offset, decision: decision))
        }
        self.ring()
    }

    func moved(_ offset: Int64, _ fire: ParkedFire) {
        self.state.withLock { $0.ends.append(.init(offset: offset, decision: .park(fire))) }
    }

    /// - Returns: between which offsets fires are gone that nobody had read.
    func read(_ order: DeliveryQueue<ParkedFire>.ReadOrder, _ found: ParkedStretch) -> Range<Int64>? {
        let records = found.records.map { DeliveryQueue.Parked($0) }
        let lost = self.state.withLock { state in
            let lost = state.queue.trimmed(before: found.low)
            state.queue.read(order, records, next: found.next, isEnd: found.isEnd)
            return lost
        }
        self.ring()
        return lost
    }

    func readFailed(_ order: DeliveryQueue<ParkedFire>.ReadOrder) {
        self.state.withLock { $0.queue.readFailed(order) }
        self.ring()
    }

    // MARK: Who publishes

    /// What the next round takes along.
    func ready() -> RoundPlan.TakenUp? {
        self.state.withLock { state in
            guard !state.ends.isEmpty else { return nil }
            let taken = Array(state.ends.prefix(LaneShell.parkedCountMax))
            state.ends.removeFirst(taken.count)
            return RoundPlan.TakenUp(ends: taken)
        }
    }

    /// What the journal says is settled with a round that took these along.
    func settled(with takenUp: RoundPlan.TakenUp?) -> SettledOffsets {
        self.state.withLock { $0.queue.settled(with: takenUp?.ends.map(\.offset) ?? []) }
    }

    /// The round is durable.
    func committed(_ takenUp: RoundPlan.TakenUp?, parked: [Settlement.Parked], now: WallInstant) {
        guard takenUp != nil || !parked.isEmpty else { return }
        self.state.withLock { state in
            state.queue.settle(takenUp?.ends.map(\.offset) ?? [])
            for fire in parked {
                state.queue.add(DeliveryQueue.Parked(fire.fire, at: fire.offset, writtenAt: now), now: now)
            }
        }
        self.ring()
    }
}

extension DeliveryQueue<ParkedFire>.Parked {
    init(_ record: ParkedStretch.Record) {
        do throws(WireError) {
            self.init(try ParkedFire(decoding: record.bytes), at: record.offset, writtenAt: record.writtenAt)
        } catch {
            self.init(offset: record.offset, host: "", notBefore: .distantPast, byteCount: 0, fire: nil)
        }
    }

    init(_ fire: ParkedFire, at offset: Int64, writtenAt: WallInstant?) {
        do throws(WireError) {
            let template = try FireTemplateView(fire.occurrence.template)
            let over = writtenAt.map { $0.advanced(by: PublishingRules.parkedMax) } ?? .distantFuture
            self.init(
                offset: offset, host: template.web.map { WebDelivery.host(of: $0) } ?? "", notBefore: fire.notBefore,
                endsAt: min(over, EventFormat.expiry(of: fire.occurrence.due, template) ?? .distantFuture),
                byteCount: fire.occurrence.template.readableBytes + Self.overhead,
                fire: template.web == nil ? nil : fire)
        } catch {
            self.init(offset: offset, host: "", notBefore: .distantPast, byteCount: 0, fire: nil)
        }
    }

    /// Bytes of a fire in memory besides its template, about.
    private static var overhead: Int { 512 }
}
