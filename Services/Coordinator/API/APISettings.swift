/// What the API is told: which cluster it speaks for, and every bound it keeps.
package struct APISettings: Sendable {
    /// Who may call.
    package enum Authentication: Sendable {
        /// Bearer tokens, whose hashes stand in this file; read again when it changes.
        case tokens(file: String)
        /// Everyone may do everything. For development on one machine.
        case open
    }

    package var cluster: String
    package var shardCount: Int
    package var authentication: Authentication
    /// What `_` in a path means for a caller who may use every namespace.
    package var defaultNamespace = "guest"

    /// Bytes of a request's body, before and after decompression; of a batch, `batchByteCountMax`.
    package var bodyByteCountMax = 2 * 1024 * 1024
    package var batchByteCountMax = 16 * 1024 * 1024
    /// Timers of one batch; the store takes no more in one transaction.
    package var batchTimersMax = 10_000
    /// `NewTimer.byteCount` of the timers of one request together, which is one transaction. A batch that says each payload
    /// itself always fits; defaults and backfills repeat one.
    package var timerBytesMax = 40 << 20
    /// Bytes of a payload. `TargetDocument.payloadMax` is the most that this may be.
    package var payloadByteCountMax = 65_536
    /// How deep JSON may nest.
    package var documentDepthMax = 32
    package var pageSizeDefault = 100
    package var pageSizeMax = 1000
    package var labelsMax = 64
    /// The bytes of all annotations of a schedule together.
    package var annotationByteCountMax = 16_384
    /// Occurrences of one answer of `upcoming` and `preview`.
    package var upcomingMax = 1000

    package init(cluster: String, shardCount: Int, authentication: Authentication) {
        self.cluster = cluster
        self.shardCount = shardCount
        self.authentication = authentication
    }
}
