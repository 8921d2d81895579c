/// The error codes of Kafka's protocol that this broker answers with or is asked to inject.
package enum ErrorCode: Int16, CaseIterable, Sendable {
    case unknownServerError = -1
    case none = 0
    case offsetOutOfRange = 1
    case corruptMessage = 2
    case unknownTopicOrPartition = 3
    case invalidFetchSize = 4
    case leaderNotAvailable = 5
    case notLeaderOrFollower = 6
    case requestTimedOut = 7
    case brokerNotAvailable = 8
    case replicaNotAvailable = 9
    case messageTooLarge = 10
    case offsetMetadataTooLarge = 12
    case networkException = 13
    case coordinatorLoadInProgress = 14
    case coordinatorNotAvailable = 15
    case notCoordinator = 16
    case invalidTopicException = 17
    case recordListTooLarge = 18
    case notEnoughReplicas = 19
    case notEnoughReplicasAfterAppend = 20
    case invalidRequiredAcks = 21
    case illegalGeneration = 22
    case inconsistentGroupProtocol = 23
    case invalidGroupID = 24
    case unknownMemberID = 25
    case invalidSessionTimeout = 26
    case rebalanceInProgress = 27
    case invalidCommitOffsetSize = 28
    case topicAuthorizationFailed = 29
    case groupAuthorizationFailed = 30
    case clusterAuthorizationFailed = 31
    case unsupportedSaslMechanism = 33
    case illegalSaslState = 34
    case unsupportedVersion = 35
    case topicAlreadyExists = 36
    case invalidPartitions = 37
    case invalidReplicationFactor = 38
    case invalidReplicaAssignment = 39
    case invalidConfig = 40
    case notController = 41
    case invalidRequest = 42
    case unsupportedForMessageFormat = 43
    case policyViolation = 44
    case outOfOrderSequenceNumber = 45
    case duplicateSequenceNumber = 46
    case invalidProducerEpoch = 47
    case invalidTransactionState = 48
    case invalidProducerIDMapping = 49
    case invalidTransactionTimeout = 50
    case concurrentTransactions = 51
    case transactionCoordinatorFenced = 52
    case transactionalIDAuthorizationFailed = 53
    case operationNotAttempted = 55
    case kafkaStorageError = 56
    case saslAuthenticationFailed = 58
    case unknownProducerID = 59
    case groupIDNotFound = 69
    case fetchSessionIDNotFound = 70
    case fencedLeaderEpoch = 74
    case unknownLeaderEpoch = 75
    case unsupportedCompressionType = 76
    case memberIDRequired = 79
    case fencedInstanceID = 82
    case invalidRecord = 87
    case unstableOffsetCommit = 88
    case throttlingQuotaExceeded = 89
    case producerFenced = 90

    /// Kafka's own spelling: `NOT_LEADER_OR_FOLLOWER`.
    package var name: String {
        switch self {
        case .invalidTransactionState: return "INVALID_TXN_STATE"
        case .invalidProducerIDMapping: return "INVALID_PRODUCER_ID_MAPPING"
        case .transactionalIDAuthorizationFailed: return "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"
        case .groupIDNotFound: return "GROUP_ID_NOT_FOUND"
        case .fetchSessionIDNotFound: return "FETCH_SESSION_ID_NOT_FOUND"
        case .memberIDRequired: return "MEMBER_ID_REQUIRED"
        default: break
        }
        var text = ""
        var isAfterLower = false
        for character in "\(self)" {
            if character.isUppercase, isAfterLower { text += "_" }
            isAfterLower = character.isLowercase
            text += character.uppercased()
        }
        return text
    }

    /// Finds a code by Kafka's name or by its number.
    package init?(named text: String) {
        if let number = Int16(text), let code = ErrorCode(rawValue: number) {
            self = code
            return
        }
        guard let code = ErrorCode.allCases.first(where: { $0.name == text.uppercased() }) else { return nil }
        self = code
    }
}
