#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where settings come from: flags win over the environment, the environment over defaults.
package struct ConfigurationSources: Sendable {
    /// By name without the leading dashes: `http-listen`.
    package var flags: [String: String]
    package var environment: [String: String]
    /// The default of `ESCAPEMENT_INSTANCE_ID`.
    package var hostName: String

    package init(flags: [String: String] = [:], environment: [String: String] = [:], hostName: String = "localhost") {
        self.flags = flags
        self.environment = environment
        self.hostName = hostName
    }

    /// The process's own environment and host name.
    package static func process(flags: [String: String]) -> ConfigurationSources {
        ConfigurationSources(flags: flags, environment: self.processEnvironment(), hostName: self.processHostName())
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
