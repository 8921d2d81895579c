/// What a setting is, as the code that reads it says.
package struct SettingDescription: Equatable, Sendable {
    /// The variable.
    package var name: String
    /// What it may be: `a duration from 1s to 1h, such as 40s`.
    package var expected: String
    /// As text; empty when there is none.
    package var fallback: String
    package var isSecret: Bool
    /// Other people's names for it, taken with a warning.
    package var aliases: [String]
}
