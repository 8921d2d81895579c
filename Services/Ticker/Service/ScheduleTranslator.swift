import EscapementModel
import JSON
import NIOCore
import ScheduleDocuments
import Scheduling
import Synchronization
import TickerDomain
import WireProtocol

/// Turns what the leader sends into what the domain keeps: reads `when`, compiles it.
///
/// Definitions are read once per distinct text. Used from the task that reads the leader's link.
final class ScheduleTranslator: Sendable {
    /// Distinct definitions remembered, at most; then the memory starts anew.
    private static let definitionsMax = 100_000

    private let zones: ZoneDatabase
    /// Equal expressions share one program, however many schedules have them.
    private let programs = ProgramCache()
    private let definitions = Mutex<[ByteBuffer: ScheduleDefinition]>([:])
    private let plans = Mutex<[PlanKey: CompiledPlan]>([:])

    private struct PlanKey: Hashable {
        var when: ByteBuffer
        var rule: MisfireRule
    }

    init(zones: ZoneDatabase) { self.zones = zones }

    /// The rules of zones changed: what is compiled from now on follows the new ones.
    func zonesChanged() { self.plans.withLock { $0.removeAll() } }

    /// Why a version cannot be fired by this build: it came from a newer one, or its zone is missing here.
    struct Unreadable: Error {
        var uid: UID
        var detail: String
    }

    /// - Parameter unreadable: told of each version that cannot be understood; the others are kept.
    func changes(
        from contents: ShardContents, unreadable: (Unreadable) -> Void
    ) -> [ShardChange<[UInt8]>] {
        var changes: [ShardChange<[UInt8]>] = []
        changes.reserveCapacity(contents.schedules.count + contents.timers.count)
        for version in contents.schedules {
            do throws(Unreadable) {
                changes.append(.schedule(try self.entry(from: version)))
            } catch {
                unreadable(error)
            }
        }
        for timer in contents.timers {
            changes.append(
                timer.endedRevision == nil
                    ? .timer(Self.entry(from: timer)) : .timerCancelled(uid: timer.uid, due: timer.due))
        }
        return changes
    }

    static func entry(from timer: TimerVersion) -> TimerEntry<[UInt8]> {
        TimerEntry(
            uid: timer.uid, revision: timer.revision, due: timer.due,
            expireAfterMilliseconds: timer.expireAfterMilliseconds, payload: Self.bytes(of: timer.template),
            payloadBytes: timer.template.readableBytes)
    }

    private func entry(from version: ScheduleVersion) throws(Unreadable) -> ScheduleEntry<[UInt8]> {
        let definition = try self.definition(of: version)
        let rule = MisfireRule(
            policy: MisfireRule.Policy(rawValue: version.misfire.policy) ?? .latest,
            toleranceMilliseconds: Int64(clamping: version.misfire.toleranceMilliseconds),
            windowMilliseconds: Int64(clamping: version.misfire.windowMilliseconds), limit: Int(version.misfire.limit))
        return ScheduleEntry(
            uid: version.uid, generation: version.generation, kind: version.kind,
            createdRevision: version.createdRevision, replaces: version.replaces, from: version.from,
            endedRevision: version.endedRevision, until: version.until,
            plan: try self.plan(of: version, definition, rule), payload: Self.bytes(of: version.template),
            payloadBytes: version.template.readableBytes)
    }

    /// A copy of its own: what arrived is a slice of a whole page, which it would hold in memory.
    private static func bytes(of template: ByteBuffer) -> [UInt8] { Array(template.readableBytesView) }

    /// Plans that ask neither who the schedule is nor when it was created are shared by all that read alike.
    private func plan(
        of version: ScheduleVersion, _ definition: ScheduleDefinition, _ rule: MisfireRule
    ) throws(Unreadable) -> CompiledPlan {
        let tellsNeighbours = FireTemplate.namesNeighbours(version.template)
        // What lies before the creation is left out by the version's own `from`, but is not to be named either.
        let isShared =
            !tellsNeighbours && version.from >= version.createdAt
            && definition.isImpersonal(zones: self.zones, cache: self.programs)
        let key = isShared ? PlanKey(when: version.when, rule: rule) : nil
        if let key, let known = self.plans.withLock({ $0[key] }) { return known }
        let plan: CompiledPlan
        do throws(ScheduleError) {
            plan = CompiledPlan(
                schedule: try CompiledSchedule(
                    definition, uid: version.uid,
                    createdAt: isShared ? WallInstant(milliseconds: 0) : version.createdAt, zones: self.zones,
                    cache: self.programs), rule: rule, tellsNeighbours: tellsNeighbours)
        } catch {
            throw Unreadable(uid: version.uid, detail: "\(error.path): \(error.detail)")
        }
        if let key {
            self.plans.withLock { plans in
                if plans.count >= Self.definitionsMax { plans.removeAll() }
                plans[key] = plan
            }
        }
        return plan
    }

    private func definition(of version: ScheduleVersion) throws(Unreadable) -> ScheduleDefinition {
        if let known = self.definitions.withLock({ $0[version.when] }) { return known }
        let document: JSONValue
        do throws(JSONError) {
            document = try JSONParser.parse(version.when.readableBytesView)
        } catch {
            throw Unreadable(uid: version.uid, detail: error.description)
        }
        let (definition, problems) = WhenDocument.read(document)
        guard let definition, problems.isEmpty else {
            let detail = problems.map { "\($0.pointer): \($0.detail)" }.joined(separator: "; ")
            throw Unreadable(uid: version.uid, detail: detail)
        }
        self.definitions.withLock { definitions in
            if definitions.count >= Self.definitionsMax { definitions.removeAll() }
            definitions[version.when] = definition
        }
        return definition
    }
}
