/// The identity of one occurrence and of its record: 32 lower-case hexadecimal digits in text.
///
/// Derived, so that every retry and every replay carries the same one: the first 128 bits of
/// SHA-256 over `"esc1"`, the cluster's name, the kind, the schedule's uid and the scheduled time in
/// microseconds. The fields are separated, so no two different occurrences share an input.
package struct ActivationID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var uid: UID
    package init(_ uid: UID) { self.uid = uid }

    package init(cluster: String, kind: FireKind, uid: UID, scheduledTime: WallInstant) {
        var hash = SHA256()
        hash.update("esc1".utf8)
        hash.update(cluster.utf8)
        hash.update(0)
        hash.update(kind.rawValue)
        hash.update(bigEndian: uid.high)
        hash.update(bigEndian: uid.low)
        hash.update(bigEndian: UInt64(bitPattern: scheduledTime.milliseconds &* 1000))
        self.uid = hash.finishUID()
    }

    package static func < (left: ActivationID, right: ActivationID) -> Bool { left.uid < right.uid }
    package var description: String { self.uid.hex }

    /// Appends the 32 bytes of `description` to `buffer`.
    package func appendText(to buffer: inout [UInt8]) {
        func append(_ half: UInt64) {
            for shift in stride(from: 60, through: 0, by: -4) {
                buffer.append(Hexadecimal.digit(UInt8(truncatingIfNeeded: half >> UInt64(shift)) & 15))
            }
        }
        append(self.uid.high)
        append(self.uid.low)
    }
}
