/// An old name of a setting: taken for two minor versions, with one warning that names the new one.
package struct DeprecatedSetting: Equatable, Sendable {
    /// The variable that was.
    package var name: String
    /// The variable to set instead; what it says wins when both are set.
    package var replacement: String
    /// The version that refuses the old name.
    package var removal: String

    package init(_ name: String, replacement: String, removal: String) {
        self.name = name
        self.replacement = replacement
        self.removal = removal
    }

    /// What this version still takes. Nothing has been renamed yet.
    package static let all: [DeprecatedSetting] = []
}
