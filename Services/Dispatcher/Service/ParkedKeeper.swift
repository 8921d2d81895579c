import DispatcherDomain
package import EscapementModel
import NIOCore
import WireProtocol

/// Decides what becomes of parked fires: those of a topic that is back are published, those for an HTTP target are
/// delivered, the others wait on.
package struct ParkedKeeper: Sendable {
    /// Deliveries of one lane at a time; a client bounds them for each host besides.
    package static let deliveriesMax = 32

    package let topics: TopicHealth
    private let probe: any TopicProbe
    private let web: WebDelivery?
    private let clocks: any Clocks

    /// - Parameter web: `nil` refuses HTTP targets.
    package init(topics: TopicHealth = TopicHealth(), probe: any TopicProbe, web: WebDelivery?, clocks: any Clocks) {
        self.topics = topics
        self.probe = probe
        self.web = web
        self.clocks = clocks
    }

    /// One decision for each record, in order, and whether any fire comes to its end.
    func decide(
        _ records: [ByteBuffer], lane: LaneID, rules: PublishingRules
    ) async -> (decisions: [ParkedDecision], isProgress: Bool) {
        let fires = records.map { record -> ParkedFire? in
            do throws(WireError) { return try ParkedFire(decoding: record) } catch { return nil }
        }
        let available = await self.probeTopics(of: fires, rules)
        var decisions = [ParkedDecision](repeating: .drop, count: fires.count)
        await withTaskGroup(of: (Int, ParkedDecision).self) { group in
            var running = 0
            for (index, fire) in fires.enumerated() {
                guard let fire else { continue }
                guard let template = Self.template(of: fire), let target = template.web else {
                    let topic = Self.topic(of: fire, rules)
                    decisions[index] = available.contains(topic) ? .publish(fire) : .park(fire)
                    continue
                }
                if running == Self.deliveriesMax, let (done, decision) = await group.next() {
                    decisions[done] = decision
                    running -= 1
                }
                running += 1
                group.addTask { (index, await self.deliver(fire, template, target, lane, rules)) }
            }
            for await (done, decision) in group { decisions[done] = decision }
        }
        let isProgress = decisions.contains {
            if case .park = $0 { false } else { true }
        }
        return (decisions, isProgress)
    }

    private func deliver(
        _ fire: ParkedFire, _ template: FireTemplate, _ target: FireTemplate.Web, _ lane: LaneID,
        _ rules: PublishingRules
    ) async -> ParkedDecision {
        let now = self.clocks.wallNow()
        if let expiry = EventFormat.expiry(of: fire.occurrence, template), now > expiry {
            return .settle(fire, .skipped, .expired, detail: fire.detail)
        }
        if fire.notBefore > now { return .park(fire) }
        guard let web = self.web else {
            return .settle(fire, .failed, .targetRefused, detail: "HTTP targets are switched off")
        }
        let id = ActivationID(
            cluster: rules.cluster, kind: fire.occurrence.kind, uid: fire.occurrence.uid,
            scheduledTime: fire.occurrence.scheduled)
        let event = EventFormat.Fire(
            id: id, occurrence: fire.occurrence, template: template, lane: lane, sequence: 0)
        var next = fire
        next.attempts += 1
        switch await web.deliver(event, to: target, format: rules.format, attempt: next.attempts) {
        case .delivered(let detail):
            return .settle(next, .dispatched, .dispatched, detail: detail)
        case .refused(let reason, let detail):
            return .settle(next, .failed, reason, detail: detail)
        case .again(let pause, let detail):
            if next.attempts >= WebDelivery.attemptsMax {
                return .settle(next, .failed, .retriesExhausted, detail: detail)
            }
            next.notBefore = self.clocks.wallNow().advanced(by: pause)
            next.detail = detail
            return .park(next)
        }
    }

    /// The topics among `fires` that can take records now.
    private func probeTopics(of fires: [ParkedFire?], _ rules: PublishingRules) async -> Set<String> {
        var available: Set<String> = []
        let wanted = Set(
            fires.compactMap { $0 }.filter { Self.template(of: $0)?.web == nil }.map { Self.topic(of: $0, rules) })
        for topic in wanted.sorted() {
            if await self.probe.isAvailable(topic) {
                available.insert(topic)
                self.topics.restored(topic)
            } else {
                self.topics.lost(topic)
            }
        }
        return available
    }

    private static func template(of fire: ParkedFire) -> FireTemplate? {
        do throws(WireError) { return try FireTemplate(decoding: fire.occurrence.template) } catch { return nil }
    }

    private static func topic(of fire: ParkedFire, _ rules: PublishingRules) -> String {
        let topic = self.template(of: fire)?.topic ?? ""
        return topic.isEmpty ? rules.topics.defaultTopic : topic
    }
}
