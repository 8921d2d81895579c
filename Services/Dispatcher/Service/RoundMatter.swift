import DispatcherDomain
import EscapementModel

/// What a round has to settle, and by which rules.
struct RoundMatter: Sendable {
    /// Where a fire of the round comes from.
    enum Origin: Sendable {
        /// An occurrence of an offer: their indices.
        case offered(Int, Int)
        /// A fire of the line.
        case resumed(Int)
        /// What became of a fire for an HTTP target.
        case takenUp(Int)
    }

    let round: Lane<FireWork>.Round
    let takenUp: RoundPlan.TakenUp?
    let resumed: RoundPlan.Resumed?
    let lane: LaneID
    let laneEpoch: Epoch
    let rules: PublishingRules
    let now: WallInstant

    /// The fire, as it waits.
    func fire(_ origin: Origin) -> ParkedFire {
        switch origin {
        case .offered(let offer, let occurrence):
            let offer = self.round.offers[offer]
            return ParkedFire(
                occurrence: offer.payload.occurrences[occurrence], shard: offer.shard, epoch: offer.epoch,
                ticker: offer.payload.ticker, notBefore: self.now)
        case .resumed(let index):
            if let resumed { return resumed.fires[index].fire }
        case .takenUp(let index):
            switch self.takenUp?.ends[index].decision {
            case .park(let fire), .settle(let fire, _, _, _): return fire
            case .drop, nil: break
            }
        }
        preconditionFailure("a fire that the round does not have: \(origin)")
    }

    /// Where in the line of those that wait it lies; `nil` for one that is not of the line.
    func place(_ origin: Origin) -> (offset: Int64, topic: String)? {
        guard case .resumed(let index) = origin, let resumed else { return nil }
        return (resumed.fires[index].offset, resumed.fires[index].topic)
    }
}
