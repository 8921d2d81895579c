import EscapementModel
import NIOCore
import TickerDomain
import WireProtocol

/// What the clock thread hears, already decoded and compiled: links decode on their own tasks, so that
/// the thread that keeps time only moves entries.
enum TickerEvent: Sendable {
    case leaderConnected
    case leaderLost
    case assign(ShardID, Epoch)
    case prepare(ShardID, Epoch, Cursor)
    case revoke(ShardID, Epoch)
    case page(ShardID, Epoch, [ShardChange<[UInt8]>], revision: Revision, last: Bool)
    case delta(ShardID, [ShardChange<[UInt8]>], from: Revision, through: Revision)
    case horizon(ShardID, Epoch, [TimerEntry<[UInt8]>], through: WallInstant, last: Bool)
    case laneView(LaneView)
    case settledQuery(SettledQuery, correlation: UInt32)
    /// The rules of these time zones are new; what is compiled from now on follows them.
    case zonesChanged(Set<String>)
    case dispatcherUp(Incarnation, any MessageLink)
    case dispatcherDown(Incarnation)
    /// A link to a dispatcher, which was full, takes more.
    case roomAgain
    case opened(Opened)
    case acknowledged(FireAck)
    case refused(FireRefused)
    /// Stop taking shards; finish `whenEmpty` when none is held any more. The leader takes them back; without
    /// a leader they are drained.
    case leave(whenEmpty: AsyncStream<Void>.Continuation)
    case stop
}
