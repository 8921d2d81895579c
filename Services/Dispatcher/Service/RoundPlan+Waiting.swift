package import DispatcherDomain
import EscapementModel

extension RoundPlan {
    /// Fires of the line that waits for topics, taken up by a round: a stretch of the line.
    package struct Resumed: Sendable {
        package struct Fire: Sendable {
            package var offset: Int64
            package var topic: String
            package var fire: ParkedFire
            /// Why it is not sent but given up.
            package var failure: FormatError?

            package init(offset: Int64, topic: String, fire: ParkedFire, failure: FormatError? = nil) {
                self.offset = offset
                self.topic = topic
                self.fire = fire
                self.failure = failure
            }
        }

        package var fires: [Fire]
        /// Of the stretch, what waits on.
        package var left: [(offset: Int64, topic: String)]
        /// Of the stretch, what nobody can read.
        package var dropped: [Int64]
        package var stretch: Range<Int64>
        /// Nothing lay behind the stretch when it was read.
        package var isEnd: Bool
        package var pass: WaitingPass

        package init(
            fires: [Fire], left: [(offset: Int64, topic: String)] = [], dropped: [Int64] = [],
            stretch: Range<Int64>, isEnd: Bool, pass: WaitingPass
        ) {
            self.fires = fires
            self.left = left
            self.dropped = dropped
            self.stretch = stretch
            self.isEnd = isEnd
            self.pass = pass
        }

        /// Whether no fire of `topic` waits behind this any more, if all of it is taken.
        func drains(_ topic: String, of line: WaitingLine) -> Bool {
            guard let last = line.last[topic], self.isEnd || last < self.stretch.upperBound else { return false }
            return topic.isEmpty
                ? !self.pass.hasLeft && self.left.isEmpty
                : !self.pass.left.contains(topic) && !self.left.contains { $0.topic == topic }
        }
    }

    /// Where the lane stands in what it has parked.
    package struct Parked: Sendable {
        /// What is settled of its fires for HTTP targets, those of this round included.
        package var deliveries: SettledOffsets
        package var line: WaitingLine
        /// Whether a fire has joined the line since the stretch that is taken up was read.
        package var hasGrown = false

        package init(deliveries: SettledOffsets = SettledOffsets(), line: WaitingLine = WaitingLine()) {
            self.deliveries = deliveries
            self.line = line
        }
    }
}
