package import DispatcherDomain
package import EscapementModel
import Observability
package import Logging

/// Stores documents in requests of bounded size, several at a time, until each is stored, known or refused.
///
/// Owned by one task; the requests of one `write` run side by side.
package struct DocumentWriter {
    /// Bytes around a document in a request.
    private static let overheadBytes = 160
    package static let pauseMin = Duration.milliseconds(200)
    package static let pauseMax = Duration.seconds(10)
    /// Of what the store wishes, so much is waited for at most.
    package static let retryAfterMax = Duration.seconds(60)
    /// How often a document is written with which the store fails.
    package static let failuresMax = 10

    /// What the writer needs to work with.
    package struct Environment: Sendable {
        package var store: any ActivationStore
        package var clocks: any Clocks
        package var metrics: DispatcherMetrics
        package var logger: Logger
        /// Told why the store takes no documents, although it answers.
        package var blocked: @Sendable (String) -> Void
        /// Keeps a document that the store refuses for ever: returns when it is kept.
        package var deadLetter: @Sendable (ActivationDocument, String) async throws -> Void

        package init(
            store: any ActivationStore, clocks: any Clocks, metrics: DispatcherMetrics, logger: Logger,
            blocked: @escaping @Sendable (String) -> Void = { _ in },
            deadLetter: @escaping @Sendable (ActivationDocument, String) async throws -> Void
        ) {
            self.store = store
            self.clocks = clocks
            self.metrics = metrics
            self.logger = logger
            self.blocked = blocked
            self.deadLetter = deadLetter
        }
    }

    private enum Answer: Sendable {
        case results([ActivationDocument], [ActivationWriteResult])
        case failed([ActivationDocument], ActivationStoreError)
    }

    /// What one `write` remembers of single documents.
    private struct History {
        /// Those without what the store might dislike; only once each.
        var reduced: Set<String> = []
        var failures: [String: Int] = [:]
    }

    /// What is left of a group that was answered.
    private struct Rest {
        var again: [ActivationDocument] = []
        var isBusy = false
        /// Why the store takes no documents.
        var block: String?
        var hasFailures = false
    }

    private let environment: Environment
    private(set) package var pace = BulkPace()
    private var random: SplitMix64
    /// Documents that are among the dead letters already, while others of the same `write` wait: who calls again brings
    /// them again.
    private var parked: Set<String> = []

    package init(_ environment: Environment, seed: UInt64) {
        self.environment = environment
        self.random = SplitMix64(seed: seed)
    }

    /// Returns when every document is stored, was there already, or is among the dead letters.
    ///
    /// Overload, blocked indices and requests that are too large are dealt with here, however long it takes.
    ///
    /// - Parameter answered: called after each request that the store answered.
    /// - Throws: `ActivationStoreError` when the store does not answer: write the same documents again later.
    ///   `CancellationError`, and what the keeper of dead letters throws.
    package mutating func write(_ documents: [ActivationDocument], answered: @Sendable () -> Void = {}) async throws {
        var rest = documents[...]
        var history = History()
        var backoff = Backoff(first: Self.pauseMin, max: Self.pauseMax)
        while !rest.isEmpty {
            var again: [ActivationDocument] = []
            var waits = false
            var wish = Duration.zero
            var failure: ActivationStoreError?
            for answer in await self.send(self.groups(of: &rest)) {
                switch answer {
                case .results(let group, let results):
                    let rest = try await self.settle(group, results, &history)
                    if let block = rest.block { self.environment.blocked(block) } else { answered() }
                    if rest.isBusy { self.pace.overloaded() } else { self.pace.succeeded() }
                    if rest.isBusy || rest.block != nil || rest.hasFailures { waits = true }
                    again += rest.again
                case .failed(let group, let error) where error.isOverloaded:
                    waits = true
                    wish = max(wish, min(error.retryAfter ?? .zero, Self.retryAfterMax))
                    self.pace.overloaded()
                    again += group
                case .failed(let group, let error) where error.isTooLarge:
                    if group.count == 1 {
                        try await self.refuse(group[0], "larger than the store takes")
                    } else {
                        self.pace.tooLarge(byteCount: Self.size(of: group))
                        again += group
                    }
                case .failed(_, let error): failure = error
                }
            }
            if let failure { throw failure }
            if !again.isEmpty { rest = (again + rest)[...] }
            self.environment.metrics.documentsPending.set(rest.count)
            if waits {
                // The jitter comes on top of the wish: everyone was told the same time.
                try await self.environment.clocks.sleep(for: wish + backoff.next(using: &self.random))
            } else {
                backoff.succeeded()
            }
        }
        self.parked = []
    }

    /// As many requests as may be under way.
    private func groups(of rest: inout ArraySlice<ActivationDocument>) -> [[ActivationDocument]] {
        var groups: [[ActivationDocument]] = []
        while groups.count < self.pace.requestCountMax, !rest.isEmpty {
            var bytes = 0
            var group: [ActivationDocument] = []
            for document in rest.prefix(self.pace.documentCountMax) {
                bytes += Self.size(of: document)
                if bytes > self.pace.byteCountMax, !group.isEmpty { break }
                group.append(document)
            }
            rest = rest.dropFirst(group.count)
            groups.append(group)
        }
        return groups
    }

    private func send(_ groups: [[ActivationDocument]]) async -> [Answer] {
        let store = self.environment.store
        return await withTaskGroup(of: (Int, Answer).self) { tasks in
            for (index, group) in groups.enumerated() {
                tasks.addTask {
                    do throws(ActivationStoreError) {
                        return (index, .results(group, try await store.create(group)))
                    } catch {
                        return (index, .failed(group, error))
                    }
                }
            }
            var answers: [(index: Int, answer: Answer)] = []
            for await answer in tasks { answers.append(answer) }
            // In the order of the documents, so that a run can be repeated.
            return answers.sorted { $0.index < $1.index }.map(\.answer)
        }
    }

    /// Counts results; returns what must be tried again, and why.
    private mutating func settle(
        _ group: [ActivationDocument], _ results: [ActivationWriteResult], _ history: inout History
    ) async throws -> Rest {
        var rest = Rest()
        for (document, result) in zip(group, results) {
            switch result {
            case .stored: self.environment.metrics.documentsStored.increment()
            case .known: self.environment.metrics.documentsKnown.increment()
            case .busy:
                rest.isBusy = true
                rest.again.append(document)
            case .blocked(let why):
                rest.block = why
                rest.again.append(document)
            case .failed(let why):
                history.failures[document.id, default: 0] += 1
                if history.failures[document.id, default: 0] < Self.failuresMax {
                    rest.hasFailures = true
                    rest.again.append(document)
                } else {
                    try await self.refuse(document, why)
                }
            case .refused(let why):
                if history.reduced.insert(document.id).inserted, let less = document.withoutFreeText {
                    rest.again.append(less)
                } else {
                    try await self.refuse(document, why)
                }
            }
        }
        return rest
    }

    /// Parks a document of the next or the current `write`; returns when it is kept.
    ///
    /// - Throws: what the keeper throws; the document is not kept then, and has to be brought again.
    package mutating func refuse(_ document: ActivationDocument, _ why: String) async throws {
        if self.parked.contains(document.id) { return }
        self.environment.logger.error(
            "the store refuses an activation document", event: "activation_refused",
            [LogKey.activationID: .string(document.id), LogKey.reason: .string(why)])
        try await self.environment.deadLetter(document, why)
        self.environment.metrics.documentsRefused.increment()
        self.parked.insert(document.id)
    }

    private static func size(of document: ActivationDocument) -> Int { document.body.count + Self.overheadBytes }

    private static func size(of group: [ActivationDocument]) -> Int { group.reduce(0) { $0 + Self.size(of: $1) } }
}
