package import Observability

/// Proof that a loop turns. Named apart from the heartbeat that members send to the leader.
package typealias LivenessBeat = Heartbeat
