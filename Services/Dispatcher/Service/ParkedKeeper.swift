import DispatcherDomain
package import EscapementModel
import NIOCore
import Observability
import WireProtocol

/// Decides what becomes of parked fires: those for an HTTP target are delivered, and those of a topic are sent again,
/// given up, or wait on.
package struct ParkedKeeper: Sendable {
    package let topics: TopicHealth
    private let probe: any TopicProbe
    private let web: WebDelivery?
    let places: WebPlaces
    private let clocks: any Clocks

    /// - Parameters:
    ///   - web: `nil` refuses HTTP targets.
    ///   - places: for the requests of all lanes of this process.
    package init(
        topics: TopicHealth = TopicHealth(), probe: any TopicProbe, web: WebDelivery?,
        places: WebPlaces = WebPlaces(), clocks: any Clocks
    ) {
        self.topics = topics
        self.probe = probe
        self.web = web
        self.places = places
        self.clocks = clocks
    }

    /// Makes one attempt to deliver a fire whose turn it is, or ends it without one.
    ///
    /// - Parameter isOver: it has expired, or waited for as long as a fire may.
    func deliver(
        _ fire: ParkedFire, isOver: Bool, _ lane: LaneID, _ rules: PublishingRules, _ metrics: DispatcherMetrics
    ) async -> ParkedDecision {
        let event: EventFormat.Fire
        do throws(WireError) {
            event = try EventFormat.Fire.of(
                fire.occurrence, id: rules.id(of: fire.occurrence), lane: lane, sequence: 0)
        } catch {
            return .drop
        }
        guard let target = event.template.web else { return .drop }
        if let expiry = EventFormat.expiry(of: event.due, event.template), self.clocks.wallNow() > expiry {
            return .settle(fire, .skipped, .expired, detail: fire.detail)
        }
        if isOver {
            return .settle(fire, .failed, .retriesExhausted, detail: Self.gaveUp(WebDelivery.host(of: target)))
        }
        guard let web = self.web else {
            return .settle(fire, .failed, .targetRefused, detail: "HTTP targets are switched off")
        }
        var next = fire
        next.attempts += 1
        switch await web.deliver(event, to: target, format: rules.format, attempt: next.attempts) {
        case .delivered(let detail):
            return .settle(next, .dispatched, .dispatched, detail: detail)
        case .deliveredWithoutRule(let detail):
            metrics.webWithoutRule.increment()
            return .settle(next, .dispatched, .dispatched, detail: detail)
        case .refused(let reason, let detail):
            return .settle(next, .failed, reason, detail: detail)
        case .again(let pause, let detail):
            if next.attempts >= WebDelivery.attemptsMax(of: event.template) {
                return .settle(next, .failed, .retriesExhausted, detail: detail)
            }
            next.notBefore = self.clocks.wallNow().advanced(by: pause)
            next.detail = detail
            return .park(next)
        }
    }

    /// What is said of a fire that has waited for as long as a fire may.
    static func gaveUp(_ what: String) -> String {
        "\(what) took nothing in the \(PublishingRules.parkedMax / .seconds(86_400)) days that a fire may wait"
    }

    // MARK: Topics

    /// What is to become of the fires that wait for a topic.
    enum Verdict: Sendable {
        case send
        case wait
        case giveUp(FormatError)
    }

    /// Whether the brokers that lead the topic answer this process.
    func reachesLeaders(of topic: String) async -> Bool { await self.probe.reachesLeaders(of: topic) }

    /// Asks Kafka about a topic whose fires wait.
    ///
    /// - Parameters:
    ///   - isLetters: what waits are dead letters, which are given up for no topic that may come back.
    ///   - tries: whether the topic takes a record; asked when Kafka says that it should.
    func judge(_ topic: String, isLetters: Bool = false, tries: () async -> TopicTrial) async -> Verdict {
        let standing = await self.probe.standing(of: topic)
        let isMissing = self.topics.answered(
            topic, isUnknown: standing == .unknown, now: self.clocks.monotonicNow())
        switch standing {
        case .ready:
            // It was there and took nothing: one fire of the line finds out, not the lane.
            guard self.topics.isUnavailable(topic) else { break }
            switch await tries() {
            case .away: return .wait
            case .refuses where isLetters: return .wait
            case .takes, .refuses, .unknown: break
            }
        case .refused where isLetters:
            self.topics.lost(topic)
            return .wait
        case .refused: break
        case .unknown where isMissing && !isLetters:
            return .giveUp(FormatError(.topicMissing, "the topic \(topic) does not exist"))
        case .leaderless, .unknown:
            self.topics.lost(topic)
            return .wait
        case .silent:
            return .wait
        }
        self.topics.restored(topic)
        return .send
    }

    /// Looks at the topics of which nothing is known, before anything is sent to them.
    ///
    /// - Returns: whether one of them is away.
    func meet(_ topics: Set<String>) async -> Bool {
        var isAnyAway = false
        for topic in self.topics.strangers(in: topics) {
            switch await self.probe.standing(of: topic) {
            case .ready, .refused: self.topics.restored(topic)
            case .leaderless: isAnyAway = self.topics.lost(topic) || isAnyAway
            case .unknown:
                _ = self.topics.answered(topic, isUnknown: true, now: self.clocks.monotonicNow())
                isAnyAway = self.topics.lost(topic) || isAnyAway
            case .silent: continue
            }
        }
        return isAnyAway
    }

    /// Those of the topics that Kafka says it cannot write to.
    func away(_ topics: Set<String>) async -> Set<String> {
        var away: Set<String> = []
        for topic in topics.sorted() {
            switch await self.probe.standing(of: topic) {
            case .leaderless, .unknown: away.insert(topic)
            case .ready, .refused, .silent: continue
            }
        }
        return away
    }

    /// Reads a fire of the line; `nil` when nobody can.
    static func waitingFire(
        _ record: ParkedStretch.Record, _ rules: PublishingRules
    ) -> (fire: ParkedFire, topic: String)? {
        do throws(WireError) {
            let fire = try ParkedFire(decoding: record.bytes)
            if fire.letter != nil { return (fire, rules.topics.deadLetterTopic) }
            return (fire, self.topic(of: fire) ?? rules.topics.defaultTopic)
        } catch {
            return nil
        }
    }

    /// `nil` for the default topic, and when the template is unreadable.
    private static func topic(of fire: ParkedFire) -> String? {
        do throws(WireError) {
            let template = try FireTemplateView(fire.occurrence.template)
            return template.topic.isEmpty ? nil : template.string(\.topic)
        } catch {
            return nil
        }
    }
}
