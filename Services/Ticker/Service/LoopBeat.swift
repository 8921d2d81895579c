package import Observability

/// Proof that a loop turns. Under this name because the wire has a `Heartbeat` of its own.
package typealias LoopBeat = Heartbeat
