import NIOCore

/// How many bytes of a topic's records go to Kafka at once, as far as refusals have shown.
///
/// Brokers judge batches, and a client makes one of records that it gets together: one record that is too large, or several
/// that are too large together, has all of them refused. Only of a record that was refused alone is it known that Kafka
/// never takes it.
package struct BatchSizes: Sendable {
    /// Topics remembered; beyond that the memory starts anew.
    private static let topicsMax = 1000
    /// What a record takes beside its key, headers and value, about.
    private static let recordOverhead = 32

    /// Transactions that one publish repeats until all that is refused counts as refused for its own sake: the lane shall
    /// not stand for ever.
    private static let repetitionsMax = 40

    /// Topics that nothing is known of are not bounded.
    private var bytesMax: [String: Int] = [:]
    /// The smallest records of topics that were refused alone: in this publish, as an operator may allow more at any time.
    private var tooLarge: [String: Int] = [:]
    private var repetitions = 0

    package init() {}

    /// Takes over what another has learnt for good.
    package mutating func merge(_ other: BatchSizes) {
        self.bytesMax.merge(other.bytesMax, uniquingKeysWith: min)
    }

    /// The records in the groups in which they are to be sent, one after the other. A record that is larger than its topic's
    /// bound is alone.
    func groups(_ records: [OutgoingRecord]) -> [Range<Int>] {
        if records.isEmpty { return [] }
        if self.bytesMax.isEmpty { return [records.indices] }
        var groups: [Range<Int>] = []
        var start = 0
        var bytes: [String: Int] = [:]
        for (index, record) in records.enumerated() {
            guard let max = self.bytesMax[record.topic] else { continue }
            let size = Self.size(record)
            if let before = bytes[record.topic], before + size > max {
                groups.append(start..<index)
                start = index
                bytes = [:]
            }
            bytes[record.topic, default: 0] += size
        }
        groups.append(start..<records.count)
        return groups
    }

    /// Which of the records that were sent together may have been refused for the sake of others; from now on fewer of
    /// them go together.
    mutating func undecided(_ records: [OutgoingRecord], _ deliveries: [RecordDelivery]) -> [Int] {
        var refused: [String: [Int]] = [:]
        for (index, delivery) in deliveries.enumerated() {
            switch delivery {
            case .refused(.tooLarge, _), .refused(.invalid, _):
                refused[records[index].topic, default: []].append(index)
            case .delivered, .refused, .unavailable, .fenced: continue
            }
        }
        var undecided: [Int] = []
        for (topic, indices) in refused {
            guard indices.count > 1 else {
                if let index = indices.first, case .refused(.tooLarge, _) = deliveries[index] {
                    self.tooLarge[topic] = min(self.tooLarge[topic] ?? .max, Self.size(records[index]))
                }
                continue
            }
            if self.repetitions == Self.repetitionsMax { continue }
            if self.bytesMax.count >= Self.topicsMax { self.bytesMax = [:] }
            // At least two of them are in different groups the next time.
            self.bytesMax[topic] = indices.reduce(0) { $0 + Self.size(records[$1]) } / 2
            undecided += indices
        }
        return undecided.sorted()
    }

    /// The refusal of a record that is as large as one that was refused alone in this publish: many such ones would take
    /// an attempt each.
    func refusal(_ record: OutgoingRecord) -> RecordDelivery? {
        guard let bytes = self.tooLarge[record.topic], Self.size(record) >= bytes else { return nil }
        return .refused(.tooLarge, detail: "as large as a record that the topic did not take")
    }

    /// Sends the records in a transaction; `nil` when some were refused that may be taken when they are sent again, which
    /// takes another transaction.
    mutating func produce(
        _ records: [OutgoingRecord], in session: any TransactionSession
    ) async -> [RecordDelivery]? {
        if self.bytesMax.isEmpty, self.tooLarge.isEmpty {
            let reports = records.isEmpty ? [] : await session.produce(records)
            return self.mustRepeat(records, reports) ? nil : reports
        }
        var deliveries = records.map { self.refusal($0) }
        let open = records.indices.filter { deliveries[$0] == nil }
        let sending = open.count == records.count ? records : open.map { records[$0] }
        for group in self.groups(sending) {
            let part = group == sending.indices ? sending : Array(sending[group])
            let reports = await session.produce(part)
            if self.mustRepeat(part, reports) { return nil }
            for (index, report) in zip(open[group], reports) { deliveries[index] = report }
        }
        return deliveries.compactMap { $0 }
    }

    private mutating func mustRepeat(_ records: [OutgoingRecord], _ reports: [RecordDelivery]) -> Bool {
        if self.undecided(records, reports).isEmpty { return false }
        self.repetitions += 1
        return true
    }

    private static func size(_ record: OutgoingRecord) -> Int {
        self.recordOverhead + record.head.byteCount + record.value.readableBytes
    }
}

/// Sends records without transactions until each is taken, or refused for its own sake.
package struct DecidingProducer: Sendable {
    private let send: @Sendable ([OutgoingRecord], @Sendable () -> Void) async -> [RecordDelivery]

    package init(
        _ send: @escaping @Sendable ([OutgoingRecord], @Sendable () -> Void) async -> [RecordDelivery]
    ) { self.send = send }

    /// One report for each record, in order. Records that were refused together come again behind those that were taken.
    package func produce(
        _ records: [OutgoingRecord], sizes: inout BatchSizes, handedOver: @Sendable () -> Void
    ) async -> [RecordDelivery] {
        var deliveries: [RecordDelivery]
        var left: [Int]
        var isFirst = sizes.groups(records).count > 1
        if isFirst {
            deliveries = Array(repeating: .unavailable("not sent"), count: records.count)
            left = Array(records.indices)
        } else {
            deliveries = await self.send(records, handedOver)
            left = sizes.undecided(records, deliveries)
        }
        while !left.isEmpty {
            left.removeAll { index in
                guard let refusal = sizes.refusal(records[index]) else { return false }
                deliveries[index] = refusal
                return true
            }
            let sending = left.count == records.count ? records : left.map { records[$0] }
            var undecided: [Int] = []
            for group in sizes.groups(sending) {
                let part = group == sending.indices ? sending : Array(sending[group])
                // Later records come behind these once the last of them are handed over.
                let isLast = group.upperBound == sending.count && isFirst
                let reports = isLast ? await self.send(part, handedOver) : await self.send(part, {})
                for (place, report) in zip(left[group], reports) { deliveries[place] = report }
                undecided += sizes.undecided(part, reports).map { left[group.lowerBound + $0] }
            }
            isFirst = false
            left = undecided
        }
        return deliveries
    }
}
