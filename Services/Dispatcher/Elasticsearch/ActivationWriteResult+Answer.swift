import DispatcherService
package import ElasticsearchStore

extension ActivationWriteResult {
    /// Errors that Elasticsearch answers with 400 for every document of an index that takes none: `index_closed_exception`
    /// for a closed one, `cluster_block_exception` for what is blocked.
    private static let indexFaults: Set<String> = [
        "index_closed_exception", "cluster_block_exception", "index_not_found_exception", "security_exception",
        "process_cluster_event_timeout_exception", "unavailable_shards_exception",
    ]
    /// Errors of an index that cannot be made, which have the types of wrong documents too; these are in their reasons.
    ///
    /// At the limit of shards a node or a cluster may hold: "this action would add [2] shards, but this cluster currently
    /// has [1000]/[1000] maximum normal shards open", in Elasticsearch 6 and 7 "maximum shards open". Where the server
    /// makes no index by itself: "action.auto_create_index". And an alias in the index's place that names nothing to write
    /// to.
    private static let indexReasons = [
        "this action would add [", "action.auto_create_index", "no write index is defined",
    ]
    private static let typesWithReason: Set<String> = ["validation_exception", "illegal_argument_exception"]

    /// What the answer to one document of a bulk request means.
    ///
    /// 403 is a missing right (`security_exception`) or a block (`cluster_block_exception`; since Elasticsearch 7.7 a full
    /// disk is 429), 404 an index that may not be made, and some 400s are the index's too: none is the document's fault.
    package init(_ answer: ElasticsearchClient.Result) {
        let why = "HTTP \(answer.status) \(answer.errorType)"
        switch answer.status {
        case 200..<300: self = .stored
        case 409: self = .known
        case 429, 502, 503, 504: self = .busy(why)
        case 401, 403, 404: self = .blocked(why)
        case 500...: self = .failed(why)
        default:
            if Self.indexFaults.contains(answer.errorType) {
                self = .blocked(why)
            } else if Self.typesWithReason.contains(answer.errorType),
                let reason = Self.indexReasons.first(where: { answer.errorReason.contains($0) })
            {
                // The reason itself may be long, and of a document's fault it quotes the document; these are ours.
                self = .blocked("\(why), \(Self.meaning(of: reason))")
            } else {
                self = .refused(why)
            }
        }
    }

    private static func meaning(of reason: String) -> String {
        switch reason {
        case "this action would add [": "the cluster is at its limit of shards (cluster.max_shards_per_node)"
        case "action.auto_create_index": "the server makes no index by itself (action.auto_create_index)"
        default: "an alias in the index's place has no index to write to"
        }
    }
}
