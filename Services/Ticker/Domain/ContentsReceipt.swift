/// How much of the contents of shards was taken on the present link to the leader, and when to say so.
///
/// Bytes are said in steps of `sayEvery`, which is less than the leader sends ahead, so it never waits for a word that
/// does not come.
package struct ContentsReceipt: Equatable, Sendable {
    package static let sayEvery: UInt64 = 256 * 1024

    private var taken: UInt64 = 0
    private var said: UInt64 = 0

    package init() {}

    /// So many bytes were taken; the sum so far when it is to be said.
    package mutating func took(_ bytes: Int) -> UInt64? {
        self.taken += UInt64(bytes)
        guard self.taken - self.said >= Self.sayEvery else { return nil }
        self.said = self.taken
        return self.taken
    }
}
