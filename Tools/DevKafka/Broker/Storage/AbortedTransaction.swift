/// A transaction that was aborted in one partition: readers of committed records skip what it wrote.
struct AbortedTransaction: Equatable {
    var producerID: Int64
    var firstOffset: Int64
    /// The offset of the abort marker.
    var lastOffset: Int64
}
