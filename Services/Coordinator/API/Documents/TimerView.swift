import EscapementModel
import JSON
import ScheduleDocuments
import Store

/// How a stored timer is shown.
struct TimerView: Sendable {
    let cluster: String
    let now: WallInstant

    func document(_ stored: StoredTimer) throws -> JSONValue {
        let document = try JSONParser.parse(stored.document)
        guard case .object(let written) = document else {
            throw StoreError(.corrupt, operation: "read timer", detail: "the document is not an object")
        }
        // Whether it has fired is in its record, under this id.
        let activation = ActivationID(cluster: self.cluster, kind: .delay, uid: stored.uid, scheduledTime: stored.due)
        let state = stored.endedRevision != nil ? "cancelled" : stored.due > self.now ? "pending" : "due"
        let head = JSONValue.record([
            "id": .string(stored.name), "uid": .string(stored.uid.uuid), "namespace": .string(stored.namespace),
            "dueAt": .string(stored.due.description), "createdAt": .string(stored.createdAt.description),
            "createdBy": .string(stored.createdBy), "state": .string(state),
            "shard": .integer(stored.shard.rawValue), "activationId": .string(activation.description),
            "priority": .string(Priority(ofDocument: document).word),
        ])
        guard case .object(let members) = head else { preconditionFailure("a record is an object") }
        return .object(members + written.filter { $0.name != "priority" })
    }

    static func path(of stored: StoredTimer) -> String { "/v1/namespaces/\(stored.namespace)/timers/\(stored.name)" }

    static func etag(of stored: StoredTimer) -> String {
        "\"\(max(stored.revision, stored.endedRevision ?? .none))\""
    }
}
