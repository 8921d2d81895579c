/// Sizes in bytes as people write them.
package enum SizeText {
    private static let units: [(name: String, factor: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("B", 1),
    ]

    /// `nil` for anything but a whole number with a known unit or none.
    package static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let count = Int(digits),
            let factor = unit.isEmpty ? 1 : self.units.first(where: { $0.name == unit })?.factor
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// In the largest binary unit that divides it: `16MiB`.
    package static func format(_ bytes: Int) -> String {
        for (name, factor) in self.units[..<3].reversed() where bytes >= factor && bytes.isMultiple(of: factor) {
            return "\(bytes / factor)\(name)"
        }
        return "\(bytes)"
    }
}
