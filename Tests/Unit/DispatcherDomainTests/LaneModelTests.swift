import DispatcherDomain
import EscapementModel
import TestSupport
import Testing

/// Random tickers against the lane; an oracle looks at every round from outside.
@Suite struct LaneModelTests {
    /// What a ticker believes.
    private struct Ticker {
        var session: SessionID
        var epoch: Epoch
        var cursor: Cursor?
    }

    @Test(arguments: 0..<40)
    func `whatever arrives, rounds form one chain for each shard and epochs never go back`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var limits = LaneLimits()
        limits.batchesMax = 3
        limits.roundOccurrencesMax = 5
        var lane = Lane<Int>(id: LaneID(0), epoch: Epoch(1), limits: limits)
        var tickers: [ShardID: [Ticker]] = [:]
        var durable: [ShardID: ShardState] = [:]
        var sequence: UInt64 = 0
        var nextSession: UInt64 = 0
        var clock: Int64 = 1000
        // Every other run has several rounds under way.
        let inFlightMax = seed % 2 == 0 ? 1 : 4
        var underWay = 0
        var acknowledged = 0
        _ = lane.recovered(.unused)

        func deliver(_ replies: [LaneReply]) {
            for reply in replies {
                switch reply {
                case .opened(let session, let shard, _, let cursor):
                    if let index = tickers[shard]?.firstIndex(where: { $0.session == session }) {
                        tickers[shard]?[index].cursor = cursor
                    }
                case .acknowledged:
                    acknowledged += 1
                case .refused(let session, let shard, _, let code, _):
                    if code != .overCredit, code != .aheadOfClock,
                        let index = tickers[shard]?.firstIndex(where: { $0.session == session })
                    {
                        tickers[shard]?[index].cursor = nil
                    }
                }
            }
        }

        for _ in 0..<600 {
            clock += Int64.random(in: 0...20, using: &random)
            let shard = ShardID(UInt16.random(in: 0..<3, using: &random))
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                // A new owner, or an old one that has not heard of it.
                nextSession += 1
                let known = tickers[shard]?.map(\.epoch).max() ?? .none
                let epoch = Bool.random(using: &random) ? known.next : max(known, Epoch(1))
                tickers[shard, default: []].append(Ticker(session: SessionID(nextSession), epoch: epoch))
                if let refusal = lane.open(shard, epoch: epoch, session: SessionID(nextSession)) { deliver([refusal]) }
            case 1:
                if let ticker = tickers[shard]?.randomElement(using: &random) {
                    if let refusal = lane.open(shard, epoch: ticker.epoch, session: ticker.session) {
                        deliver([refusal])
                    }
                }
            case 2:
                if let ticker = tickers[shard]?.randomElement(using: &random) { lane.disconnected(ticker.session) }
            case 3...6:
                guard let index = tickers[shard]?.indices.randomElement(using: &random),
                    let ticker = tickers[shard]?[index], let from = ticker.cursor
                else { continue }
                let to = LaneFixture.cursor(clock)
                let offer = Lane<Int>.Offer(
                    session: ticker.session, shard: shard, epoch: ticker.epoch, from: from, to: to, byteCount: 10,
                    occurrenceCount: Int.random(in: 0...3, using: &random), oldestDue: to.cron.instant, payload: 0)
                if let refusal = lane.offer(offer, now: WallInstant(milliseconds: clock)) {
                    deliver([refusal])
                } else {
                    tickers[shard]?[index].cursor = to
                }
            case 7, 8:
                guard let round = lane.beginRound(inFlightMax: inFlightMax) else { continue }
                underWay += 1
                #expect(underWay <= inFlightMax)
                #expect(round.sequence == sequence + (round.needsJournal ? 1 : 0))
                sequence = round.sequence
                for offer in round.offers {
                    let state = durable[offer.shard]
                    #expect(offer.from == (state?.cursor ?? .start), "the chain is broken")
                    #expect(offer.epoch >= state?.epoch ?? .none, "a fenced epoch published")
                    durable[offer.shard] = ShardState(
                        shard: offer.shard, epoch: max(offer.epoch, state?.epoch ?? .none), cursor: offer.to)
                }
                for state in round.shards {
                    #expect(state.epoch >= durable[state.shard]?.epoch ?? .none)
                    #expect(state.cursor == durable[state.shard]?.cursor ?? .start)
                    durable[state.shard] = state
                }
            default:
                guard underWay > 0 else { continue }
                underWay -= 1
                deliver(lane.commitRound())
            }
            lane.checkInvariants()
        }
        #expect(acknowledged > 0, "the run published nothing: it proves nothing")
    }
}
