/// Finds out, over the attempts of one publish, whether a topic is away or Kafka as a whole. Only the former diverts its
/// records; while Kafka is away they are tried again, in order, and the lane takes nothing more: the schedule is the queue.
///
/// A topic is away when Kafka itself says so, or when its records were not taken in two attempts running while in the
/// second one others were.
struct Diversion {
    /// Topics whose records go where they wait.
    private(set) var topics: Set<String> = []
    /// Not taken in the last attempt.
    private(set) var suspects: Set<String> = []

    /// An attempt ended.
    ///
    /// - Parameters:
    ///   - failed: topics of which a record was not taken, for a reason that may pass.
    ///   - didElsewhere: whether a record of another topic was taken.
    ///   - didDivertFail: whether a record was not taken where it would wait.
    mutating func attempted(failed: Set<String>, didElsewhere: Bool, didDivertFail: Bool) {
        if didDivertFail {
            // Where they would wait is away too: it is Kafka itself, and no topic in particular.
            self.topics = []
            self.suspects = failed
            return
        }
        if didElsewhere { self.topics.formUnion(failed.intersection(self.suspects)) }
        self.suspects = failed.subtracting(self.topics)
    }

    /// Kafka says that it cannot write to these.
    mutating func declared(_ away: Set<String>) {
        self.topics.formUnion(away)
        self.suspects.subtract(away)
    }
}
