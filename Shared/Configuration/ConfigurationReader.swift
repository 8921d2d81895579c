import EscapementModel

/// Reads settings by name, notes what it read and everything that is wrong with it. Every accessor answers a
/// usable value even after a problem, so that one start reports all of them.
///
/// A variable that is set but empty counts as not set, as compose files produce them.
package struct ConfigurationReader {
    package let sources: ConfigurationSources
    package private(set) var entries: [ConfigurationEntry] = []
    package private(set) var problems: [ConfigurationProblem] = []
    package private(set) var warnings: [ConfigurationProblem] = []
    /// Every variable that was asked for, aliases and `_FILE` forms included.
    package private(set) var knownNames: Set<String> = []
    private(set) var knownFlags: Set<String> = ["config", Self.flagName(of: Self.fileVariable)]
    /// Every setting that was asked for, in that order.
    package private(set) var descriptions: [SettingDescription] = []
    /// Other people's names that were used.
    private(set) var usedAliases: [String] = []

    /// Names the configuration file, as does `--config`.
    package static let fileVariable = "ESCAPEMENT_CONFIG_FILE"

    package init(_ sources: ConfigurationSources) {
        self.sources = sources
        self.knownNames.insert(Self.fileVariable)
        if let file = sources.file { self.note(Self.fileVariable, file.path, sources.fileOrigin) }
    }

    /// `ESCAPEMENT_HTTP_LISTEN` is `--http-listen`, `KAFKA_CLIENT_ID` is `--kafka-client-id`.
    package static func flagName(of name: String) -> String {
        let name = name.hasPrefix("ESCAPEMENT_") ? name.dropFirst("ESCAPEMENT_".utf8.count) : name[...]
        return String(name.lowercased().map { $0 == "_" ? "-" : $0 })
    }

    // MARK: Problems

    package mutating func refuse(_ name: String, _ message: String, remedy: String) {
        self.problems.append(ConfigurationProblem(name, message, remedy: remedy))
    }

    package mutating func warn(_ name: String, _ message: String, remedy: String) {
        self.warnings.append(ConfigurationProblem(name, message, remedy: remedy))
    }

    // MARK: Values

    /// The text of a setting, or `nil`. `aliases` are other people's names for it, taken with a warning.
    package mutating func text(_ name: String, default fallback: String? = nil, aliases: [String] = []) -> String? {
        let found = self.find(name, aliases: aliases)
        self.describe(name, "a text", fallback ?? "", aliases: aliases)
        self.note(name, found?.text ?? fallback ?? "", found?.origin ?? .default)
        return found?.text ?? fallback
    }

    /// A setting that must be there; a problem and an empty text when it is not.
    package mutating func requiredText(_ name: String, aliases: [String] = [], remedy: String) -> String {
        guard let text = self.text(name, aliases: aliases) else {
            self.refuse(name, "is not set", remedy: remedy)
            return ""
        }
        return text
    }

    /// A setting that `parse` understands.
    ///
    /// - Parameter expected: what it should be, for the remedy: `a duration such as 40s`.
    package mutating func value<Value>(
        _ name: String, default fallback: Value, expected: String, aliases: [String] = [],
        show: (Value) -> String, parse: (String) -> Value?
    ) -> Value {
        let found = self.find(name, aliases: aliases)
        self.describe(name, expected, show(fallback), aliases: aliases)
        var result = fallback
        if let found {
            if let value = parse(found.text) {
                result = value
            } else {
                self.refuse(name, "is '\(found.text)'", remedy: "set it to \(expected)")
            }
        }
        self.note(name, show(result), found?.origin ?? .default)
        return result
    }

    package mutating func integer(_ name: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
        self.value(
            name, default: fallback, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            show: { "\($0)" }, parse: { Int($0).flatMap { range.contains($0) ? $0 : nil } })
    }

    /// `90s`, `1h30m`, `PT90S`.
    package mutating func duration(
        _ name: String, default fallback: Duration, in range: ClosedRange<Duration>
    ) -> Duration {
        self.value(
            name, default: fallback,
            expected: "a duration from \(DurationText.format(range.lowerBound)) to "
                + "\(DurationText.format(range.upperBound)), such as \(DurationText.format(fallback))",
            show: DurationText.format, parse: { DurationText.parse($0).flatMap { range.contains($0) ? $0 : nil } })
    }

    /// Bytes: `1048576`, `64KiB`, `16MiB`, `2GiB`, or in powers of ten `64kB`, `16MB`, `2GB`.
    package mutating func size(_ name: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
        self.value(
            name, default: fallback,
            expected: "a size from \(SizeText.format(range.lowerBound)) to \(SizeText.format(range.upperBound))",
            show: SizeText.format, parse: { SizeText.parse($0).flatMap { range.contains($0) ? $0 : nil } })
    }

    package mutating func flag(_ name: String, default fallback: Bool) -> Bool {
        self.value(name, default: fallback, expected: "true or false", show: { "\($0)" }) { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": true
            case "false", "no", "off", "0": false
            default: nil
            }
        }
    }

    /// One of an enum's raw values, in any case.
    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, default fallback: Choice
    ) -> Choice {
        let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return self.value(name, default: fallback, expected: "one of \(names)", show: \.rawValue) { text in
            Choice.allCases.first { $0.rawValue.lowercased() == text.lowercased() }
        }
    }

    package mutating func listen(_ name: String, default fallback: ListenAddress) -> ListenAddress {
        self.value(
            name, default: fallback, expected: "host:port, such as \(fallback)", show: \.description,
            parse: { ListenAddress(text: $0) })
    }

    /// The path of a file that must be readable; `nil` when not set.
    package mutating func file(_ name: String) -> String? {
        guard let path = self.text(name) else { return nil }
        do {
            _ = try SmallFile.read(path, byteCountMax: 1 << 20)
        } catch {
            self.refuse(name, "names \(path), which \(error.reason)", remedy: "name a file that this user can read")
        }
        return path
    }

    /// The path of a directory.
    package mutating func directory(_ name: String, default fallback: String) -> String {
        self.describe(name, "a directory", fallback)
        guard let found = self.find(name, aliases: []) else {
            self.note(name, fallback, .default)
            return fallback
        }
        self.note(name, found.text, found.origin)
        if !SmallFile.isDirectory(found.text) {
            self.refuse(name, "names \(found.text), which is not a directory", remedy: "name an existing directory")
        }
        return found.text
    }

    /// The items of a comma-separated list, without spaces around them and without empty ones.
    package static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { self.trimmed($0) }.filter { !$0.isEmpty }
    }

    // MARK: Secrets

    /// The secret `name`, or the file that `name_FILE` names; a file is read once, to report it now when it
    /// cannot be used. Never from a flag: other users see a process's arguments.
    package mutating func secret(_ name: String) -> Secret? {
        let fileName = name + "_FILE"
        self.describe(name, "a secret", "", isSecret: true)
        self.knownNames.formUnion([name, fileName])
        self.knownFlags.insert(Self.flagName(of: fileName))
        if self.sources.flags[Self.flagName(of: name)] != nil {
            self.knownFlags.insert(Self.flagName(of: name))
            self.refuse(
                "--\(Self.flagName(of: name))", "would show a secret to other users of the machine",
                remedy: "set \(fileName) to a file that holds it")
            return nil
        }
        if self.sources.file?.values[name] != nil {
            self.refuse(
                name, "would stand in clear in a configuration file", remedy: "name a file that holds it in \(fileName)"
            )
            return nil
        }
        let value = self.sources.environment[name].flatMap { $0.isEmpty ? nil : $0 }
        let file = self.lookUp(fileName)
        if value != nil, let file {
            self.refuse(name, "and \(fileName) are both set", remedy: "keep \(fileName) and unset \(name)")
            self.note(name, Self.mask, .file(file.text, variable: fileName))
            return Secret(file: file.text)
        }
        if let file {
            let secret = Secret(file: file.text)
            do {
                _ = try secret.read()
            } catch {
                self.refuse(
                    fileName, "names \(error.path), which \(error.reason)",
                    remedy: "name a file that holds the secret and that this user can read")
            }
            self.note(name, Self.mask, .file(file.text, variable: fileName))
            return secret
        }
        self.note(name, value == nil ? "" : Self.mask, value == nil ? .default : .environment(name))
        return value.map { Secret($0) }
    }

    /// What a secret looks like in a listing.
    package static let mask = "********"

    // MARK: Other people's variables

    /// A variable taken exactly as it is named, from the environment only, without an entry of its own.
    package mutating func foreign(_ name: String) -> String? {
        self.knownNames.insert(name)
        guard let text = self.sources.environment[name] else { return nil }
        let trimmed = Self.trimmed(text)
        return trimmed.isEmpty ? nil : trimmed
    }

    /// A variable of a family whose names are not known, such as `KAFKA_PROPERTY_…`: from the environment, else from
    /// the file.
    package mutating func member(_ name: String) -> (text: String, origin: ConfigurationOrigin)? {
        if let text = self.foreign(name) { return (text, .environment(name)) }
        guard let file = self.sources.file, let value = file.values[name] else { return nil }
        return (value.text, .configuration(value.key, file: file.path, line: value.line))
    }

    /// Notes a setting that was taken from a foreign variable.
    package mutating func note(_ name: String, _ value: String, _ origin: ConfigurationOrigin) {
        self.entries.removeAll { $0.name == name }
        self.entries.append(ConfigurationEntry(name: name, value: value, origin: origin))
        self.knownNames.insert(name)
    }

    /// Spaces and line breaks around a value are never meant.
    package static func trimmed(_ text: some StringProtocol) -> String {
        var rest = Substring(text)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }

    private mutating func find(_ name: String, aliases: [String]) -> (text: String, origin: ConfigurationOrigin)? {
        self.knownNames.insert(name)
        self.knownNames.formUnion(aliases)
        self.knownFlags.insert(Self.flagName(of: name))
        if let found = self.lookUp(name) { return found }
        for alias in aliases {
            if let text = self.foreign(alias) {
                self.warn(alias, "is another name for \(name)", remedy: "set \(name) instead")
                self.usedAliases.append(alias)
                return (text, .environment(alias))
            }
        }
        return nil
    }

    private func lookUp(_ name: String) -> (text: String, origin: ConfigurationOrigin)? {
        let old = self.sources.deprecated.filter { $0.replacement == name }.map(\.name)
        for name in [name] + old {
            let flag = Self.flagName(of: name)
            if let text = self.sources.flags[flag] { return (Self.trimmed(text), .flag(flag)) }
            if let text = self.sources.environment[name].map({ Self.trimmed($0) }), !text.isEmpty {
                return (text, .environment(name))
            }
            if let file = self.sources.file, let value = file.values[name] {
                return (Self.trimmed(value.text), .configuration(value.key, file: file.path, line: value.line))
            }
        }
        return nil
    }

    /// Whether an old name is used, in whichever source.
    func uses(_ old: DeprecatedSetting) -> Bool {
        self.sources.flags[Self.flagName(of: old.name)] != nil || self.sources.environment[old.name]?.isEmpty == false
            || self.sources.file?.values[old.name] != nil
    }

    private mutating func describe(
        _ name: String, _ expected: String, _ fallback: String, isSecret: Bool = false, aliases: [String] = []
    ) {
        guard !self.descriptions.contains(where: { $0.name == name }) else { return }
        self.descriptions.append(
            SettingDescription(
                name: name, expected: expected, fallback: fallback, isSecret: isSecret, aliases: aliases))
    }
}
