import EscapementModel
import Logging
import MemberLink
import Observability
import WireProtocol

/// Keeps a link to every dispatcher that owns a lane, and hands on what they say.
///
/// Wanted links follow the latest `LaneView`; a lost one is opened again with a doubling, jittered pause.
actor DispatcherLinks {
    static let pauseMin = Duration.milliseconds(20)
    static let pauseMax = Duration.seconds(1)
    /// How long a dispatcher may take to answer `Hello`.
    static let helloAnswerMax = Duration.seconds(5)

    private let connector: any MessageConnector
    private let description: MemberDescription
    private let clocks: any Clocks
    private let inbox: TickerInbox
    private let logger: Logger
    private let seed: UInt64
    /// The view that was followed last; one that arrives late changes nothing.
    private var followed: (leaderEpoch: Epoch, version: UInt64)?
    /// Cancelled when the dispatcher is not wanted any more, or by `close`; errors end in the log.
    private var tasks: [Incarnation: Task<Void, Never>] = [:]

    init(
        connector: any MessageConnector, description: MemberDescription, clocks: any Clocks, inbox: TickerInbox,
        logger: Logger, seed: UInt64
    ) {
        self.connector = connector
        self.description = description
        self.clocks = clocks
        self.inbox = inbox
        self.logger = logger
        self.seed = seed
    }

    /// Opens links to dispatchers that are new in `view`, closes those that are gone from it.
    func follow(_ view: LaneView) {
        if let followed, followed >= (view.leaderEpoch, view.version) { return }
        self.followed = (view.leaderEpoch, view.version)
        var wanted: [Incarnation: LaneView.Entry] = [:]
        for entry in view.entries { wanted[entry.incarnation] = entry }
        for (incarnation, task) in self.tasks where wanted[incarnation] == nil {
            task.cancel()
            self.tasks[incarnation] = nil
        }
        for (incarnation, entry) in wanted where self.tasks[incarnation] == nil {
            guard let address = PeerAddress(text: entry.address) else {
                self.logger.error(
                    "a dispatcher's address cannot be read", event: "dispatcher_address_invalid",
                    [LogKey.node: .string(entry.node.name), LogKey.address: .string(entry.address)])
                continue
            }
            self.tasks[incarnation] = Task { await self.keepLinked(incarnation, node: entry.node, address: address) }
        }
    }

    func close() {
        for task in self.tasks.values { task.cancel() }
        self.tasks.removeAll()
    }

    private nonisolated func keepLinked(_ incarnation: Incarnation, node: NodeID, address: PeerAddress) async {
        var pause = Self.pauseMin
        var lastFailure = ""
        var random = SplitMix64(seed: self.seed ^ incarnation.uid.low)
        while !Task.isCancelled {
            let failure: String
            do {
                let link = try await self.connector.connect(to: address, expecting: .dispatcher)
                failure = await withTaskCancellationHandler {
                    await self.serve(link, incarnation) { pause = Self.pauseMin }
                } onCancel: {
                    link.close()
                }
            } catch {
                failure = "\(error)"
            }
            if Task.isCancelled { return }
            if failure != lastFailure {
                lastFailure = failure
                self.logger.info(
                    "dispatcher not linked", event: "dispatcher_unreachable",
                    [
                        LogKey.node: .string(node.name), LogKey.address: .text(address),
                        LogKey.reason: .string(failure),
                    ])
            }
            do {
                // Half of it drawn, so that all tickers do not knock in step; nothing depends on the draw.
                try await self.clocks.sleep(for: pause * Double.random(in: 0.5...1, using: &random))
            } catch { return }
            pause = min(pause * 2, Self.pauseMax)
        }
    }

    /// Serves one link until it ends; the reason.
    private nonisolated func serve(
        _ link: any MessageLink, _ incarnation: Incarnation, accepted: () -> Void
    ) async -> String {
        guard link.send(self.description.hello(clock: self.clocks.wallNow())) else {
            return "closed before the greeting"
        }
        let watchdog = Task { [clocks] in
            // Cancelled when the answer is here; a link that stays silent is closed.
            do { try await clocks.sleep(for: Self.helloAnswerMax) } catch { return }
            link.close()
        }
        let prober = LinkProber(link, clocks: self.clocks)
        // Begun when the greeting is answered; cancelled below.
        var probing: Task<Void, Never>?
        defer {
            watchdog.cancel()
            probing?.cancel()
        }
        var isAccepted = false
        var reason: String?
        for await frame in link.frames {
            prober.heard()
            do throws(WireError) {
                switch MessageKind(rawValue: frame.kind) {
                case .helloAck:
                    let answer = try frame.decode(HelloAck.self)
                    guard answer.incarnation == incarnation else {
                        reason = "another process answers at this address"
                        link.close()
                        continue
                    }
                    watchdog.cancel()
                    if !isAccepted {
                        probing = Task { await prober.run() }
                        link.onRoom { [inbox] in inbox.post(.roomAgain) }
                    }
                    isAccepted = true
                    accepted()
                    self.inbox.post(.dispatcherUp(incarnation, link))
                case .helloRefused:
                    reason = try frame.decode(HelloRefused.self).detail
                    link.close()
                case .opened: await self.inbox.offer(.opened(try frame.decode()))
                case .fireAck: await self.inbox.offer(.acknowledged(try frame.decode()))
                case .fireRefused: await self.inbox.offer(.refused(try frame.decode()))
                case .goodbye:
                    reason = try frame.decode(Goodbye.self).detail
                    link.close()
                case .probeAck, .unsupported: continue
                default: link.send(Unsupported(unknownKind: UInt32(frame.kind)))
                }
            } catch {
                reason = "unreadable frame of kind \(frame.kind): \(error)"
                link.close()
            }
        }
        if prober.hasGivenUp { reason = "it does not answer" }
        if isAccepted { self.inbox.post(.dispatcherDown(incarnation)) }
        link.close()
        return reason ?? link.failure.map { "\($0)" } ?? "closed"
    }
}
