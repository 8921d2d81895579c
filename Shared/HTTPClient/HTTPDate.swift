import EscapementModel

/// The dates of RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, which servers have to send, and the two obsolete
/// forms that clients have to read all the same, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
enum HTTPDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Unix time, or `nil` for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        let parts = text.split { $0 == " " || $0 == "-" }
        let (day, month, year, time): (Substring, Substring, Substring, Substring)
        switch parts.count {
        case 6 where parts[5] == "GMT": (day, month, year, time) = (parts[1], parts[2], parts[3], parts[4])
        case 5: (day, month, year, time) = (parts[2], parts[1], parts[4], parts[3])
        default: return nil
        }
        guard let index = self.months.firstIndex(of: String(month)) else { return nil }
        func two(_ digits: String) -> String { digits.utf8.count < 2 ? "0\(digits)" : digits }
        // Two digits as POSIX reads them. The RFC's own rule needs a clock, and says the same of dates near to ours.
        let century = year.utf8.count > 2 ? "" : year < "70" ? "20" : "19"
        let date = "\(century)\(year)-\(two(String(index + 1)))-\(two(String(day)))"
        return WallInstant(text: "\(date)T\(time)Z")?.milliseconds
    }
}
