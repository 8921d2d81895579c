import DispatcherDomain
import EscapementModel
import Logging
import Observability

/// What a lane hands to its producer.
extension LaneShell {
    func publication(
        of plan: RoundPlan, _ takenUp: RoundPlan.TakenUp?, behind previous: RoundTicket, _ ticket: RoundTicket
    ) -> Publication {
        let environment = self.environment
        var publication = Publication(
            plan.records, fallback: { plan.fallback($0) },
            witness: { self.barrier(nonce: UID(high: self.epoch.rawValue, low: plan.sequence)) },
            away: { await environment.keeper.away($0) },
            settle: { fates in
                plan.settlement(fates, parked: self.standing(with: takenUp), now: environment.clocks.wallNow())
            },
            trouble: { reason in
                environment.metrics.error("unavailable")
                self.troubled(.failed)
                environment.logger.debug(
                    "publishing waits", event: "publish_unavailable",
                    [LogKey.lane: .number(self.id.rawValue), LogKey.reason: .string(reason)])
            })
        publication.settleLetters = { fates, letters in
            plan.settlement(
                fates, letters: letters, parked: self.standing(with: takenUp), now: environment.clocks.wallNow())
        }
        let letterTopic = environment.rules.topics.deadLetterTopic
        publication.lettersWait = {
            environment.keeper.topics.isUnavailable(letterTopic) || self.line.line.holds(letterTopic)
        }
        publication.handedOver = { ticket.handedOver.open() }
        publication.turn = { await previous.done.wait() }
        return publication
    }

    /// Where the lane stands in what it has parked, once these ends are settled.
    private func standing(with takenUp: RoundPlan.TakenUp?) -> RoundPlan.Parked {
        var parked = RoundPlan.Parked(deliveries: self.pump.settled(with: takenUp))
        (parked.line, parked.hasGrown) = self.line.standing
        return parked
    }
}
