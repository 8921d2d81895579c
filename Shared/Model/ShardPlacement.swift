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

    /// The uid of a new timer: 16 bits of shard, then 112 random bits, so the shard can be read back
    /// from the id alone.
    package static func timerUID(shard: ShardID, using generator: inout some RandomNumberGenerator) -> UID {
        var uid = UID.random(using: &generator)
        uid.high = uid.high & 0x0000_ffff_ffff_ffff | UInt64(shard.rawValue) << 48
        return uid
    }

    /// The shard that a timer's uid carries.
    package static func shard(ofTimer uid: UID) -> ShardID { ShardID(UInt16(uid.high >> 48)) }
}
