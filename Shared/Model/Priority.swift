/// Which of the fires that are due at the same millisecond leave first.
///
/// It is written into the uid of a schedule or timer when that is made, so that the order by uid, in which a shard settles
/// what is due together, is the order by priority and uid; and so it stays what it is for as long as the uid lives.
package enum Priority: UInt8, CaseIterable, Comparable, Sendable {
    case high = 0
    case normal = 1
    case low = 2

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// As documents say it.
    package var word: String {
        switch self {
        case .high: "high"
        case .normal: "normal"
        case .low: "low"
        }
    }

    package init?(word: String) {
        guard let found = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = found
    }

    /// Where the two bits are: at the top of a schedule's uid, below the shard in a timer's.
    private static let scheduleShift: UInt64 = 62
    private static let timerShift: UInt64 = 46

    /// The two bits of the uid of a schedule. Those of a uid that was drawn before there were priorities are anything.
    package static func rank(ofSchedule uid: UID) -> UInt64 { uid.high >> self.scheduleShift }
    /// The two bits of the uid of a timer.
    package static func rank(ofTimer uid: UID) -> UInt64 { uid.high >> self.timerShift & 3 }

    /// `uid` with the bits of a schedule of this priority.
    func inSchedule(_ uid: UID) -> UID { self.written(into: uid, at: Self.scheduleShift) }
    /// `uid` with the bits of a timer of this priority.
    func inTimer(_ uid: UID) -> UID { self.written(into: uid, at: Self.timerShift) }

    private func written(into uid: UID, at shift: UInt64) -> UID {
        UID(high: uid.high & ~(3 << shift) | UInt64(self.rawValue) << shift, low: uid.low)
    }
}
