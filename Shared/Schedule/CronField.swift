/// The fields of an expression, in the order in which they are written; the raw value is the name in
/// errors and in the draw of `H`.
package enum CronField: String, Hashable, Sendable, CaseIterable {
    case second
    case minute
    case hour
    case dayOfMonth = "day-of-month"
    case month
    case dayOfWeek = "day-of-week"
    case year

    /// The values a number may have. Seven is a second name of Sunday.
    var range: ClosedRange<Int> {
        switch self {
        case .second, .minute: 0...59
        case .hour: 0...23
        case .dayOfMonth: 1...31
        case .month: 1...12
        case .dayOfWeek: 0...7
        case .year: CivilTime.yearMin...CivilTime.yearMax
        }
    }

    /// The values that `*` stands for, and the last value of `a/n`.
    var span: ClosedRange<Int> { self == .dayOfWeek ? 0...6 : self.range }

    /// The values that a bare `H` draws from: every month has a 28th.
    var drawRange: ClosedRange<Int> { self == .dayOfMonth ? 1...28 : self.span }

    /// Three-letter names, the first one standing for `range.lowerBound`.
    var names: [String] {
        switch self {
        case .month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        case .dayOfWeek: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
        default: []
        }
    }

    /// For sentences: `day of month`.
    var words: String { String(self.rawValue.map { $0 == "-" ? " " : $0 }) }
}
