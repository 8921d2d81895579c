import CoordinatorDomain
import EscapementModel
import Logging
import NIOCore
import Observability
import Store
import WireProtocol

/// Streams schedules and timers to the tickers that own their shards: a snapshot, then every change in
/// the order of revisions, from a feed that stands at the snapshot's revision, so nothing is missed and
/// nothing comes twice.
///
/// Changes are looked for when a coordinator hints at one, and twice a second in any case. Per shard one
/// read is under way at a time; over all shards, and for one ticker, a bounded number. What is sent waits in the
/// ticker's `ContentsWindow`.
actor ScheduleFeeds {
    private struct Feed {
        var link: AcceptedLink
        var epoch: Epoch
        /// Which request it answers; a newer one replaces it.
        var token: UInt64
        /// Up to where the ticker has been told; `nil` while its snapshot is being sent.
        var sentThrough: Revision?
        var isReading = false
        /// Something happened while a read was under way: read once more.
        var isStale = false
    }

    /// A shard's owner and whoever is to be the next one are fed side by side.
    private struct Place: Hashable {
        var shard: ShardID
        var isNext: Bool
    }

    private enum Job {
        case snapshot(SnapshotRequest, Place, token: UInt64)
        case changes(Place, token: UInt64)
        case horizon(HorizonRequest, AcceptedLink)
    }

    private let store: any ScheduleStore
    private let clocks: any Clocks
    private let settings: CoordinatorSettings
    private let logger: Logger
    private let gate: StoreGate
    private let jobs: AsyncStream<Job>
    private let jobQueue: AsyncStream<Job>.Continuation
    private var feeds: [Place: Feed] = [:]
    private var horizons: Set<ShardID> = []
    private var nextHorizons: [ShardID: (HorizonRequest, AcceptedLink)] = [:]
    private var known: [ShardID: Revision] = [:]
    private var nextToken: UInt64 = 1

    init(store: any ScheduleStore, clocks: any Clocks, settings: CoordinatorSettings, logger: Logger) {
        self.store = store
        self.clocks = clocks
        self.settings = settings
        self.logger = logger
        self.gate = StoreGate(permits: settings.readsMax)
        // Two snapshots or reads of changes, and one horizon, a shard: the queue is bounded by what enters it.
        (self.jobs, self.jobQueue) = AsyncStream.makeStream(of: Job.self, bufferingPolicy: .unbounded)
    }

    /// Works until cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.poll() }
            for await job in self.jobs {
                group.addTask {
                    switch job {
                    case .snapshot(let request, let place, let token): await self.sendSnapshot(request, place, token)
                    case .changes(let place, let token): await self.sendChanges(place, token)
                    case .horizon(let request, let link): await self.sendHorizon(request, link)
                    }
                }
            }
        }
    }

    /// A ticker that owns the shard, or `asNext` is told to load it, asks for its contents. Replaces what it or an
    /// earlier one asked.
    func open(_ request: SnapshotRequest, for link: AcceptedLink, asNext: Bool = false) {
        let place = Place(shard: request.shard, isNext: asNext)
        if let feed = self.feeds[place], feed.epoch > request.epoch { return }
        let token = self.nextToken
        self.nextToken += 1
        var feed = Feed(link: link, epoch: request.epoch, token: token)
        if request.since == .none {
            self.feeds[place] = feed
            self.jobQueue.yield(.snapshot(request, place, token: token))
        } else {
            feed.sentThrough = request.since
            self.feeds[place] = feed
            self.read(place)
        }
    }

    /// The ticker asks for timers further ahead. One request a shard is worked on at a time; the last one that comes
    /// meanwhile, on another link perhaps, is worked on behind it.
    func extend(_ request: HorizonRequest, for link: AcceptedLink) {
        guard self.horizons.insert(request.shard).inserted else {
            self.nextHorizons[request.shard] = (request, link)
            return
        }
        self.jobQueue.yield(.horizon(request, link))
    }

    private func endHorizon(of shard: ShardID) {
        self.horizons.remove(shard)
        if let (request, link) = self.nextHorizons.removeValue(forKey: shard) { self.extend(request, for: link) }
    }

    /// A change of the shard was committed.
    func hint(_ shard: ShardID) {
        for isNext in [false, true] { self.read(Place(shard: shard, isNext: isNext)) }
    }

    /// The link is gone, and its feeds with it.
    func close(_ link: AcceptedLink) {
        self.feeds = self.feeds.filter { $0.value.link !== link }
    }

    /// Ends the feeds of earlier owners: those under an epoch below the one given for their shard.
    func retire(below epochs: [ShardID: Epoch]) {
        self.feeds = self.feeds.filter { place, feed in feed.epoch >= epochs[place.shard] ?? .none }
    }

    private func poll() async {
        while !Task.isCancelled {
            do {
                let revisions = try await self.store.revisions()
                for (shard, revision) in revisions where revision > self.known[shard] ?? .none {
                    self.known[shard] = revision
                    for isNext in [false, true] {
                        let place = Place(shard: shard, isNext: isNext)
                        if let sent = self.feeds[place]?.sentThrough, sent < revision { self.read(place) }
                    }
                }
            } catch {
                self.logger.debug(
                    "revisions not read", event: "revision_poll_failed", [LogKey.error: .string(error.detail)])
            }
            do { try await self.clocks.sleep(for: self.settings.pollEvery) } catch { return }
        }
    }

    /// Starts a read of changes, or lets the one under way look again.
    private func read(_ place: Place) {
        guard let feed = self.feeds[place] else { return }
        if feed.isReading || feed.sentThrough == nil {
            self.feeds[place]?.isStale = true
        } else {
            self.feeds[place]?.isReading = true
            self.jobQueue.yield(.changes(place, token: feed.token))
        }
    }

    /// Reads from the store, for one ticker so many at a time and for all of them so many.
    private func read<Value: Sendable>(
        for link: AcceptedLink, _ body: @Sendable () async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await link.reads.run { () async throws(StoreError) in try await self.gate.run(body) }
    }

    private func isCurrent(_ place: Place, _ token: UInt64) -> Bool { self.feeds[place]?.token == token }

    private func sendSnapshot(_ request: SnapshotRequest, _ place: Place, _ token: UInt64) async {
        let shard = request.shard
        while !Task.isCancelled, self.isCurrent(place, token), let feed = self.feeds[place] {
            let sender = SnapshotSender(request: request, link: feed.link, gate: self.gate)
            do {
                try await self.read(for: feed.link) { () async throws(StoreError) in
                    try await self.store.snapshot(of: shard, cursor: request.cursor, horizon: request.horizon) {
                        page in await sender.send(page)
                    }
                }
                guard self.isCurrent(place, token), let revision = await sender.revision, await !sender.isCutOff
                else { return }
                self.feeds[place]?.sentThrough = revision
                // What was committed since is found now, not at the next poll.
                self.read(place)
                return
            } catch {
                self.logger.info(
                    "snapshot not read", event: "snapshot_failed",
                    [LogKey.shard: .number(shard.rawValue), LogKey.error: .string(error.detail)])
                if await sender.revision != nil {
                    // A part of it is on its way: the ticker has to begin anew.
                    feed.link.dismiss("the snapshot of shard \(shard) broke off")
                    return
                }
                do { try await self.clocks.sleep(for: self.settings.retryEvery) } catch { return }
            }
        }
    }

    private func sendChanges(_ place: Place, _ token: UInt64) async {
        let shard = place.shard
        while !Task.isCancelled, self.isCurrent(place, token), let feed = self.feeds[place],
            let sent = feed.sentThrough
        {
            self.feeds[place]?.isStale = false
            do {
                let page = try await self.read(for: feed.link) { () async throws(StoreError) in
                    try await self.store.changes(of: shard, after: sent)
                }
                guard self.isCurrent(place, token) else { return }
                if page.revision > sent {
                    for delta in PageCutter.deltas(shard: shard, from: sent, page: page) {
                        guard await feed.link.window.send(Frame(delta)), self.isCurrent(place, token) else { return }
                    }
                    self.feeds[place]?.sentThrough = page.revision
                }
                if page.last || page.revision <= sent, self.feeds[place]?.isStale != true {
                    self.feeds[place]?.isReading = false
                    return
                }
            } catch {
                self.logger.debug(
                    "changes not read", event: "changes_failed",
                    [LogKey.shard: .number(shard.rawValue), LogKey.error: .string(error.detail)])
                do { try await self.clocks.sleep(for: self.settings.retryEvery) } catch { return }
            }
        }
    }

    private func sendHorizon(_ request: HorizonRequest, _ link: AcceptedLink) async {
        defer { self.endHorizon(of: request.shard) }
        while !Task.isCancelled, let feed = self.feeds[Place(shard: request.shard, isNext: false)],
            feed.link === link, feed.epoch == request.epoch
        {
            do {
                let limit = PageCutter.rowsMax
                let timers = try await self.read(for: link) { () async throws(StoreError) in
                    try await self.store.timers(
                        of: request.shard, after: request.after, through: request.through, limit: limit)
                }
                let count = PageCutter.fitting(timers)
                let page = HorizonPage(
                    shard: request.shard, epoch: request.epoch, through: request.through,
                    timers: timers.prefix(count).map { TimerVersion($0) },
                    last: timers.count < limit && count == timers.count)
                _ = await link.window.send(Frame(page))
                return
            } catch {
                self.logger.debug(
                    "horizon not read", event: "horizon_failed",
                    [LogKey.shard: .number(request.shard.rawValue), LogKey.error: .string(error.detail)])
                do { try await self.clocks.sleep(for: self.settings.retryEvery) } catch { return }
            }
        }
    }
}

