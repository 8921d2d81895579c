import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling

extension APIServer {
    /// What a schedule would do, without storing one.
    var previewRoutes: [Route] {
        [
            Route(
                .post, "/v1/preview", id: "preview", "The fires that a `when` would lead to", needs: .read,
                body: "PreviewInput", answers: [200: "Preview"], handler: { try await self.preview($0) })
        ]
    }

    private func preview(_ call: APICall) async throws -> Response {
        let document = try await call.document()
        var reader = ObjectReader(document, at: "")
        if !reader.problems.isEmpty { throw Problem.invalid(reader.problems) }
        let now = self.clocks.wallNow()
        reader.require("when")
        let when = reader.value("when")
        let from = reader.instant("from") ?? now
        let count = Int(reader.integer("count", in: 1...Int64(self.settings.upcomingMax)) ?? 10)
        // `H` is drawn from the uid of a schedule; without one the preview says what a `seed` would give.
        let name = reader.string("seed")
        var definition: ScheduleDefinition?
        if let when {
            let (read, problems) = WhenDocument.read(when, now: from)
            reader.note(problems)
            definition = read
            if let read {
                var errors = read.problems(zones: self.zones)
                if let conflict = read.zoneConflict(explicitTimeZone: when["timeZone"]?.stringValue),
                    !errors.contains(conflict)
                {
                    errors.append(conflict)
                }
                reader.note(WhenDocument.problems(errors, in: when))
            }
        }
        let problems = reader.finish()
        guard problems.isEmpty, var definition else { throw Problem.invalid(problems) }
        if let name { definition.seed = definition.seed ?? name }
        let compiled: CompiledSchedule
        do throws(ScheduleError) {
            compiled = try CompiledSchedule(
                definition, uid: .zero, createdAt: from, zones: self.zones, cache: self.programs)
        } catch {
            throw Problem.invalid(WhenDocument.problems([error], in: when ?? .object([])))
        }
        let list = FireList(compiled: compiled, occurrences: compiled.upcoming(after: from, count: count))
        return Answer.json(
            .record([
                "text": .string(compiled.text), "fires": .array(list.documents), "warnings": .array(list.warnings),
                "tzdata": self.zones.version.map { .string($0) } ?? .null,
            ]))
    }
}
