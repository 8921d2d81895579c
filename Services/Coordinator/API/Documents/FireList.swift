import EscapementModel
import JSON
import Scheduling

/// Upcoming fires as documents, with what clock changes do to them.
struct FireList {
    let compiled: CompiledSchedule
    let occurrences: [Occurrence]

    /// `{"at", "due", "local", "note"}` for each.
    var documents: [JSONValue] {
        self.occurrences.map { occurrence in
            .record([
                "at": .string(occurrence.scheduled.description),
                "due": occurrence.due == occurrence.scheduled ? nil : .string(occurrence.due.description),
                "local": .string(self.compiled.zone.localText(of: occurrence.scheduled)),
                "note": self.compiled.clockChange(at: occurrence.scheduled).map { .string($0.note) },
            ])
        }
    }

    /// What a person should know before relying on these times.
    var warnings: [JSONValue] {
        var warnings: [JSONValue] = []
        for occurrence in self.occurrences {
            switch self.compiled.clockChange(at: occurrence.scheduled) {
            case nil: continue
            case .shifted(let skipped)?:
                warnings.append([
                    "code": "DST_GAP",
                    "detail": .string(
                        "\(skipped) does not exist in \(self.compiled.zone.name); fires at \(self.compiled.zone.localText(of: occurrence.scheduled))"
                    ),
                ])
            case .repeated(let isFirst)?:
                let local = self.compiled.zone.localText(of: occurrence.scheduled)
                warnings.append([
                    "code": "DST_OVERLAP",
                    "detail": .string(
                        "the clock shows \(local) twice; this is the \(isFirst ? "first" : "second") time"),
                ])
            }
            if warnings.count >= Self.warningsMax { break }
        }
        return warnings
    }

    private static let warningsMax = 20
}
