import Yams

/// The configuration file: YAML whose paths say what variables say. `http.adminListen` is
/// `ESCAPEMENT_HTTP_ADMIN_LISTEN`, `kafka.bootstrapServers` is `KAFKA_BOOTSTRAP_SERVERS`, `postgres.host` is `PGHOST`.
///
/// Reading never fails as a whole: what is wrong is in `problems`, with the line, next to what is wrong elsewhere.
package struct ConfigurationFile: Equatable, Sendable {
    /// One setting of the file.
    package struct Value: Equatable, Sendable {
        package var text: String
        /// As written: `http.adminListen`.
        package var key: String
        /// From 1.
        package var line: Int
    }

    /// The form of files that this build reads; `configVersion` of the file, 1 when it says nothing.
    package static let version = 1
    /// The largest file, bytes.
    package static let byteCountMax = 1 << 20

    package var path: String
    /// By variable.
    package private(set) var values: [String: Value] = [:]
    package private(set) var problems: [ConfigurationProblem] = []

    /// Reads the file. Blocking.
    ///
    /// - Parameter deprecated: old names that are still taken.
    package init(path: String, deprecated: [DeprecatedSetting] = DeprecatedSetting.all) {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(path, byteCountMax: Self.byteCountMax)
        } catch {
            self.init(text: "", path: path)
            self.problems = [
                ConfigurationProblem(
                    "the configuration file \(path)", error.reason, remedy: "name a file that this user can read")
            ]
            return
        }
        self.init(text: String(decoding: bytes, as: UTF8.self), path: path, deprecated: deprecated)
    }

    package init(text: String, path: String, deprecated: [DeprecatedSetting] = DeprecatedSetting.all) {
        self.path = path
        do {
            guard let root = try Yams.compose(yaml: text) else { return }
            guard case .mapping(let mapping) = root else {
                self.refuse(path, root.mark?.line ?? 1, "is not a mapping of keys to values", "write key: value")
                return
            }
            let names = ConfigurationPath.names(deprecated: deprecated)
            self.take(mapping, below: [], names)
        } catch let error as YamlError {
            self.problems.append(
                ConfigurationProblem(
                    "the configuration file \(path)", "is not YAML: \(Self.reason(error))", remedy: "mend it there"))
        } catch {
            self.problems.append(
                ConfigurationProblem(
                    "the configuration file \(path)", "cannot be read: \(error)", remedy: "mend it there"))
        }
    }

    /// `http.adminListen (config.yaml:4)`.
    package func place(of value: Value) -> String { "\(value.key) (\(self.path):\(value.line))" }

    private mutating func take(_ mapping: Node.Mapping, below path: [String], _ names: [String: String]) {
        for (keyNode, node) in mapping {
            guard let key = keyNode.string else {
                self.refuse("a key", keyNode.mark?.line ?? 1, "is not text", "write key: value")
                continue
            }
            let here = path + [key]
            switch node {
            case .mapping(let inner): self.take(inner, below: here, names)
            case .sequence(let items):
                let texts = items.compactMap { $0.scalar?.string }
                if texts.count == items.count {
                    self.note(texts.joined(separator: ","), here, keyNode.mark?.line ?? 1, names)
                } else {
                    self.refuse(
                        here.joined(separator: "."), keyNode.mark?.line ?? 1, "is a list of more than texts",
                        "write a list of texts")
                }
            case .scalar(let scalar):
                // `key:` and `key: null` say nothing.
                let isNull = scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
                self.note(isNull ? "" : scalar.string, here, keyNode.mark?.line ?? 1, names)
            case .alias:
                self.refuse(here.joined(separator: "."), keyNode.mark?.line ?? 1, "is an alias", "write it out")
            }
        }
    }

    private mutating func note(_ text: String, _ path: [String], _ line: Int, _ names: [String: String]) {
        let key = path.joined(separator: ".")
        if key == "configVersion" { return self.check(version: text, line) }
        guard let variable = ConfigurationPath.variable(of: path, names) else {
            let near = Suggestion.nearest(
                to: key, among: Set(names.values).compactMap { ConfigurationPath.path(of: $0) })
            self.refuse(
                key, line, "is not a setting",
                near.map { "did you mean \($0)?" } ?? "take it out, or see docs/configuration-reference.md")
            return
        }
        if let earlier = self.values[variable] {
            self.refuse(key, line, "is given twice, first in line \(earlier.line)", "keep one of them")
        } else if !text.isEmpty {
            self.values[variable] = Value(text: text, key: key, line: line)
        }
    }

    private mutating func check(version text: String, _ line: Int) {
        guard let version = Int(text), version >= 1 else {
            return self.refuse("configVersion", line, "is '\(text)'", "write configVersion: \(Self.version)")
        }
        if version > Self.version {
            self.refuse(
                "configVersion", line, "is \(version), and this build reads \(Self.version)",
                "use a later Escapement, or write the file in form \(Self.version)")
        }
    }

    private mutating func refuse(_ key: String, _ line: Int, _ message: String, _ remedy: String) {
        self.problems.append(ConfigurationProblem("\(key) (\(self.path):\(line))", message, remedy: remedy))
    }

    /// The parser's words without the text of the file, which may hold what should not be shown.
    private static func reason(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "\(problem) in line \(mark.line)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            "\(duplicates.count) keys are given twice in the mapping of line \(context.mark.line)"
        case .reader(let problem, _, _, _): problem
        default: "it cannot be parsed"
        }
    }
}

/// Variables and the paths that stand for them in the file.
package enum ConfigurationPath {
    /// `http.adminListen` for `ESCAPEMENT_HTTP_ADMIN_LISTEN`; `nil` for what stands in no file: names of Kubernetes and
    /// of OpenWhisk.
    package static func path(of variable: String) -> String? {
        guard let words = self.words(of: variable) else { return nil }
        guard let first = words.first, words.count > 1 else { return words.first }
        return first + "." + words[1] + words.dropFirst(2).map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    /// Every variable that a file may set, by what its path looks like without dots and capitals.
    static func names(deprecated: [DeprecatedSetting]) -> [String: String] {
        var result: [String: String] = [:]
        for name in KnownNames.services.union(deprecated.map(\.name)).sorted() {
            if let words = self.words(of: name) { result[words.joined()] = name }
        }
        return result
    }

    /// The variable of a path, however it is nested; `kafka.property.…` is any property of librdkafka.
    static func variable(of path: [String], _ names: [String: String]) -> String? {
        let property = ["kafka", "property"]
        let words = path.flatMap { $0.split { $0 == "." || $0 == "_" || $0 == "-" } }.map { String($0) }
        if words.count > 2, words[..<2].map({ $0.lowercased() }) == property {
            return "KAFKA_PROPERTY_" + words.dropFirst(2).joined(separator: "_").uppercased()
        }
        return names[words.joined().lowercased()]
    }

    private static func words(of variable: String) -> [String]? {
        let prefixes = [
            ("ESCAPEMENT_", nil), ("KAFKA_", "kafka"), ("ELASTICSEARCH_", "elasticsearch"), ("PG", "postgres"),
            ("DATABASE_", "database"), ("OTEL_", "otel"),
        ]
        // Else `discovery` would have to be a value and a section.
        if variable == "ESCAPEMENT_DISCOVERY" { return ["discovery", "mode"] }
        guard variable != ConfigurationReader.fileVariable,
            let (prefix, section) = prefixes.first(where: { variable.hasPrefix($0.0) })
        else { return nil }
        let rest = variable.dropFirst(prefix.utf8.count).lowercased().split(separator: "_").map { String($0) }
        return (section.map { [$0] } ?? []) + rest
    }
}
