/// The identity of one occurrence and of its record: 32 lower-case hexadecimal digits in text.
///
/// Derived, so that every retry and every replay carries the same one: the first 128 bits of
/// SHA-256 over `"esc1"`, the cluster's name, the kind, the schedule's uid and the scheduled time in
/// microseconds. The fields are separated, so no two different occurrences share an input.
package struct ActivationID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var uid: UID
    package init(_ uid: UID) { self.uid = uid }

    /// - Parameter sha256: gives the same for every process; some are faster.
    package init(
        cluster: String, kind: FireKind, uid: UID, scheduledTime: WallInstant, sha256: SHA256Function = .plain
    ) {
        var cluster = cluster
        self.uid = cluster.withUTF8 { cluster in
            withUnsafeTemporaryAllocation(byteCount: 30 + cluster.count, alignment: 1) { message in
                message.storeBytes(of: (0x65736331 as UInt32).bigEndian, as: UInt32.self)
                UnsafeMutableRawBufferPointer(rebasing: message[4...]).copyBytes(from: cluster)
                let end = 4 + cluster.count
                message[end] = 0
                message[end + 1] = kind.rawValue
                func store(_ number: UInt64, at place: Int) {
                    message.storeBytes(of: number.bigEndian, toByteOffset: end + place, as: UInt64.self)
                }
                store(uid.high, at: 2)
                store(uid.low, at: 10)
                store(UInt64(bitPattern: scheduledTime.milliseconds &* 1000), at: 18)
                return sha256.digest(UnsafeRawBufferPointer(message)).high
            }
        }
    }

    package static func < (left: ActivationID, right: ActivationID) -> Bool { left.uid < right.uid }
    package var description: String { self.uid.hex }

    /// Bytes of `description`.
    package static let textCount = 32

    /// Writes the bytes of `description`, without allocating.
    ///
    /// - Precondition: `memory` has room for `textCount` bytes.
    package func writeText(to memory: UnsafeMutableRawPointer) {
        self.uid.writeHex(
            into: UnsafeMutableBufferPointer(start: memory.assumingMemoryBound(to: UInt8.self), count: Self.textCount))
    }
}
