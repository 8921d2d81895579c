package import EscapementModel
package import JSON

/// The length of a bucket of a summary.
package struct ActivationInterval: Hashable, Sendable {
    /// From a second to 400 days.
    package static let bounds: ClosedRange<Duration> = .seconds(1)...(.seconds(400 * 86_400))
    /// Buckets of one summary at most, so that no question makes an answer of megabytes.
    package static let bucketsMax = 2000

    package let duration: Duration

    /// - Returns: `nil` outside `bounds` or with a fraction of a second.
    package init?(_ duration: Duration) {
        guard Self.bounds.contains(duration), duration.wholeMilliseconds % 1000 == 0 else { return nil }
        self.duration = duration
    }

    /// The interval as a whole number of seconds.
    package var seconds: Int64 { self.duration.wholeMilliseconds / 1000 }

    /// The beginning of the bucket that holds `instant`; buckets count from the Unix epoch.
    package func start(of instant: WallInstant) -> WallInstant {
        let length = self.duration.wholeMilliseconds
        let rest = instant.milliseconds % length
        return WallInstant(milliseconds: instant.milliseconds - (rest < 0 ? rest + length : rest))
    }
}

/// What happened within an interval.
package struct ActivationBucket: Equatable, Sendable {
    /// Lateness of what was dispatched, milliseconds.
    package struct Lateness: Equatable, Sendable {
        package var p50: Double
        package var p95: Double
        package var p99: Double
        package var max: Double

        package init(p50: Double, p95: Double, p99: Double, max: Double) {
            self.p50 = p50
            self.p95 = p95
            self.p99 = p99
            self.max = max
        }
    }

    package var start: WallInstant
    /// Occurrences by outcome; a record may stand for a run of skipped ones.
    package var outcomes: [String: Int64]
    /// `nil` when nothing was dispatched.
    package var lateness: Lateness?

    package init(start: WallInstant, outcomes: [String: Int64], lateness: Lateness?) {
        self.start = start
        self.outcomes = outcomes
        self.lateness = lateness
    }

    /// As the API shows it.
    package var document: JSONValue {
        .record([
            "start": .string(self.start.description),
            "count": .integer(self.outcomes.values.reduce(0, +)),
            "outcomes": .object(
                self.outcomes.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) }),
            "latenessMs": self.lateness.map {
                [
                    "p50": .decimal($0.p50), "p95": .decimal($0.p95), "p99": .decimal($0.p99),
                    "max": .decimal($0.max),
                ]
            },
        ])
    }
}

extension ActivationBucket {
    /// The summary of documents in memory: exact, by the nearest rank.
    package static func summary(of documents: [JSONValue], every interval: ActivationInterval) -> [ActivationBucket] {
        var buckets: [WallInstant: (outcomes: [String: Int64], lateness: [Int64])] = [:]
        for document in documents {
            guard let scheduled = document["scheduled_at"]?.stringValue.flatMap({ WallInstant(text: $0) }),
                let outcome = document["outcome"]?.stringValue
            else { continue }
            let start = interval.start(of: scheduled)
            buckets[start, default: ([:], [])].outcomes[outcome, default: 0] +=
                document["count"]?.integerValue ?? 1
            if let lateness = document["lateness_ms"]?.integerValue {
                buckets[start, default: ([:], [])].lateness.append(lateness)
            }
        }
        return buckets.sorted { $0.key < $1.key }.map { start, bucket in
            let sorted = bucket.lateness.sorted()
            func rank(_ share: Double) -> Double {
                Double(sorted[min(sorted.count - 1, max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1))])
            }
            return ActivationBucket(
                start: start, outcomes: bucket.outcomes,
                lateness: sorted.isEmpty
                    ? nil : Lateness(p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: rank(1)))
        }
    }
}
