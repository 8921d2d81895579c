/// What made an occurrence.
package enum FireKind: UInt8, CaseIterable, Hashable, Sendable {
    case cron = 1
    case interval = 2
    /// A list of instants.
    case at = 3
    /// A one-shot timer.
    case delay = 4
    case manual = 5
    case backfill = 6

    /// The word in records, documents and the API. Spelt out: reflection is slow, and every fire asks.
    package var name: String {
        switch self {
        case .cron: "cron"
        case .interval: "interval"
        case .at: "at"
        case .delay: "delay"
        case .manual: "manual"
        case .backfill: "backfill"
        }
    }
}

/// Why an occurrence ended as it did, or why there was none: a closed list, the same words in the
/// API, metrics, logs, the journal and activation documents.
package enum Reason: UInt8, CaseIterable, Hashable, Sendable {
    case dispatched = 1
    case notDue = 2
    case notYetCreated = 3
    case deleted = 4
    case beforeStart = 5
    case afterEnd = 6
    case excluded = 7
    case dstGap = 8
    case paused = 9
    case namespacePaused = 10
    case servicePaused = 11
    case coalesced = 12
    case catchupWindow = 13
    case catchupLimit = 14
    case expired = 15
    case cancelled = 16
    case quota = 17
    case payloadTooLarge = 18
    case topicNotAllowed = 19
    case kafkaUnavailable = 20
    case retriesExhausted = 21
    case shardUnowned = 22
    case inFlight = 23
    /// A word of a payload pattern is unknown, or the payload does not fit the format.
    case invalidTemplate = 24
    /// The topic does not exist.
    case topicMissing = 25
    /// An HTTP target answered that it will never take this fire.
    case targetRefused = 26
    /// The secret provider has no key for the namespace or the target, or OpenWhisk does not accept the one of the
    /// namespace.
    case credentialsMissing = 27
    /// It was settled, and neither the activation store nor the journal has its record any more. Derived, never recorded.
    case recordLost = 28

    /// `CATCHUP_WINDOW` for `catchupWindow`.
    package var code: String { Self.codes[Int(self.rawValue)] }

    /// By raw value; made once, as reflection is slow and every record asks.
    private static let codes: [String] = {
        var codes = [String](repeating: "", count: Int(UInt8.max) + 1)
        for reason in Self.allCases {
            var code = ""
            for character in "\(reason)" {
                if character.isUppercase { code += "_" }
                code += character.uppercased()
            }
            codes[Int(reason.rawValue)] = code
        }
        return codes
    }()
}

/// How an occurrence ended.
package enum Outcome: UInt8, CaseIterable, Hashable, Sendable {
    /// In its Kafka topic.
    case dispatched = 1
    /// Not fired, by rule.
    case skipped = 2
    /// Could not be delivered; a copy is in the dead letters.
    case failed = 3

    package var name: String {
        switch self {
        case .dispatched: "dispatched"
        case .skipped: "skipped"
        case .failed: "failed"
        }
    }
}