/// Sends the pages of one snapshot as they are read.
private actor SnapshotSender {
    private let request: SnapshotRequest
    private let link: AcceptedLink
    private let gate: StoreGate
    /// The snapshot's revision, once a page was sent.
    private(set) var revision: Revision?
    /// The link was closed meanwhile.
    private(set) var isCutOff = false

    /// - Parameter gate: what the read is in, and leaves while the ticker is slow to take a page.
    init(request: SnapshotRequest, link: AcceptedLink, gate: StoreGate) {
        self.request = request
        self.link = link
        self.gate = gate
    }

    /// Returns when the page has left; `false` when the rest need not be read.
    func send(_ page: ShardPage) async -> Bool {
        self.revision = page.revision
        let parts = PageCutter.parts(schedules: page.schedules, timers: page.timers)
        for (index, part) in parts.enumerated() where !self.isCutOff {
            let frame = Frame(
                SnapshotPage(
                    shard: self.request.shard, epoch: self.request.epoch, revision: page.revision, contents: part,
                    last: page.last && index == parts.count - 1))
            let window = self.link.window
            let isSent =
                if let isSent = await window.offer(frame) { isSent } else {
                    await self.gate.outside { await window.send(frame) }
                }
            if !isSent { self.isCutOff = true }
        }
        return !self.isCutOff
    }
}
