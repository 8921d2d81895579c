/// Small pieces of text handling over Unicode scalars.
enum CronText {
    /// ASCII letters in lower case, everything else as it is.
    static func lower(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value + 32)) : scalar
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }

    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    static func lowered(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        self.string(scalars.lazy.map(self.lower))
    }

    /// The scalar in quotes, or its number when it cannot be shown.
    static func quoted(_ scalar: Unicode.Scalar) -> String {
        if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) || scalar.properties.isDefaultIgnorableCodePoint
        {
            return "U+" + String(scalar.value, radix: 16, uppercase: true)
        }
        return "'\(scalar)'"
    }
}
