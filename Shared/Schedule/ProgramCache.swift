import Synchronization

/// Parsed expressions by text and programs by content, so that a million schedules with the same
/// text share one program. Thread-safe; bounded: when full it starts afresh.
package final class ProgramCache: Sendable {
    private struct Key: Hashable {
        var text: String
        /// Only for expressions with `H`; the others do not depend on it.
        var seed: String?
    }

    private struct State {
        var expressions: [Key: CronExpression] = [:]
        var programs: Set<CronProgram> = []
    }

    private let state = Mutex(State())
    private let entriesMax: Int

    /// - Parameter entriesMax: expressions kept; about 300 bytes each.
    package init(entriesMax: Int = 65_536) { self.entriesMax = max(1, entriesMax) }

    /// Parses `text` unless an equal expression is known. Errors are not remembered.
    package func expression(
        _ text: String, seed: String?, zones: ZoneDatabase
    ) throws(CronError) -> CronExpression {
        let known = self.state.withLock { state in
            state.expressions[Key(text: text, seed: nil)]
                ?? seed.flatMap { state.expressions[Key(text: text, seed: $0)] }
        }
        if let known { return known }
        let parsed = try CronExpression.parse(text, seed: seed, zones: zones)
        return self.state.withLock { state in
            let shared = Self.shared(parsed, in: &state)
            // A drawn expression is only worth keeping by its program: its text and seed rarely return.
            if !parsed.isSeeded {
                if state.expressions.count >= self.entriesMax { state.expressions.removeAll() }
                state.expressions[Key(text: text, seed: nil)] = shared
            }
            return shared
        }
    }

    private static func shared(_ expression: CronExpression, in state: inout State) -> CronExpression {
        guard case .calendar(let program) = expression.body else { return expression }
        if state.programs.count >= 65_536 { state.programs.removeAll() }
        let (_, known) = state.programs.insert(program)
        return CronExpression(
            body: .calendar(known), zoneName: expression.zoneName, isSeeded: expression.isSeeded,
            namesMinutes: expression.namesMinutes)
    }
}
