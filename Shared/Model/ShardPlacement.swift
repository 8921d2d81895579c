/// Which shard a schedule or timer belongs to. Fixed for the life of a cluster.
package enum ShardPlacement {
    /// `hash(namespace, name) mod shardCount`: FNV-1a over `namespace 0x00 name`, finished with the
    /// 64-bit mixer of MurmurHash3 so that similar names spread.
    package static func shard(namespace: String, name: String, shardCount: Int) -> ShardID {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in namespace.utf8 { add(byte) }
        add(0)
        for byte in name.utf8 { add(byte) }
        hash = (hash ^ hash >> 33) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ hash >> 33) &* 0xc4ce_b9fe_1a85_ec53
        hash ^= hash >> 33
        return ShardID(UInt16(hash % UInt64(shardCount)))
    }

    /// The uid of a new timer: 16 bits of shard, so that it can be read back from the id alone, 2 of priority, and the last
    /// 110 of `drawn`.
    package static func timerUID(shard: ShardID, priority: Priority, drawn: UID) -> UID {
        var uid = priority.inTimer(drawn)
        uid.high = uid.high & 0x0000_ffff_ffff_ffff | UInt64(shard.rawValue) << 48
        return uid
    }

    /// As above, drawn from `generator`.
    package static func timerUID(
        shard: ShardID, priority: Priority = .normal, using generator: inout some RandomNumberGenerator
    ) -> UID {
        self.timerUID(shard: shard, priority: priority, drawn: UID.random(using: &generator))
    }

    /// The uid of a new schedule: 2 bits of priority, and the last 126 of `drawn`.
    package static func scheduleUID(priority: Priority, drawn: UID) -> UID { priority.inSchedule(drawn) }

    /// The shard that a timer's uid carries.
    package static func shard(ofTimer uid: UID) -> ShardID { ShardID(UInt16(uid.high >> 48)) }
}
