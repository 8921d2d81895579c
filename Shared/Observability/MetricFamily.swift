import Synchronization

/// The kinds of Prometheus metrics we export.
package enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// One label of one series.
package struct MetricLabel: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What a family looks like at one moment; also what a collector hands in. A value without IO.
package struct MetricSnapshot: Sendable {
    package enum Value: Sendable {
        case count(UInt64)
        case number(Double)
        case distribution(buckets: HistogramBuckets, counts: [UInt64], sum: Double)
    }

    package var name: String
    package var help: String
    package var kind: MetricKind
    package var series: [(labels: [MetricLabel], value: Value)]

    package init(
        name: String, help: String, kind: MetricKind, series: [(labels: [MetricLabel], value: Value)]
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.series = series
    }
}

/// A labelled family of counters, gauges or histograms whose number of series is bounded.
///
/// `series(_:)` takes a lock: look a handle up once and keep it. Series beyond `seriesCountMax` share
/// one whose label values are all `other`: a mistake in labelling must not eat the memory of the
/// process or of Prometheus.
package final class MetricFamily<Metric: AnyObject & Sendable>: Sendable {
    /// How many label combinations one family may have before the rest is counted together.
    package static var seriesCountMax: Int { 200 }

    private let labelNames: [String]
    private let make: @Sendable () -> Metric
    private let byValues = Mutex<[[String]: Metric]>([:])

    init(labelNames: [String], make: @escaping @Sendable () -> Metric) {
        self.labelNames = labelNames
        self.make = make
    }

    /// The series with these label values, in the order of the label names; made when it is new.
    ///
    /// - Precondition: one value for each label.
    package func series(_ values: String...) -> Metric { self.series(values) }

    package func series(_ values: [String]) -> Metric {
        precondition(
            values.count == self.labelNames.count, "labels \(self.labelNames) cannot take \(values.count) values")
        return self.byValues.withLock { byValues in
            if let metric = byValues[values] { return metric }
            let key =
                byValues.count < Self.seriesCountMax ? values : Array(repeating: "other", count: values.count)
            if let metric = byValues[key] { return metric }
            let metric = self.make()
            byValues[key] = metric
            return metric
        }
    }

    /// Forgets a series, as when a member left; handles to it no longer show.
    package func remove(_ values: String...) {
        _ = self.byValues.withLock { $0.removeValue(forKey: values) }
    }

    /// All series, sorted by their label values.
    var all: [(labels: [MetricLabel], metric: Metric)] {
        self.byValues.withLock { $0 }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { values, metric in (zip(self.labelNames, values).map { MetricLabel($0, $1) }, metric) }
    }
}

/// One metric for each case of an enum, found without a lock; all exist, at zero, from the start.
package struct MetricSet<Case: CaseIterable & Hashable & Sendable, Metric: AnyObject & Sendable>: Sendable {
    private let metrics: [Case: Metric]

    init(_ make: (Case) -> Metric) {
        self.metrics = Dictionary(uniqueKeysWithValues: Case.allCases.map { ($0, make($0)) })
    }

    package subscript(value: Case) -> Metric {
        guard let metric = self.metrics[value] else {
            preconditionFailure("allCases of \(Case.self) lacks \(value)")
        }
        return metric
    }
}
