/// Why an expression or a definition is refused: the codes of the dialect, in kebab case.
package enum ScheduleErrorCode: String, Hashable, Sendable, CaseIterable {
    case tooLong = "too-long"
    case empty = "empty"
    case unknownTimeZone = "unknown-timezone"
    case fieldCount = "field-count"
    case valueOutOfRange = "value-out-of-range"
    case zeroStep = "zero-step"
    case stepTooLarge = "step-too-large"
    case missingValue = "missing-value"
    case unknownName = "unknown-name"
    case misplacedModifier = "misplaced-modifier"
    case badOrdinal = "bad-ordinal"
    case reversedRange = "reversed-range"
    case unexpectedCharacter = "unexpected-character"
    case missingSeed = "missing-seed"
    case neverFires = "never-fires"
    case questionRule = "question-rule"
    case unknownMacro = "unknown-macro"
    case unsupportedMacro = "unsupported-macro"
    case badDuration = "bad-duration"
    case durationOutOfRange = "duration-out-of-range"
    case badRate = "bad-rate"
    case badTimestamp = "bad-timestamp"
    case badFunction = "bad-function"
    // What only a whole schedule can be guilty of.
    case timeZoneConflict = "timezone-conflict"
    case exhausted = "exhausted"
    case tooMany = "too-many"
    case unknownCalendar = "unknown-calendar"
    case badExclusion = "bad-exclusion"

    /// The same words as an interface writes them: `VALUE_OUT_OF_RANGE`.
    package var upperCode: String {
        String(self.rawValue.uppercased().map { $0 == "-" ? "_" : $0 })
    }
}

/// Why one expression is refused, and where: the first error, checked from left to right.
package struct CronError: Error, Hashable, Sendable {
    package var code: ScheduleErrorCode
    /// Zero-based offset in Unicode scalars into the expression as it was given, or `outside`.
    package var position: Int
    /// The field concerned, when it is about one.
    package var field: CronField?
    /// A sentence for people, with the remedy where it can be guessed. Columns in it count from 1.
    package var detail: String

    /// The position of an error that is not about the text of the expression but about what goes with it.
    package static let outside = -1

    package init(_ code: ScheduleErrorCode, at position: Int, field: CronField? = nil, _ detail: String) {
        self.code = code
        self.position = position
        self.field = field
        self.detail = detail
    }
}

/// Why a definition is refused, and which part of it.
package struct ScheduleError: Error, Hashable, Sendable {
    package var code: ScheduleErrorCode
    /// The part: `cron/0`, `timeZone`, `every`, `at/3`, `exclusions/2`, `endAt`, `jitter`; empty for the whole.
    package var path: String
    /// Offset into the expression, when it is about one.
    package var position: Int?
    /// Name of the cron field (`day-of-month`), when it is about one.
    package var field: String?
    /// A sentence for people, with the remedy where it can be guessed.
    package var detail: String

    package init(
        _ code: ScheduleErrorCode, path: String, position: Int? = nil, field: String? = nil, _ detail: String
    ) {
        self.code = code
        self.path = path
        self.position = position
        self.field = field
        self.detail = detail
    }

    /// The error of an expression that stands at `path`.
    package init(_ error: CronError, path: String) {
        self.init(error.code, path: path, position: error.position, field: error.field?.rawValue, error.detail)
    }

    /// The code as an interface writes it: `VALUE_OUT_OF_RANGE`.
    package var upperCode: String { self.code.upperCode }
}
