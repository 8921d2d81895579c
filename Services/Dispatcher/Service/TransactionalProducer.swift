import DispatcherDomain
package import EscapementModel

/// Publishes a lane exactly once: the fires, their dead letters and the journal entry are one Kafka transaction, the
/// journal entry with the cursors last.
///
/// Any doubt about a session ends it (`TransactionSession`). A record that Kafka refuses makes the whole transaction
/// void; it is then sent again without the culprit, whose outcome says so. An outcome that nobody knows gives the lane
/// up: whoever takes it next, perhaps this process, reads the journal.
package actor TransactionalProducer: LaneProducer {
    /// Pauses between attempts while Kafka does not take the transaction.
    package static let pauseMin = Duration.milliseconds(50)
    package static let pauseMax = Duration.seconds(2)

    private let lane: LaneID
    private let sessions: any TransactionSessionFactory
    private let clocks: any Clocks
    private let recycled: @Sendable () -> Void
    private var random: SplitMix64
    private var session: (any TransactionSession)?
    private var confirm: LaneConfirmation?
    private var trouble: @Sendable (String) -> Void = { _ in }
    /// Whether the journal has to be looked at before this session may publish: it is not the first one.
    private var mustConfirm = false
    /// Learnt from refusals.
    private var sizes = BatchSizes()

    /// - Parameters:
    ///   - seed: of the jitter.
    ///   - recycled: called for every session that is thrown away, for a metric.
    package init(
        lane: LaneID, sessions: any TransactionSessionFactory, clocks: any Clocks, seed: UInt64,
        recycled: @escaping @Sendable () -> Void = {}
    ) {
        self.lane = lane
        self.sessions = sessions
        self.clocks = clocks
        self.recycled = recycled
        self.random = SplitMix64(seed: seed)
    }

    /// One transaction at a time.
    package nonisolated var inFlightMax: Int { 1 }

    package func begin(
        confirm: @escaping LaneConfirmation, trouble: @escaping @Sendable (String) -> Void
    ) async throws(PublishError) {
        self.confirm = confirm
        self.trouble = trouble
        _ = try await self.retrying(trouble: trouble) { session throws(TransactionError) in session }
    }

    package func append(_ record: OutgoingRecord) async throws(PublishError) -> Int64 {
        try await self.transaction(trouble: self.trouble) { session throws(Attempt) in
            let delivery = await session.produce([record])[0]
            switch delivery {
            case .delivered(_, let offset): return offset
            case .refused(let refusal, let detail): throw .journalRefused("\(refusal): \(detail)")
            case .unavailable(let reason): throw .again(reason)
            case .fenced(let reason): throw .fenced(reason)
            }
        }
    }

    package func publish(_ publication: Publication) async throws(PublishError) -> Settlement {
        let records = publication.records
        var refused: [Int: RecordFate] = [:]
        var diversion = Diversion()
        var letters = DeadLetterSending()
        var sizes = self.sizes
        defer { self.sizes.merge(sizes) }
        var attempts: UInt32 = 0
        return try await self.transaction(trouble: publication.trouble) { session throws(Attempt) in
            attempts += 1
            #if DEFENCE_REMOVAL
            if Defence.cursorLast.isRemoved {
                return try await Self.publishCursorFirst(records, publication.settle, attempts, session)
            }
            #endif
            let fates = try await Self.fates(of: publication, attempts, &refused, &diversion, &sizes, session)
            var settlement = publication.settle(fates)
            if !settlement.deadLetters.isEmpty {
                letters.begin(settlement, publication)
                if !letters.records.isEmpty {
                    guard let deliveries = await sizes.produce(letters.records, in: session) else {
                        throw .withoutCulprit
                    }
                    switch letters.took(deliveries) {
                    case .done: break
                    case .changed: throw .withoutCulprit
                    case .again(let reason): throw .again(reason)
                    case .fenced(let reason): throw .fenced(reason)
                    }
                }
                if let settle = publication.settleLetters, letters.isAnyUnwritten {
                    settlement = settle(fates, letters.fates)
                } else {
                    settlement.lostLetters += letters.lost
                }
            }
            // Cursor last: whatever of this transaction the brokers have, the journal entry comes after it.
            for delivery in await session.produce(settlement.journal) {
                switch delivery {
                case .delivered: break
                case .refused(let refusal, let detail): throw .journalRefused("\(refusal): \(detail)")
                case .unavailable(let reason): throw .again(reason)
                case .fenced(let reason): throw .fenced(reason)
                }
            }
            return settlement
        }
    }

    /// Sends what is not refused yet, in the transaction that is open; one fate for each record.
    ///
    /// - Throws: unless all of it was taken.
    private static func fates(
        of publication: Publication, _ attempts: UInt32, _ refused: inout [Int: RecordFate],
        _ diversion: inout Diversion, _ sizes: inout BatchSizes, _ session: any TransactionSession
    ) async throws(Attempt) -> [RecordFate] {
        var fates = refused
        var sending = Sending(publication, except: refused, diversion)
        for index in sending.staying { fates[index] = .parked(offset: nil) }
        guard let deliveries = await sizes.produce(sending.records, in: session) else { throw .withoutCulprit }
        if attempts == 1, let all = RecordFate.allDelivered(deliveries) { return all }
        let refusedBefore = refused.count
        var culprit: Attempt?
        for (place, delivery) in deliveries.enumerated() {
            let index = sending.index(at: place)
            switch delivery {
            case .delivered(let partition, let offset):
                sending.wasTaken(place)
                guard let index else { continue }
                fates[index] =
                    sending.isDiverted(place)
                    ? .parked(offset: offset)
                    : .delivered(partition: partition, offset: offset, attempts: attempts)
            case .refused(let refusal, let detail):
                guard let index else { throw .journalRefused("\(refusal): \(detail)") }
                refused[index] = .refused(refusal, detail: detail, attempts: attempts)
                culprit = .withoutCulprit
            case .unavailable(let reason):
                sending.wasNotTaken(place)
                culprit = culprit ?? .again(reason)
            case .fenced(let reason): throw .fenced(reason)
            }
        }
        // Beside a refused record the others fail for its sake.
        if refused.count == refusedBefore { await sending.conclude(publication, &diversion) }
        // The witness is for an attempt that fails; one that succeeds writes the journal itself.
        if let culprit { throw culprit }
        return publication.records.indices.compactMap { fates[$0] }
    }

    #if DEFENCE_REMOVAL
    /// The journal entry before what it settles, as if all of it were delivered.
    private static func publishCursorFirst(
        _ records: [OutgoingRecord], _ settle: @Sendable ([RecordFate]) -> Settlement, _ attempts: UInt32,
        _ session: any TransactionSession
    ) async throws(Attempt) -> Settlement {
        let settlement = settle(records.map { _ in .delivered(partition: 0, offset: 0, attempts: attempts) })
        for delivery in await session.produce(settlement.journal + records) {
            switch delivery {
            case .delivered, .refused: break
            case .unavailable(let reason): throw .again(reason)
            case .fenced(let reason): throw .fenced(reason)
            }
        }
        return settlement
    }
    #endif

    /// Why the body of a transaction did not reach its end.
    private enum Attempt: Error {
        case again(String)
        /// At once, since the next attempt differs from this one.
        case withoutCulprit
        /// The lane is lost, or nobody knows: either way the journal has to be read again.
        case fenced(String)
        case journalRefused(String)
    }

    /// Runs `body` in a transaction until one is committed. `body` may run several times.
    private func transaction<Answer: Sendable>(
        trouble: @Sendable (String) -> Void, _ body: (any TransactionSession) async throws(Attempt) -> Answer
    ) async throws(PublishError) -> Answer {
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        while true {
            let session = try await self.retrying(trouble: trouble) {
                session throws(TransactionError) in
                try await session.begin()
                return session
            }
            do throws(Attempt) {
                let answer = try await body(session)
                do throws(TransactionError) {
                    try await session.commit()
                    return answer
                } catch {
                    switch error {
                    case .unavailable(let reason): throw Attempt.again(reason)
                    case .fenced(let reason): throw Attempt.fenced(reason)
                    case .outcomeUnknown(let reason):
                        throw Attempt.fenced("the outcome of a commit is not known: \(reason)")
                    }
                }
            } catch {
                try await self.failed(error, session, &backoff, trouble)
            }
        }
    }

    private func failed(
        _ attempt: Attempt, _ session: any TransactionSession, _ backoff: inout Backoff,
        _ trouble: @Sendable (String) -> Void
    ) async throws(PublishError) {
        switch attempt {
        case .fenced(let reason):
            await self.discard(session)
            throw .laneLost(reason)
        case .journalRefused(let reason):
            try await self.abort(session)
            throw .journalRefused(reason)
        case .withoutCulprit:
            try await self.abort(session)
        case .again(let reason):
            trouble(reason)
            try await self.abort(session)
            try await self.pause(&backoff)
        }
    }

    /// Ends the session. The lane is lost when somebody else has its id: whoever goes on would fence them.
    private func abort(_ session: any TransactionSession) async throws(PublishError) {
        var fenced: String?
        do throws(TransactionError) {
            try await session.abort()
        } catch {
            if case .fenced(let reason) = error { fenced = reason }
        }
        await self.discard(session)
        if let fenced { throw .laneLost(fenced) }
    }

    /// Runs `body` on a session that is initialized and without doubt, making a new one as often as needed.
    private func retrying<Answer: Sendable>(
        trouble: @Sendable (String) -> Void,
        _ body: (any TransactionSession) async throws(TransactionError) -> Answer
    ) async throws(PublishError) -> Answer {
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        while true {
            // Another session would fence whoever has the lane now.
            if Task.isCancelled { throw .stopped }
            do throws(TransactionError) {
                return try await body(try await self.cleanSession())
            } catch {
                if let session { await self.discard(session) }
                switch error {
                case .fenced(let reason): throw .laneLost(reason)
                case .unavailable(let reason), .outcomeUnknown(let reason):
                    trouble(reason)
                    try await self.pause(&backoff)
                }
            }
        }
    }

    private func cleanSession() async throws(TransactionError) -> any TransactionSession {
        if let session {
            if !session.isTainted || Defence.recycle.isRemoved { return session }
            await self.discard(session)
        }
        let session = try await self.sessions.makeSession(for: self.lane)
        self.session = session
        try await session.initialize()
        if self.mustConfirm, let confirm, !Defence.confirmation.isRemoved {
            switch await confirm({ await Self.append($0, to: session) }) {
            case .stands: break
            case .moved(let why): throw .fenced(why)
            case .unknown(let why): throw .unavailable(why)
            }
        }
        self.mustConfirm = true
        return session
    }

    package func tries(_ record: OutgoingRecord) async -> TopicTrial {
        do throws(TransactionError) {
            let session = try await self.sessions.makeTrialSession(for: self.lane)
            var answer = TopicTrial.unknown
            do throws(TransactionError) {
                try await session.initialize()
                try await session.begin()
                answer = TopicTrial(await session.produce([record]).first)
                try await session.abort()
            } catch {}
            await session.close()
            return answer
        } catch {
            return .unknown
        }
    }

    /// One record in a transaction of its own, without a second try.
    private static func append(_ record: OutgoingRecord, to session: any TransactionSession) async -> Int64? {
        do throws(TransactionError) {
            try await session.begin()
            guard case .delivered(_, let offset)? = await session.produce([record]).first else { return nil }
            try await session.commit()
            return offset
        } catch {
            return nil
        }
    }

    private func discard(_ session: any TransactionSession) async {
        #if DEFENCE_REMOVAL
        if Defence.recycle.isRemoved { return }
        #endif
        self.session = nil
        self.recycled()
        await session.close()
    }

    private func pause(_ backoff: inout Backoff) async throws(PublishError) {
        if Task.isCancelled { throw .stopped }
        do { try await self.clocks.sleep(for: backoff.next(using: &self.random)) } catch { throw .stopped }
    }
}
