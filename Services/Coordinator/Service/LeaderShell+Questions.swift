import EscapementModel
import JSON
import NIOCore
import WireProtocol

/// Questions about the cluster: some are answered from memory, others by the member that knows.
extension LeaderShell {
    /// Answers a question that another coordinator, or a tool, has asked over its link.
    func answer(_ frame: Frame, to asker: AcceptedLink) async {
        do {
            switch MessageKind(rawValue: frame.kind) {
            case .clusterStatusQuery:
                asker.answer(frame, ClusterStatusAnswer(document: ByteBuffer(bytes: self.status().bytes)))
            case .clusterCommand:
                let command = try frame.decode(ClusterCommand.self)
                do {
                    let document = try self.answer(command.request)
                    asker.answer(frame, ClusterStatusAnswer(document: ByteBuffer(bytes: document.bytes)))
                } catch {
                    asker.answer(frame, QueryFailed(code: error.code, detail: error.detail))
                }
            case .activationQuery:
                let query = try frame.decode(ActivationQuery.self)
                do {
                    let document = try await self.activations(Array(query.document.readableBytesView))
                    asker.answer(frame, ActivationAnswer(document: ByteBuffer(bytes: document)))
                } catch {
                    asker.answer(frame, QueryFailed(code: error.code, detail: error.detail))
                }
            case .settledQuery:
                let query = try frame.decode(SettledQuery.self)
                asker.answer(frame, SettledAnswer(state: await self.settled(query)))
            default: asker.answer(frame, Unsupported(unknownKind: UInt32(frame.kind)))
            }
        } catch {
            asker.answer(frame, QueryFailed(code: "MALFORMED_QUERY", detail: "\(error)"))
        }
    }

    /// Asks a dispatcher, and one more when the first has gone or does not answer.
    func activations(_ document: [UInt8]) async throws(ClusterError) -> [UInt8] {
        let query = ActivationQuery(document: ByteBuffer(bytes: document))
        for _ in 0..<2 {
            guard let dispatcher = self.nextDispatcherLink() else {
                throw ClusterError(
                    ClusterError.activationStoreUnavailable, "no dispatcher is up that could ask the activation store")
            }
            let answer = await dispatcher.ask(
                query, within: self.environment.settings.dispatcherWithin, clocks: self.environment.clocks)
            if let answer { return try ClusterAnswers.activations(answer) }
        }
        throw ClusterError(ClusterError.activationStoreUnavailable, "no dispatcher answered in time")
    }

    /// Asks the shard's owner what became of a timer.
    func settled(_ query: SettledQuery) async -> SettledAnswer.State {
        guard let owner = self.ownerLink(of: query.shard) else { return .unknown }
        let answer = await owner.ask(
            query, within: self.environment.settings.settledWithin, clocks: self.environment.clocks)
        return ClusterAnswers.settled(answer)
    }
}

/// Reads answers, the same whoever was asked.
enum ClusterAnswers {
    static func activations(_ frame: Frame) throws(ClusterError) -> [UInt8] {
        try self.document(frame, ActivationAnswer.self, unavailable: ClusterError.activationStoreUnavailable) {
            $0.document
        }
    }

    static func status(_ frame: Frame) throws(ClusterError) -> [UInt8] {
        try self.document(frame, ClusterStatusAnswer.self, unavailable: ClusterError.noLeader.code) { $0.document }
    }

    static func settled(_ frame: Frame?) -> SettledAnswer.State {
        guard let frame, let answer = try? frame.decode(SettledAnswer.self) else { return .unknown }
        return answer.state
    }

    private static func document<Answer: WireMessage>(
        _ frame: Frame, _ type: Answer.Type, unavailable: String, _ read: (Answer) -> ByteBuffer
    ) throws(ClusterError) -> [UInt8] {
        let failure: QueryFailed
        if MessageKind(rawValue: frame.kind) == .unsupported {
            throw ClusterError(ClusterError.unsupported, "the leader runs an older version that cannot do this")
        }
        do {
            guard MessageKind(rawValue: frame.kind) == .queryFailed else {
                return Array(read(try frame.decode(Answer.self)).readableBytesView)
            }
            failure = try frame.decode(QueryFailed.self)
        } catch {
            throw ClusterError(unavailable, "an answer cannot be read: \(error)")
        }
        throw ClusterError(failure.code, failure.detail)
    }
}
