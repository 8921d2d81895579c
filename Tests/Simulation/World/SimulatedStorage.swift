import DispatcherService
import EscapementModel
import Store
import TestSupport

/// The way of one process to PostgreSQL: latency, outages, answers that are lost after the commit.
final class SimulatedDatabasePath: StoreConditions, @unchecked Sendable {
    /// What the driver waits for an answer before it says `unavailable`.
    static let statementTimeout = Duration.milliseconds(1500)

    private let host: Host
    private let database: SimulatedDatabase

    init(host: Host, database: SimulatedDatabase) {
        self.host = host
        self.database = database
    }

    func before(_ operation: String) async throws(StoreError) {
        if operation == "claim", let hold = self.database.takeHold() {
            // The statement is somewhere between here and the server; whoever sent it is not there any more.
            await self.database.pause(hold)
            return
        }
        await self.host.pause(self.database.drawLatency())
        if operation == "changes" { await self.host.pause(self.database.drawChangesLatency()) }
        if self.database.isDown || self.database.isCut(self.host) {
            await self.host.pause(Self.statementTimeout)
            throw StoreError(.unavailable, operation: operation, detail: "no connection")
        }
    }

    func after(_ operation: String) async throws(StoreError) {
        if self.database.losesAnswer() {
            await self.host.pause(Self.statementTimeout)
            throw StoreError(.unavailable, operation: operation, detail: "the answer was lost")
        }
        await self.host.pause(self.database.drawLatency())
    }
}

/// The database: its contents, and what ails it.
final class SimulatedDatabase: @unchecked Sendable {
    let contents = InMemoryStore()
    var isDown = false
    /// Of a thousand answers, so many are lost.
    var answersLostPerMille = 0
    private var cutHosts: Set<String> = []
    private var random: SplitMix64

    /// How long the next claim is on its way, and what happens meanwhile.
    private var hold: (late: Duration, simulator: Simulator, then: @Sendable () -> Void)?

    init(seed: UInt64) { self.random = SplitMix64(seed: seed) }

    /// The next claim takes `late` to arrive, whatever becomes of its sender; `then` is called when it has left.
    func holdNextClaim(_ late: Duration, _ simulator: Simulator, then: @escaping @Sendable () -> Void) {
        self.hold = (late, simulator, then)
    }

    func forgetHold() { self.hold = nil }

    fileprivate func takeHold() -> (late: Duration, simulator: Simulator)? {
        guard let hold = self.hold else { return nil }
        self.hold = nil
        hold.then()
        return (hold.late, hold.simulator)
    }

    fileprivate func pause(_ hold: (late: Duration, simulator: Simulator)) async {
        await hold.simulator.pause(hold.late)
    }

    /// A client of one process.
    func client(on host: Host) -> InMemoryStore {
        InMemoryStore(sharing: self.contents, conditions: SimulatedDatabasePath(host: host, database: self))
    }

    func cut(_ host: Host) { self.cutHosts.insert(host.name) }
    func uncut(_ host: Host) { self.cutHosts.remove(host.name) }
    func heal() {
        self.hold = nil
        self.cutHosts = []
        self.isDown = false
        self.answersLostPerMille = 0
        self.slowness = .zero
        self.changesSlowBy = .zero
    }

    func isCut(_ host: Host) -> Bool { self.cutHosts.contains(host.name) }
    /// Added to every way to it and back.
    var slowness = Duration.zero

    /// What a read of changes takes more, at most; each draws its own.
    var changesSlowBy = Duration.zero

    func drawChangesLatency() -> Duration {
        guard self.changesSlowBy > .zero else { return .zero }
        return self.changesSlowBy * Double.random(in: 0...1, using: &self.random)
    }

    func drawLatency() -> Duration {
        .microseconds(Int.random(in: 200...4000, using: &self.random)) + self.slowness
    }

    func losesAnswer() -> Bool {
        self.answersLostPerMille > 0 && Int.random(in: 0..<1000, using: &self.random) < self.answersLostPerMille
    }
}

/// Elasticsearch: documents by index and id, a second create of which is a conflict.
final class SimulatedElasticsearch: @unchecked Sendable {
    var isDown = false
    /// Of a hundred documents, so many are answered with 429.
    var busyPercent = 0
    /// Of a hundred requests, the answer of so many is lost after they took effect.
    var answersLostPercent = 0
    private(set) var documents: [String: ActivationDocument] = [:]
    private var random: SplitMix64

    init(seed: UInt64) { self.random = SplitMix64(seed: seed) }

    func heal() {
        self.isDown = false
        self.busyPercent = 0
        self.answersLostPercent = 0
    }

    fileprivate func drawLatency() -> Duration { .milliseconds(Int.random(in: 1...30, using: &self.random)) }

    fileprivate func create(_ documents: [ActivationDocument]) -> [ActivationWriteResult] {
        documents.map { document in
            if self.busyPercent > Int.random(in: 0..<100, using: &self.random) { return .busy("429") }
            let key = "\(document.index)/\(document.id)"
            if self.documents[key] != nil { return .known }
            self.documents[key] = document
            return .stored
        }
    }

    fileprivate func losesAnswer() -> Bool { self.answersLostPercent > Int.random(in: 0..<100, using: &self.random) }

    func client(on host: Host) -> any ActivationStore { Client(host: host, server: self) }

    private struct Client: ActivationStore {
        let host: Host
        let server: SimulatedElasticsearch

        func prepare() async throws(ActivationStoreError) { try await self.reach() }

        func create(
            _ documents: [ActivationDocument]
        ) async throws(ActivationStoreError) -> [ActivationWriteResult] {
            try await self.reach()
            let results = self.server.create(documents)
            await self.host.pause(self.server.drawLatency())
            if self.server.losesAnswer() { throw ActivationStoreError("time-out") }
            return results
        }

        func search(_ search: ActivationSearch) async throws(ActivationStoreError) -> ActivationPage {
            try await self.reach()
            return ActivationPage(items: [], next: nil)
        }

        func summary(
            _ search: ActivationSearch, every interval: ActivationInterval
        ) async throws(ActivationStoreError) -> [ActivationBucket] {
            try await self.reach()
            return []
        }

        private func reach() async throws(ActivationStoreError) {
            await self.host.pause(self.server.drawLatency())
            if self.server.isDown { throw ActivationStoreError("503") }
        }
    }
}
