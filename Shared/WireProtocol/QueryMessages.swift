package import EscapementModel
package import NIOCore

/// Follower to leader: what does the cluster look like?
package struct ClusterStatusQuery: WireMessage {
    package static let kind = MessageKind.clusterStatusQuery
    package init() {}
    package func encode(into writer: inout FieldWriter) {}
    package init(from reader: inout FieldReader) throws(WireError) { while try reader.next() != nil {} }
}

/// To the leader: show a part of the cluster, or change something about it. Answered by a document
/// (`ClusterStatusAnswer`) or `QueryFailed`. Needs the leader's answer to be known to have been done: a leader
/// that does not know the verb does nothing and says so.
package struct ClusterCommand: WireMessage {
    package static let kind = MessageKind.clusterCommand
    /// `members`, `shards`, `drain`, `resume`, `rebalance`.
    package var verb: String
    /// What it is about, such as a member's name; empty for none.
    package var subject: String

    package init(verb: String, subject: String = "") {
        self.verb = verb
        self.subject = subject
    }

    package func encode(into writer: inout FieldWriter) {
        writer.text(1, self.verb)
        writer.text(2, self.subject)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(verb: "")
        while let field = try reader.next() {
            switch field.number {
            case 1: self.verb = try field.text("clusterCommand.verb", max: WireLimits.nameMax)
            case 2: self.subject = try field.text("clusterCommand.subject", max: WireLimits.nameMax)
            default: continue
            }
        }
    }
}

/// The cluster's status as the JSON document that the API serves.
package struct ClusterStatusAnswer: WireMessage {
    package static let kind = MessageKind.clusterStatusAnswer
    package var document: ByteBuffer

    package init(document: ByteBuffer) { self.document = document }

    package func encode(into writer: inout FieldWriter) { DocumentFields.encode(self.document, into: &writer) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(document: try DocumentFields.decode(from: &reader))
    }
}

/// Coordinator to dispatcher (through the leader): search activation records. The JSON document has
/// the API's query parameters as members.
package struct ActivationQuery: WireMessage {
    package static let kind = MessageKind.activationQuery
    package var document: ByteBuffer

    package init(document: ByteBuffer) { self.document = document }

    package func encode(into writer: inout FieldWriter) { DocumentFields.encode(self.document, into: &writer) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(document: try DocumentFields.decode(from: &reader))
    }
}

/// The page of activation records as the JSON document that the API serves.
package struct ActivationAnswer: WireMessage {
    package static let kind = MessageKind.activationAnswer
    package var document: ByteBuffer

    package init(document: ByteBuffer) { self.document = document }

    package func encode(into writer: inout FieldWriter) { DocumentFields.encode(self.document, into: &writer) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(document: try DocumentFields.decode(from: &reader))
    }
}

/// A query could not be answered. The code is one of the API's (`ACTIVATION_STORE_UNAVAILABLE`, ...).
package struct QueryFailed: WireMessage {
    package static let kind = MessageKind.queryFailed
    package var code: String
    package var detail: String

    package init(code: String, detail: String) {
        self.code = code
        self.detail = detail
    }

    package func encode(into writer: inout FieldWriter) {
        writer.text(1, self.code)
        writer.text(2, self.detail)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(code: "", detail: "")
        while let field = try reader.next() {
            switch field.number {
            case 1: self.code = try field.text("queryFailed.code", max: WireLimits.nameMax)
            case 2: self.detail = try field.text("queryFailed.detail", max: WireLimits.detailMax)
            default: continue
            }
        }
    }
}

/// Coordinator to leader to the shard's ticker: after the delta that cancelled it, had this timer
/// already been handed on?
package struct SettledQuery: WireMessage {
    package static let kind = MessageKind.settledQuery
    package var shard: ShardID
    package var uid: UID
    package var due: WallInstant
    /// The revision of the cancellation: answer only once it is applied.
    package var revision: Revision

    package init(shard: ShardID, uid: UID, due: WallInstant, revision: Revision) {
        self.shard = shard
        self.uid = uid
        self.due = due
        self.revision = revision
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.uid(2, self.uid)
        writer.instant(3, self.due)
        writer.unsigned(4, self.revision.rawValue)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), uid: .zero, due: .distantPast, revision: .none)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("settledQuery.shard"))
            case 2: self.uid = try field.uid("settledQuery.uid")
            case 3: self.due = try field.instant("settledQuery.due")
            case 4: self.revision = Revision(try field.unsigned("settledQuery.revision"))
            default: continue
            }
        }
    }
}

package struct SettledAnswer: WireMessage {
    package static let kind = MessageKind.settledAnswer

    package enum State: UInt32, Sendable {
        /// Nobody could say: the shard is moving or not loaded.
        case unknown = 0
        /// It was removed before it was due; it will not fire.
        case cancelled = 1
        /// It had been handed to the lane.
        case fired = 2
    }

    package var state: State

    package init(state: State) { self.state = state }

    package func encode(into writer: inout FieldWriter) { writer.unsigned(1, self.state.rawValue) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(state: .unknown)
        while let field = try reader.next() {
            if field.number == 1 { self.state = State(rawValue: try field.unsigned("settledAnswer.state")) ?? .unknown }
        }
    }
}

/// The body that document messages share.
enum DocumentFields {
    static func encode(_ document: ByteBuffer, into writer: inout FieldWriter) { writer.bytes(1, document) }

    static func decode(from reader: inout FieldReader) throws(WireError) -> ByteBuffer {
        var document = ByteBuffer()
        while let field = try reader.next() {
            if field.number == 1 { document = try field.bytes("document", max: Frame.payloadMax) }
        }
        return document
    }
}
