package import EscapementModel

/// What a queue of deliveries holds and says.
extension DeliveryQueue {
    /// A fire as it lies in the partition.
    package struct Parked: Sendable {
        package var offset: Int64
        /// Whom it goes to: hosts delay only their own fires.
        package var host: String
        /// No attempt before.
        package var notBefore: WallInstant
        /// After this it ends without an attempt.
        package var endsAt: WallInstant
        package var byteCount: Int
        /// `nil`: nobody can tell what it is.
        package var fire: Fire?

        package init(
            offset: Int64, host: String, notBefore: WallInstant, endsAt: WallInstant = .distantFuture, byteCount: Int,
            fire: Fire?
        ) {
            self.offset = offset
            self.host = host
            self.notBefore = notBefore
            self.endsAt = endsAt
            self.byteCount = byteCount
            self.fire = fire
        }
    }

    package struct Limits: Sendable {
        /// In memory.
        package var fireCountMax = 4096
        package var byteCountMax = 8 << 20
        package var hostFireCountMax = 256
        /// Hosts of which fires are left; of more the partition is read again.
        package var hostCountMax = 1024
        /// Ends that wait for their round; with more no request begins.
        package var decidedCountMax = 256
        /// With more stretches the fires before them are written again behind all others: a journal entry names them all.
        package var stretchCountMax = 1024
        /// Fires that are known without a read, until one follows that learns what lies between.
        package var unreadCountMax = 256
        /// The same follows after so long.
        package var unreadFor = Duration.seconds(30)

        package init() {}
    }

    /// A read of the partition.
    package struct ReadOrder: Hashable, Sendable {
        package var from: Int64
        /// Whose fires are looked for; `nil` for those of all.
        var hosts: Set<String>?
    }

    package enum Step: Sendable {
        /// Make an attempt; `finished` follows. The fire is `nil` when nobody can tell what it is. Without a place the time
        /// of the fire is over, and no request is made.
        case deliver(offset: Int64, host: String, fire: Fire?, hasPlace: Bool)
        /// Write the fire again as it is; it counts as finished.
        case move(offset: Int64, fire: Fire)
        /// Read; `read` or `readFailed` follows.
        case read(ReadOrder)
    }
}
