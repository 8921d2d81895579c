package import DispatcherDomain
package import EscapementModel
package import WireProtocol

/// The work of one accepted batch.
package struct FireWork: Sendable {
    package var occurrences: [FireOccurrence]
    /// Who sent it, for the records.
    package var ticker: NodeID

    package init(occurrences: [FireOccurrence], ticker: NodeID) {
        self.occurrences = occurrences
        self.ticker = ticker
    }
}

extension Lane<FireWork>.Offer {
    /// Counts and times are those of the work. O(occurrences).
    package init(
        session: SessionID, shard: ShardID, epoch: Epoch, from: Cursor, to: Cursor, byteCount: Int, work: FireWork
    ) {
        var oldestDue = WallInstant.distantFuture
        // By reference: each would be copied with what it holds.
        work.occurrences.withUnsafeBufferPointer { fires in
            for index in fires.indices {
                guard case .dispatched = fires[index].outcome else { continue }
                oldestDue = min(oldestDue, fires[index].due)
            }
        }
        self.init(
            session: session, shard: shard, epoch: epoch, from: from, to: to, byteCount: byteCount,
            occurrenceCount: work.occurrences.count, oldestDue: oldestDue, payload: work)
    }
}

/// What is equal for all rounds of a process.
package struct PublishingRules: Sendable {
    /// How long a fire lies in the topic of parked fires before it is given up: less than the topic keeps it
    /// (`ClusterTopics`), by as much as it may take to find it.
    package static let parkedMax = Duration.seconds(6 * 86_400)

    package var cluster: String
    package var dispatcher: NodeID
    package var journalTopic: String
    package var topics: TopicPolicy
    package var format: EventFormat
    package var payloads: PayloadRecording
    /// Of ids and payloads.
    package var sha256: SHA256Function
    /// `nil`: no fire has a trace of its own.
    package var spans: FireSpans?

    package init(
        cluster: String, dispatcher: NodeID, topics: TopicPolicy, format: EventFormat = EventFormat(),
        payloads: PayloadRecording = .digest, sha256: SHA256Function = .plain, spans: FireSpans? = nil
    ) {
        self.sha256 = sha256
        self.spans = spans
        self.cluster = cluster
        self.dispatcher = dispatcher
        self.journalTopic = Self.journalTopic(of: cluster)
        self.topics = topics
        self.format = format
        self.payloads = payloads
    }

    /// What it fires as. O(1).
    func id(of occurrence: FireOccurrence) -> ActivationID {
        ActivationID(
            cluster: self.cluster, kind: occurrence.kind, uid: occurrence.uid, scheduledTime: occurrence.scheduled,
            sha256: self.sha256)
    }

    package static func journalTopic(of cluster: String) -> String { "escapement.\(cluster).journal" }
    package static func parkedTopic(of cluster: String) -> String { "escapement.\(cluster).parked" }
    /// Where the built-in canary fires to, so that no consumer of fires meets it.
    package static func canaryTopic(of cluster: String) -> String { "escapement.\(cluster).canary" }
    package static func recorderGroup(of cluster: String) -> String { "escapement.\(cluster).recorder" }
}
