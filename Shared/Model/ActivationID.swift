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
                var count = 0
                func append(_ bytes: UnsafeRawBufferPointer) {
                    UnsafeMutableRawBufferPointer(rebasing: message[count...]).copyMemory(from: bytes)
                    count += bytes.count
                }
                func append(_ number: UInt64) { withUnsafeBytes(of: number.bigEndian) { append($0) } }
                withUnsafeBytes(of: (0x65736331 as UInt32).bigEndian) { append($0) }
                append(UnsafeRawBufferPointer(cluster))
                message[count] = 0
                message[count + 1] = kind.rawValue
                count += 2
                append(uid.high)
                append(uid.low)
                append(UInt64(bitPattern: scheduledTime.milliseconds &* 1000))
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
