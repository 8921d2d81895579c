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

    init(zones: ZoneDatabase) { self.zones = zones }

    /// Why a version cannot be fired by this build: it came from a newer one, or its zone is missing here.
    struct Unreadable: Error {
        var uid: UID
        var detail: String
    }

    /// - Parameter unreadable: told of each version that cannot be understood; the others are kept.
    func changes(
        from contents: ShardContents, unreadable: (Unreadable) -> Void
    ) -> [ShardChange<ByteBuffer>] {
        var changes: [ShardChange<ByteBuffer>] = []
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

    static func entry(from timer: TimerVersion) -> TimerEntry<ByteBuffer> {
        TimerEntry(
            uid: timer.uid, revision: timer.revision, due: timer.due,
            expireAfterMilliseconds: timer.expireAfterMilliseconds, payload: timer.template,
            payloadBytes: timer.template.readableBytes)
    }

    private func entry(from version: ScheduleVersion) throws(Unreadable) -> ScheduleEntry<ByteBuffer> {
        let definition = try self.definition(of: version)
        let schedule: CompiledSchedule
        do throws(ScheduleError) {
            schedule = try CompiledSchedule(
                definition, uid: version.uid, createdAt: version.createdAt, zones: self.zones, cache: self.programs)
        } catch {
            throw Unreadable(uid: version.uid, detail: "\(error.path): \(error.detail)")
        }
        let rule = MisfireRule(
            policy: MisfireRule.Policy(rawValue: version.misfire.policy) ?? .latest,
            toleranceMilliseconds: Int64(clamping: version.misfire.toleranceMilliseconds),
            windowMilliseconds: Int64(clamping: version.misfire.windowMilliseconds), limit: Int(version.misfire.limit))
        return ScheduleEntry(
            uid: version.uid, generation: version.generation, kind: version.kind,
            createdRevision: version.createdRevision, replaces: version.replaces, from: version.from,
            endedRevision: version.endedRevision, until: version.until,
            plan: CompiledPlan(schedule: schedule, rule: rule), payload: version.template,
            payloadBytes: version.template.readableBytes)
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
