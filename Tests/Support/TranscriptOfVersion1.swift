/// What the first version of the protocol looked like on the wire, frame by frame, as hexadecimal digits.
///
/// Recorded once and never changed: a build that does not understand these bytes, or that expects an answer to what only
/// a later version says, cannot be rolled out beside that version.
package enum TranscriptOfVersion1 {
    /// A ticker of a cluster `test` with 8 shards and 2 lanes, at 2027-01-15T08:00:00Z.
    package enum Ticker {
        package static let hello =
            "000000380001000000000000080110011a047465737422100000000000000007000000000000000130083802"
            + "4205302e312e3050645880c0e285e368"
        package static let heartbeat =
            "0000000f01010000000000000880c0e285e368"
        package static let holdings =
            "0000007501010000000000000880c0e285e368120910011880c0e285e368120b080110011880c0e285e36812"
            + "0b080210011880c0e285e368120b080310011880c0e285e368120b080410011880c0e285e368120b08051001"
            + "1880c0e285e368120b080610011880c0e285e368120b080710011880c0e285e368"
        package static let snapshotRequest =
            "0000001b030100000000000010011a080a0208001202080020c0aed086e368"
    }

    /// The leader of the same cluster, under epoch 1; the shard is 3, with one timer due after 1.5 s.
    package enum Leader {
        package static let helloAck =
            "0000002c0002000000000000080112100000000000000002000000000000000218012205302e312e302880c0" + "e285e368"
        package static let shardAssign =
            "0000000e0201000000000000080110031801"
        package static let snapshotPage =
            "000000390302000000000000080310011801222712250a1000000000000000090000000000000001100118b8"
            + "d7e285e36832086f6e652073686f742801"
        package static let shardRevoke =
            "0000000e0202000000000000080110031801"
    }

    /// Between a ticker that owns shard 3 and the dispatcher of lane 1, and between that and the leader.
    package enum Lane {
        package static let open =
            "0000000c040100000000000008031001"
        package static let opened =
            "0000004d0402000000000000080310011a380a1908d0cfe285e3681210ffffffffffffffffffffffffffffff"
            + "ff121908d0cfe285e3681210ffffffffffffffffffffffffffffffff180120042880808002"
        package static let fireBatch =
            "000000e70403000000000000080310011a380a1908d0cfe285e3681210ffffffffffffffffffffffffffffff"
            + "ff121908d0cfe285e3681210ffffffffffffffffffffffffffffffff180122380a1908b8d7e285e3681210ff"
            + "ffffffffffffffffffffffffffffff121908b8d7e285e3681210000000000000000900000000000000011802"
            + "2a2b0804121000000000000000090000000000000001180120b8d7e285e368300138015a086f6e652073686f"
            + "742a380801121000000000000000050000000000000001180220d0cfe285e36828b8d7e285e3683002380c40"
            + "0348e0d2e285e3685a056576657279"
        package static let fireAck =
            "000000460404000000000000080310011a380a1908b8d7e285e3681210ffffffffffffffffffffffffffffff"
            + "ff121908b8d7e285e3681210000000000000000900000000000000011802"
        package static let fireRefused =
            "00000023040500000000000008031001180120022a116f70656e656420627920616e6f74686572"
        package static let laneAssign =
            "0000000e0204000000000000080110011802"
        package static let laneRevoke =
            "0000000e0205000000000000080110011802"
        package static let laneReleased =
            "0000000e0206000000000000080110011802"
        package static let laneView =
            "000000450103000000000000080110071a37080110021a0c646973706174636865722d312210000000000000"
            + "000000000000000000082a11646973706174636865722d313a37343030"
        package static let shardView =
            "000000240104000000000000080110071a16080310011a1000000000000000000000000000000007"
    }
}
