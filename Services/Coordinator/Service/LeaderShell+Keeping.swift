import CoordinatorDomain
import EscapementModel
import Logging
import Observability
import Store
import WireProtocol

/// What a leader does by the clock: looks at deadlines, writes checkpoints, removes what is settled.
extension LeaderShell {
    func keepTime() async {
        while true {
            self.receive(.tick)
            self.closeSilentAskers()
            await self.closeStalledTickers()
            self.environment.metrics.show(self.term, epoch: self.epoch)
            await self.feeds.retire(below: self.shardEpochs)
            do { try await self.environment.clocks.sleep(for: self.environment.settings.tickEvery) } catch { return }
        }
    }

    private var shardEpochs: [ShardID: Epoch] {
        Dictionary(
            self.term.shards.entries.map { (ShardID($0.number), $0.epoch) }, uniquingKeysWith: { first, _ in first })
    }

    /// Coordinators and tools own nothing: nobody declares them dead, their links only end.
    private func closeSilentAskers() {
        let now = self.environment.clocks.monotonicNow()
        for (incarnation, entry) in self.links where entry.link.role == .coordinator {
            guard now.duration(since: entry.heardAt) >= self.environment.settings.membership.deadAfter else { continue }
            self.links[incarnation] = nil
            entry.link.dismiss("silent")
        }
    }

    func keepCheckpoints() async {
        while true {
            do { try await self.environment.clocks.sleep(for: self.environment.settings.checkpointEvery) } catch {
                return
            }
            let settled = self.checkpoints.settled
            let lanes = self.checkpoints.takeUnwrittenLanes()
            do {
                if !settled.isEmpty { try await self.environment.locks.checkpoint(settled, leaderEpoch: self.epoch) }
                if !lanes.isEmpty {
                    try await self.environment.locks.checkpoint(lanes: lanes, leaderEpoch: self.epoch)
                }
            } catch {
                self.checkpoints.notWritten(lanes)
                // The next one says the same and more.
                self.environment.logger.info(
                    "checkpoint not written", event: "checkpoint_failed", [LogKey.error: .text(error)])
            }
        }
    }

    func keepClean() async {
        while true {
            do { try await self.environment.clocks.sleep(for: self.environment.settings.cleanEvery) } catch { return }
            do {
                let limit = self.environment.settings.cleanRowsMax
                var removed = limit
                while removed == limit, self.environment.leads(), !Task.isCancelled {
                    removed = try await self.environment.schedules.removeSettled(
                        limit: limit, leaderEpoch: self.epoch)
                }
                try await self.settleNamespaces()
            } catch {
                self.environment.logger.info(
                    "settled rows not removed", event: "cleaning_failed", [LogKey.error: .text(error)])
            }
        }
    }

    /// Tickers that take nothing of what they are sent: they begin anew, and leave the reads to others.
    private func closeStalledTickers() async {
        for incarnation in self.links.keys.sorted() {
            guard let link = self.links[incarnation]?.link, await link.window.isStalled else { continue }
            self.environment.logger.warning(
                "a ticker takes nothing", event: "ticker_stalled", [LogKey.node: .string(link.node.name)])
            link.dismiss("nothing of what was sent was acknowledged for \(ContentsWindow.stalledAfter)")
        }
    }
}
