/// Message kinds and their numbers on the wire; a number is never used again for another message.
///
/// Families: 0x00 session, 0x01 membership and views, 0x02 shards and lanes, 0x03 snapshot and
/// deltas, 0x04 firing, 0x05 queries.
package enum MessageKind: UInt16, CaseIterable, Sendable {
    case hello = 0x0001
    case helloAck = 0x0002
    case helloRefused = 0x0003
    case goodbye = 0x0004
    /// The answer to a kind that the receiver does not know.
    case unsupported = 0x0005
    case probe = 0x0006
    case probeAck = 0x0007

    case heartbeat = 0x0101
    case heartbeatAck = 0x0102
    case laneView = 0x0103
    case shardView = 0x0104

    case shardAssign = 0x0201
    case shardRevoke = 0x0202
    case shardReleased = 0x0203
    case laneAssign = 0x0204
    case laneRevoke = 0x0205
    case laneReleased = 0x0206
    case shardPrepare = 0x0208
    case shardPrepared = 0x0209
    case laneProgress = 0x0207
    case lanesUnreachable = 0x020a

    case snapshotRequest = 0x0301
    case snapshotPage = 0x0302
    case delta = 0x0303
    case horizonRequest = 0x0304
    case horizonPage = 0x0305
    case changeHint = 0x0306
    case contentsAck = 0x0307

    case open = 0x0401
    case opened = 0x0402
    case fireBatch = 0x0403
    case fireAck = 0x0404
    case fireRefused = 0x0405

    case clusterStatusQuery = 0x0501
    case clusterStatusAnswer = 0x0502
    case activationQuery = 0x0503
    case activationAnswer = 0x0504
    case settledQuery = 0x0505
    case settledAnswer = 0x0506
    case queryFailed = 0x0507
    case clusterCommand = 0x0508
}
