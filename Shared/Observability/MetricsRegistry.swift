import Synchronization

/// The metrics of one process, by name. Register at start-up, keep the handles, render on scrape.
///
/// Registering a name again with the same kind and labels gives the existing metric, so that a component
/// may exist twice. Registering takes a lock, incrementing never does.
package final class MetricsRegistry: Sendable {
    private struct Entry {
        var help: String
        var kind: MetricKind
        var labelNames: [String]
        var metric: any AnyObject & Sendable
        var collect: @Sendable () -> [(labels: [MetricLabel], value: MetricSnapshot.Value)]
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var collectors: [@Sendable () -> [MetricSnapshot]] = []
    }

    private let state = Mutex(State())

    package init() {}

    // MARK: Single series

    /// A counter without labels, at 0. Its name ends in `_total`.
    package func counter(_ name: String, _ help: String) -> Counter {
        self.counters(name, help, labels: []).series([])
    }

    /// A gauge without labels, at 0. The name ends in the base unit.
    package func gauge(_ name: String, _ help: String) -> Gauge {
        self.gauges(name, help, labels: []).series([])
    }

    /// A gauge whose value is asked for on every scrape; left out while `value` answers `nil`. `value`
    /// must not block.
    package func observedGauge(_ name: String, _ help: String, _ value: @escaping @Sendable () -> Double?) {
        Self.check(name, .gauge, [])
        self.addCollector {
            value().map { [MetricSnapshot(name: name, help: help, kind: .gauge, series: [([], .number($0))])] } ?? []
        }
    }

    /// A histogram without labels.
    package func histogram(_ name: String, _ help: String, buckets: HistogramBuckets) -> Histogram {
        self.histograms(name, help, labels: [], buckets: buckets).series([])
    }

    // MARK: One series per case of an enum

    /// Counters by the cases of an enum, all at 0 from now on.
    package func counters<Case: CaseIterable & RawRepresentable<String> & Hashable & Sendable>(
        _ name: String, _ help: String, label: String, by: Case.Type
    ) -> MetricSet<Case, Counter> {
        let family = self.counters(name, help, labels: [label])
        return MetricSet { family.series([$0.rawValue]) }
    }

    /// Gauges by the cases of an enum, all at 0 from now on.
    package func gauges<Case: CaseIterable & RawRepresentable<String> & Hashable & Sendable>(
        _ name: String, _ help: String, label: String, by: Case.Type
    ) -> MetricSet<Case, Gauge> {
        let family = self.gauges(name, help, labels: [label])
        return MetricSet { family.series([$0.rawValue]) }
    }

    /// Histograms by the cases of an enum.
    package func histograms<Case: CaseIterable & RawRepresentable<String> & Hashable & Sendable>(
        _ name: String, _ help: String, label: String, by: Case.Type, buckets: HistogramBuckets
    ) -> MetricSet<Case, Histogram> {
        let family = self.histograms(name, help, labels: [label], buckets: buckets)
        return MetricSet { family.series([$0.rawValue]) }
    }

    // MARK: Families

    /// - Parameter known: label values that exist at 0 from now on, one list for each series.
    package func counters(
        _ name: String, _ help: String, labels: [String], known: [[String]] = []
    ) -> MetricFamily<Counter> {
        let family = self.family(name, help, .counter, labels, make: { Counter() }) { .count($0.value) }
        for values in known { _ = family.series(values) }
        return family
    }

    package func gauges(_ name: String, _ help: String, labels: [String]) -> MetricFamily<Gauge> {
        self.family(name, help, .gauge, labels, make: { Gauge() }) { .number($0.value) }
    }

    package func histograms(
        _ name: String, _ help: String, labels: [String], buckets: HistogramBuckets
    ) -> MetricFamily<Histogram> {
        self.family(name, help, .histogram, labels, make: { Histogram(buckets) }) { histogram in
            let (counts, sum) = histogram.snapshot
            return .distribution(buckets: histogram.buckets, counts: counts, sum: sum)
        }
    }

    /// Adds a source of families that are computed on every scrape, in a thread of the scraper. It must
    /// neither block nor register metrics.
    package func addCollector(_ collect: @escaping @Sendable () -> [MetricSnapshot]) {
        self.state.withLock { $0.collectors.append(collect) }
    }

    /// Everything at this moment, sorted by name.
    package func snapshot() -> [MetricSnapshot] {
        let (entries, collectors) = self.state.withLock { ($0.entries, $0.collectors) }
        let own = entries.map { name, entry in
            MetricSnapshot(name: name, help: entry.help, kind: entry.kind, series: entry.collect())
        }
        return (own + collectors.flatMap { $0() }).sorted { $0.name < $1.name }
    }

    private func family<Metric: AnyObject & Sendable>(
        _ name: String, _ help: String, _ kind: MetricKind, _ labels: [String],
        make: @escaping @Sendable () -> Metric, read: @escaping @Sendable (Metric) -> MetricSnapshot.Value
    ) -> MetricFamily<Metric> {
        Self.check(name, kind, labels)
        return self.state.withLock { state in
            if let entry = state.entries[name] {
                guard entry.kind == kind, entry.labelNames == labels,
                    let family = entry.metric as? MetricFamily<Metric>
                else { preconditionFailure("metric \(name) is already registered with another kind or labels") }
                return family
            }
            let family = MetricFamily(labelNames: labels, make: make)
            state.entries[name] = Entry(
                help: help, kind: kind, labelNames: labels, metric: family,
                collect: { family.all.map { ($0.labels, read($0.metric)) } })
            return family
        }
    }

    /// Wrong names are bugs of the program: `promtool check metrics` would refuse them.
    private static func check(_ name: String, _ kind: MetricKind, _ labels: [String]) {
        precondition(Self.isName(name, colon: true), "'\(name)' is not a metric name")
        precondition(
            (kind == .counter) == name.hasSuffix("_total"), "'\(name)': counters, and only they, end in _total")
        for label in labels {
            precondition(Self.isName(label, colon: false) && label != "le", "'\(label)' is not a label name")
        }
    }

    private static func isName(_ name: String, colon: Bool) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            case UInt8(ascii: ":"): colon
            default: false
            }
        }
    }
}
