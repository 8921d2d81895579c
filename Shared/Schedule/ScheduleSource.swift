/// One of the sets of instants whose union a schedule fires at. Instants in milliseconds.
enum ScheduleSource: Sendable {
    case cron(CronProgram, ZoneSearch)
    case grid(IntervalGrid)
    case days(CivilDays, ZoneSearch)
    case months(CivilMonths, ZoneSearch)
    case point(CivilPoint, ZoneSearch)
    /// Ascending.
    case list([Int])

    /// The least instant after `instant`. Does not allocate.
    func next(after instant: Int) -> Int? {
        switch self {
        case .cron(let program, let search): Self.milliseconds(search.next(program, after: Self.floor(instant)))
        case .grid(let grid): grid.next(after: instant)
        case .days(let days, let search): Self.milliseconds(search.next(days, after: Self.floor(instant)))
        case .months(let months, let search): Self.milliseconds(search.next(months, after: Self.floor(instant)))
        case .point(let point, let search): Self.milliseconds(search.next(point, after: Self.floor(instant)))
        case .list(let instants):
            switch Self.index(of: instant, in: instants) {
            case let index where index < instants.count: instants[index]
            default: nil
            }
        }
    }

    /// The greatest instant before `instant`.
    func previous(before instant: Int) -> Int? {
        let second = Self.floor(instant - 1) + 1
        return switch self {
        case .cron(let program, let search): Self.milliseconds(search.previous(program, before: second))
        case .grid(let grid): grid.previous(before: instant)
        case .days(let days, let search): Self.milliseconds(search.previous(days, before: second))
        case .months(let months, let search): Self.milliseconds(search.previous(months, before: second))
        case .point(let point, let search): Self.milliseconds(search.previous(point, before: second))
        case .list(let instants):
            switch Self.index(of: instant - 1, in: instants) {
            case 0: nil
            case let index: instants[index - 1]
            }
        }
    }

    /// How many instants lie after `after` and not after `through`; not enumerated.
    func count(after: Int, through: Int) -> Int {
        let from = Self.floor(after)
        let to = Self.floor(through)
        return switch self {
        case .cron(let program, let search): search.count(program, after: from, through: to)
        case .grid(let grid): grid.count(after: after, through: through)
        case .days(let days, let search): search.count(days, after: from, through: to)
        case .months(let months, let search): search.count(months, after: from, through: to)
        case .point(let point, let search): search.count(point, after: from, through: to)
        case .list(let instants):
            max(0, Self.index(of: through, in: instants) - Self.index(of: after, in: instants))
        }
    }

    /// How many elements of an ascending list are not above `value`.
    private static func index(of value: Int, in list: [Int]) -> Int {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whole seconds, rounded towards the past.
    static func floor(_ milliseconds: Int) -> Int {
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        return rest < 0 ? seconds - 1 : seconds
    }

    private static func milliseconds(_ second: Int?) -> Int? { second.map { $0 * 1000 } }
}
