/// Whether the other end of a quiet link is still there: a path that is cut says nothing, and TCP alone would notice
/// after minutes.
///
/// The shell calls `beat` every `every`. Silent rounds are counted, not time, so that a process that was itself stopped
/// for a while does not take all its peers for dead.
package struct LinkProbing: Equatable, Sendable {
    package enum Step: Equatable, Sendable {
        case nothing
        case probe
        /// The peer has left `unansweredMax` probes unanswered.
        case giveUp
    }

    /// Time between two beats.
    package static let every = Duration.milliseconds(500)
    /// Probes without an answer; with `every`, a cut is noticed within three and a half seconds.
    package static let unansweredMax = 5

    private var hasHeard = true
    private var unanswered = 0

    package init() {}

    /// Anything came from the other end.
    package mutating func heard() {
        self.hasHeard = true
        self.unanswered = 0
    }

    package mutating func beat() -> Step {
        defer { self.hasHeard = false }
        if self.hasHeard { return .nothing }
        guard self.unanswered < Self.unansweredMax else { return .giveUp }
        self.unanswered += 1
        return .probe
    }
}
