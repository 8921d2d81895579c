/// `--name value` and `--name=value`, as every service takes them. No sub-commands, no short forms.
package struct CommandLineFlags: Equatable, Sendable {
    /// Values by name without dashes.
    package var values: [String: String] = [:]
    /// The switches that were given, such as `print-config`.
    package var switches: Set<String> = []

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - knownSwitches: names that take no value.
    /// - Throws: `ConfigurationRefusal` with a problem for each argument that is no flag, lacks its value or
    ///   repeats.
    package init(
        _ arguments: [String], knownSwitches: Set<String> = ["help", "version", "print-config"]
    ) throws(ConfigurationRefusal) {
        var problems: [ConfigurationProblem] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.utf8.count > 2 else {
                problems.append(
                    ConfigurationProblem("the argument", "'\(argument)' is not a flag", remedy: "write --name value"))
                continue
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if knownSwitches.contains(name), parts.count == 1 {
                self.switches.insert(name)
                continue
            }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                problems.append(
                    ConfigurationProblem("--\(name)", "has no value", remedy: "write --\(name) value"))
                continue
            }
            if self.values.updateValue(value, forKey: name) != nil {
                problems.append(ConfigurationProblem("--\(name)", "is given twice", remedy: "keep one of them"))
            }
        }
        if !problems.isEmpty { throw ConfigurationRefusal(problems) }
    }
}
