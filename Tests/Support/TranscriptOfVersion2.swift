/// What version 2 of the protocol said that version 1 did not, frame by frame, as hexadecimal digits; everything else it
/// said as version 1 did. Recorded once and never changed; see `TranscriptOfVersion1`.
package enum TranscriptOfVersion2 {
    /// The same ticker, of a build that speaks versions 1 and 2.
    package enum Ticker {
        package static let hello =
            "000000380001000000000000080110021a047465737422100000000000000007000000000000000130083802"
            + "4205302e312e3050645880c0e285e368"
        package static let shardPrepared =
            "0000000e0209000000000000080110031801"
    }

    /// The same leader, when version 2 was agreed upon.
    package enum Leader {
        package static let helloAck =
            "0000002c0002000000000000080212100000000000000002000000000000000218012205302e312e302880c0" + "e285e368"
        package static let shardPrepare =
            "0000000e0208000000000000080110031801"
    }
}
