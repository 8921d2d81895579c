package import EscapementModel

/// Puts the records of one lane's journal together into complete entries, for the recorder.
///
/// Parts wait for the last record of their entry; if another entry begins first, their writer died in
/// between and they count for nothing: the occurrences are settled again by whoever came after it. At least once, a
/// former owner of the lane may still write beside its successor: it ends nothing that the successor has begun.
package struct JournalAssembler: Equatable, Sendable {
    /// A complete entry.
    package struct Entry: Equatable, Sendable {
        package var laneEpoch: Epoch
        package var dispatcher: NodeID
        package var outcomes: [OutcomeRecord]
        /// The offset after the entry's last record.
        package var nextOffset: Int64
    }

    /// Outcomes of one entry, at most. A writer makes no larger ones; a damaged journal might.
    package static let outcomesMax = 16_384

    private var pending: [OutcomeRecord] = []
    private var pendingKey: (epoch: Epoch, sequence: UInt64)?
    private var pendingStart: Int64?
    /// Where reading has to begin again after a restart, so that no part is missed.
    package private(set) var resumeOffset: Int64

    package init(startingAt offset: Int64) { self.resumeOffset = offset }

    package static func == (left: JournalAssembler, right: JournalAssembler) -> Bool {
        left.pending == right.pending && left.pendingStart == right.pendingStart
            && left.resumeOffset == right.resumeOffset
    }

    /// Takes the next record; an entry when it is complete.
    package mutating func take(_ stored: StoredJournalRecord) -> Entry? {
        defer { self.resumeOffset = self.pendingStart ?? stored.offset + 1 }
        guard let record = stored.record else { return nil }
        switch record.body {
        case .barrier:
            if !self.isFormer(record) { self.forget() }
            return nil
        case .part(let outcomes):
            if self.isFormer(record) { return nil }
            if self.pendingKey.map({ $0 != (record.laneEpoch, record.sequence) }) ?? true { self.forget() }
            guard self.pending.count + outcomes.count <= Self.outcomesMax else {
                self.forget()
                return nil
            }
            self.pendingKey = (record.laneEpoch, record.sequence)
            self.pendingStart = self.pendingStart ?? stored.offset
            self.pending += outcomes
            return nil
        case .entry(_, let outcomes):
            let isContinued = self.pendingKey.map { $0 == (record.laneEpoch, record.sequence) } ?? false
            let all = isContinued ? self.pending + outcomes : outcomes
            if !self.isFormer(record) { self.forget() }
            return Entry(
                laneEpoch: record.laneEpoch, dispatcher: record.dispatcher, outcomes: all,
                nextOffset: stored.offset + 1)
        }
    }

    /// Whether it is of an owner before the one whose parts wait.
    private func isFormer(_ record: JournalRecord) -> Bool {
        self.pendingKey.map { record.laneEpoch < $0.epoch } ?? false
    }

    private mutating func forget() {
        self.pending = []
        self.pendingKey = nil
        self.pendingStart = nil
    }
}
