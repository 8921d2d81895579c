import NIOCore

/// What a member tells when it joins.
struct JoinRequest {
    var memberID: String
    var instanceID: String?
    var clientID: String
    var sessionTimeout: Int64
    var rebalanceTimeout: Int64
    var protocolType: String
    var protocols: [GroupProtocol]
}

struct GroupProtocol: Equatable {
    var name: String
    var metadata: ByteBuffer
}

/// What a member is told when all have joined.
struct JoinAnswer {
    struct Member {
        var id: String
        var instanceID: String?
        var metadata: ByteBuffer
    }

    var error: ErrorCode = .none
    var generation: Int32 = -1
    var protocolName = ""
    var leader = ""
    var memberID: String
    /// Empty but for the leader.
    var members: [Member] = []
}

struct SyncAnswer {
    var error: ErrorCode
    var assignment = ByteBuffer()
}

struct GroupMember {
    let id: String
    var request: JoinRequest
    var assignment = ByteBuffer()
    /// When it counts as gone, in milliseconds of the broker's monotonic clock.
    var deadline: Int64
    var join: ((JoinAnswer) -> Void)?
    var sync: ((SyncAnswer) -> Void)?
}
