/// Named lists of dates that exclusions refer to.
package struct HolidayCalendars: Hashable, Sendable {
    private var lists: [String: [CivilDate]] = [:]

    package static let none = HolidayCalendars()

    package init() {}

    /// Dates a list may have; a century of holidays.
    package static let datesMax = 4096

    /// Sets a list, replacing one of the same name. Dates beyond `datesMax` are a programming error.
    package mutating func set(_ name: String, dates: [CivilDate]) {
        precondition(dates.count <= Self.datesMax, "a calendar of \(dates.count) dates")
        self.lists[name] = dates.sorted()
    }

    package subscript(name: String) -> [CivilDate]? { self.lists[name] }
    package var names: [String] { self.lists.keys.sorted() }
}
