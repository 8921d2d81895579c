/// The metadata keys of log lines, one word per idea: the same in every service, in docs and in queries.
///
/// A key that is not listed here is fine in a tool or a test; a service adds it here first.
package enum LogKey {
    /// The stable snake_case code of what happened; alerts and searches rely on it.
    package static let event = "event"

    package static let namespace = "namespace"
    package static let schedule = "schedule"
    package static let scheduleUID = "schedule_uid"
    package static let generation = "generation"
    package static let timerID = "timer_id"
    package static let activationID = "activation_id"
    package static let kind = "kind"
    package static let scheduledAt = "scheduled_at"
    package static let latenessMilliseconds = "lateness_ms"
    package static let outcome = "outcome"
    package static let reason = "reason"

    package static let shard = "shard"
    package static let lane = "lane"
    package static let epoch = "epoch"
    package static let revision = "revision"
    package static let node = "node"
    package static let peer = "peer"
    package static let peerRole = "peer_role"
    package static let incarnation = "incarnation"
    package static let attempt = "attempt"

    package static let topic = "topic"
    package static let partition = "partition"
    package static let offset = "offset"
    package static let index = "index"
    package static let dependency = "dependency"

    package static let requestID = "request_id"
    package static let actor = "actor"
    package static let httpMethod = "http_method"
    package static let httpRoute = "http_route"
    package static let httpStatus = "http_status"
    package static let durationMilliseconds = "duration_ms"
    package static let traceID = "trace_id"
    package static let spanID = "span_id"

    package static let errorType = "error_type"
    package static let error = "error"
    package static let count = "count"
    package static let bytes = "bytes"
    package static let address = "address"
    package static let port = "port"
    package static let path = "path"
    package static let signal = "signal"
    package static let setting = "setting"
    package static let timeZone = "time_zone"
    /// The first instant at which something differs.
    package static let validFrom = "valid_from"
    /// Releases of the time-zone data.
    package static let tzdata = "tzdata"
}
