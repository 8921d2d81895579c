#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where settings come from: flags win over the environment, the environment over the file, the file over defaults.
package struct ConfigurationSources: Sendable {
    /// By name without the leading dashes: `http-listen`.
    package var flags: [String: String]
    package var environment: [String: String]
    /// The default of `ESCAPEMENT_INSTANCE_ID`.
    package var hostName: String
    /// The configuration file, if there is one.
    package var file: ConfigurationFile?
    /// Old names that are still taken.
    package var deprecated: [DeprecatedSetting]

    package init(
        flags: [String: String] = [:], environment: [String: String] = [:], hostName: String = "localhost",
        file: ConfigurationFile? = nil, deprecated: [DeprecatedSetting] = DeprecatedSetting.all
    ) {
        self.flags = flags
        self.environment = environment
        self.hostName = hostName
        self.file = file
        self.deprecated = deprecated
    }

    /// The process's own environment and host name, and the file that `--config` or `ESCAPEMENT_CONFIG_FILE` names.
    package static func process(flags: [String: String]) -> ConfigurationSources {
        ConfigurationSources(
            flags: flags, environment: self.processEnvironment(), hostName: self.processHostName()
        ).withFile()
    }

    /// With the file that the flags or the environment name. Blocking.
    package func withFile() -> ConfigurationSources {
        var result = self
        let path = self.fileFlag?.path ?? self.environment[ConfigurationReader.fileVariable]
        if let path, !path.isEmpty { result.file = ConfigurationFile(path: path, deprecated: self.deprecated) }
        return result
    }

    /// Where the name of the file comes from.
    var fileOrigin: ConfigurationOrigin {
        self.fileFlag.map { .flag($0.name) } ?? .environment(ConfigurationReader.fileVariable)
    }

    private var fileFlag: (name: String, path: String)? {
        for name in ["config", ConfigurationReader.flagName(of: ConfigurationReader.fileVariable)] {
            if let path = self.flags[name] { return (name, path) }
        }
        return nil
    }

    private static func processEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { result[String(pair[0])] = String(pair[1]) }
            entry += 1
        }
        return result
    }

    private static func processHostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
