import EscapementModel
import Logging
import Observability
import TickerDomain

/// What the core notes, in the log and in the metrics.
struct TickerNoteLog {
    private let clocks: any Clocks
    private let metrics: TickerMetrics
    private let logger: Logger
    /// Shards that are assigned and not active yet: since when. At most one entry for each shard.
    private var takenAt: [ShardID: MonotonicInstant] = [:]

    init(clocks: any Clocks, metrics: TickerMetrics, logger: Logger) {
        self.clocks = clocks
        self.metrics = metrics
        self.logger = logger
    }

    mutating func log(_ note: TickerNote) {
        switch note {
        case .shardTaken(let shard, let epoch):
            self.takenAt[shard] = self.clocks.monotonicNow()
            self.logger.info("shard assigned", event: "shard_assigned", Self.metadata(shard, epoch))
        case .shardTakenLoaded(let shard, let epoch):
            self.logger.info(
                "shard assigned, loaded already", event: "shard_assigned_loaded", Self.metadata(shard, epoch))
        case .shardActive(let shard, let epoch):
            if let since = self.takenAt.removeValue(forKey: shard) {
                self.metrics.handoverDuration.observe(self.clocks.monotonicNow().duration(since: since))
            }
            self.logger.info("shard active", event: "shard_active", Self.metadata(shard, epoch))
        case .shardReleased(let shard, let epoch):
            self.takenAt[shard] = nil
            self.logger.info("shard released", event: "shard_released", Self.metadata(shard, epoch))
        case .shardLost(let shard, let epoch, let seen):
            self.metrics.fencingRejections.increment()
            var metadata = Self.metadata(shard, epoch)
            metadata["seen_epoch"] = .number(seen.rawValue)
            self.logger.warning("shard lost to a newer owner", event: "shard_lost", metadata)
        case .laneRefused(let shard, let epoch, let detail):
            var metadata = Self.metadata(shard, epoch)
            metadata[LogKey.reason] = .string(detail)
            self.logger.debug("lane refused", event: "lane_refused", metadata)
        case .loadingPaused(let timers, let bytes):
            self.logger.info(
                "memory is full: timers are loaded shortly before they are due", event: "loading_paused",
                [LogKey.count: .number(timers), LogKey.bytes: .number(bytes)])
        case .loadingResumed(let timers, let bytes):
            self.logger.info(
                "timers are loaded ahead again", event: "loading_resumed",
                [LogKey.count: .number(timers), LogKey.bytes: .number(bytes)])
        }
    }

    private static func metadata(_ shard: ShardID, _ epoch: Epoch) -> Logger.Metadata {
        [LogKey.shard: .number(shard.rawValue), LogKey.epoch: .number(epoch.rawValue)]
    }
}
