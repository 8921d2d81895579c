import EscapementModel
package import Observability

/// The dispatcher's metrics; every series that can exist is there, at zero, from the start.
package struct DispatcherMetrics: Sendable {
    private let fires: [Key: Counter]
    private let skipped: [SkipKey: Counter]
    private let lateness: [FireKind: Histogram]
    package let attempts: Counter
    private let errors: MetricFamily<Counter>
    package let inFlight: Gauge
    package let queueDepth: Gauge
    package let clockOffset: Gauge
    package let publishDuration: Histogram
    private let deadLetters: [Reason: Counter]
    package let webWithoutRule: Counter
    package let documentsStored: Counter
    package let documentsKnown: Counter
    package let documentsRefused: Counter
    package let documentsPending: Gauge
    package let dropped: Counter
    private let registry: MetricsRegistry
    package let lanesOwned: Gauge
    package let lanesHalted: Gauge
    private let refusals: MetricFamily<Counter>
    package let unreadableJournalRecords: Counter
    package let parkedLost: Counter
    package let laneTakeovers: Histogram
    package let producersRecycled: Counter
    private let canaryLastFire: Gauge
    private let canaryLateness: Gauge

    private struct Key: Hashable {
        var kind: FireKind
        var outcome: Outcome
    }

    private struct SkipKey: Hashable {
        var kind: FireKind
        var reason: Reason
    }

    /// The reasons that end a due instant in the journal without a fire and without a failure.
    private static let skipReasons: [Reason] = [.coalesced, .catchupWindow, .catchupLimit, .expired, .quota]

    package init(_ registry: MetricsRegistry) {
        self.registry = registry
        let fires = registry.counters(
            "escapement_fires_total", "Final outcomes of due instants.", labels: ["kind", "outcome"])
        var byKey: [Key: Counter] = [:]
        for kind in FireKind.allCases {
            for outcome in Outcome.allCases {
                byKey[Key(kind: kind, outcome: outcome)] = fires.series(kind.name, outcome.name)
            }
        }
        self.fires = byKey
        let skipped = registry.counters(
            "escapement_fires_skipped_total", "Due instants that were not fired, by reason.",
            labels: ["kind", "reason"])
        var bySkip: [SkipKey: Counter] = [:]
        for kind in FireKind.allCases {
            for reason in Self.skipReasons {
                bySkip[SkipKey(kind: kind, reason: reason)] = skipped.series(kind.name, reason.code)
            }
        }
        self.skipped = bySkip
        let lateness = registry.histograms(
            "escapement_fire_lateness_seconds", "Due instant to acknowledgement by Kafka.", labels: ["kind"],
            buckets: .lateness)
        self.lateness = Dictionary(uniqueKeysWithValues: FireKind.allCases.map { ($0, lateness.series($0.name)) })
        self.attempts = registry.counters(
            "escapement_dispatch_attempts_total", "Records handed to Kafka.", labels: ["topic_class"]
        ).series("fires")
        self.errors = registry.counters(
            "escapement_dispatch_errors_total", "Publishing that failed, by class of error.", labels: ["error"])
        for name in ["unavailable", "refused", "fenced", "journal", "dead_letter_lost"] { _ = self.errors.series(name) }
        self.inFlight = registry.gauge("escapement_dispatch_inflight", "Fires handed to Kafka and not settled.")
        self.queueDepth = registry.gauge("escapement_dispatch_queue_depth", "Batches that wait for a publish.")
        self.clockOffset = registry.gauge(
            "escapement_clock_offset_seconds", "The clock here minus the leader's, at its last answer.")
        self.publishDuration = registry.histogram(
            "escapement_dispatch_duration_seconds", "One publish of a lane: fires, then journal.", buckets: .duration)
        let deadLetters = registry.counters(
            "escapement_dead_letters_total", "Fires that could not be delivered.", labels: ["reason"])
        self.deadLetters = Dictionary(
            uniqueKeysWithValues: [
                Reason.payloadTooLarge, .topicNotAllowed, .topicMissing, .invalidTemplate, .targetRefused,
                .credentialsMissing, .retriesExhausted,
            ].map {
                ($0, deadLetters.series($0.code))
            })
        self.webWithoutRule = registry.counter(
            "escapement_http_no_rule_total",
            "Answers of OpenWhisk that a trigger has no active rule: delivered, and nothing ran.")
        let writes = registry.counters(
            "escapement_activation_writes_total", "Activation documents by result.", labels: ["outcome"])
        self.documentsStored = writes.series("stored")
        self.documentsKnown = writes.series("duplicate")
        self.documentsRefused = writes.series("refused")
        self.documentsPending = registry.gauge(
            "escapement_activation_pending", "Activation documents read from the journal and not stored yet.")
        self.dropped = registry.counters(
            "escapement_activation_dropped_total", "Journal records that were gone before they were recorded.",
            labels: ["reason"]
        ).series("retention")
        self.lanesOwned = registry.gauge("escapement_lanes_owned", "Lanes that this dispatcher publishes.")
        self.lanesHalted = registry.gauge(
            "escapement_lanes_halted", "Lanes that publish nothing, because Kafka has lost what it acknowledged.")
        self.refusals = registry.counters(
            "escapement_fire_refusals_total", "Opens and batches of tickers that were refused.", labels: ["code"])
        for name in ["staleEpoch", "notLaneOwner", "cursorMismatch", "aheadOfClock", "overCredit", "notShardOwner"] {
            _ = self.refusals.series(name)
        }
        self.unreadableJournalRecords = registry.counter(
            "escapement_journal_unreadable_records_total", "Journal records that this build cannot read.")
        self.parkedLost = registry.counter(
            "escapement_parked_offsets_lost_total",
            "Offsets of parked fires that were gone from Kafka before the fires came to an end.")
        self.laneTakeovers = registry.histogram(
            "escapement_lane_takeover_duration_seconds", "Assignment of a lane to its first publish.",
            buckets: .duration)
        self.canaryLastFire = registry.gauge(
            "escapement_canary_last_fire_timestamp_seconds",
            "When the schedule 'canary' of the namespace 'escapement' fired last.")
        self.canaryLateness = registry.gauge(
            "escapement_canary_lateness_seconds", "Due instant to acknowledgement by Kafka, of that fire.")
        self.producersRecycled = registry.counter(
            "escapement_producers_recycled_total", "Transactional producers replaced after a doubt.")
    }

    /// Shows how old the oldest document is that waits, asked on every scrape: while the store takes nothing, nobody would
    /// set it.
    package func observeOldestPending(_ age: @escaping @Sendable () -> Duration) {
        self.registry.observedGauge("escapement_activation_oldest_pending_seconds", "Age of the oldest of them.") {
            age() / .seconds(1)
        }
    }

    /// The schedule that proves that fires go all the way round, when an operator has made it.
    package static let canaryNamespace = "escapement"
    package static let canaryName = "canary"

    /// Counts what a round settled. Neighbours that are alike are counted together: mostly all of them are.
    package func settled(_ settlement: Settlement) {
        let fires = settlement.fires
        var start = 0
        while start < fires.count {
            let first = fires[start]
            var end = start
            var count: UInt64 = 0
            while end < fires.count, fires[end].kind == first.kind, fires[end].outcome == first.outcome,
                fires[end].reason == first.reason
            {
                count += UInt64(fires[end].count)
                end += 1
            }
            self.fires[Key(kind: first.kind, outcome: first.outcome)]?.increment(by: count)
            switch first.outcome {
            case .dispatched:
                self.observeLateness(of: fires[start..<end], settledAt: settlement.settledAt, self.lateness[first.kind])
            case .skipped: self.skipped[SkipKey(kind: first.kind, reason: first.reason)]?.increment(by: count)
            case .failed:
                self.deadLetters[first.reason]?.increment(by: end - start)
                self.errors.series("refused").increment(by: end - start)
            }
            start = end
        }
    }

    private func observeLateness(
        of fires: ArraySlice<Settlement.Fire>, settledAt: WallInstant, _ histogram: Histogram?
    ) {
        var milliseconds: Int64 = 0
        var count = 0
        for fire in fires {
            // A ticker may say anything of the due instant.
            let (difference, isOver) = settledAt.milliseconds.subtractingReportingOverflow(fire.due.milliseconds)
            let lateness = isOver ? .max : max(0, difference)
            if lateness != milliseconds {
                histogram?.observe(Double(milliseconds) / 1000, count: count)
                milliseconds = lateness
                count = 0
            }
            count += 1
            if fire.isCanary {
                self.canaryLastFire.set(Double(settledAt.milliseconds) / 1000)
                self.canaryLateness.set(Double(lateness) / 1000)
            }
        }
        histogram?.observe(Double(milliseconds) / 1000, count: count)
    }

    /// Dead letters that will never be written.
    package var lostLetters: UInt64 { self.errors.series("dead_letter_lost").value }

    /// `unavailable`, `refused`, `fenced`, `journal` or `dead_letter_lost`.
    package func error(_ name: String) { self.errors.series(name).increment() }

    package func refused(_ code: String) { self.refusals.series(code).increment() }
}
