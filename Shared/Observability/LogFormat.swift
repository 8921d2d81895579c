#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// How log lines look.
package enum LogFormat: String, CaseIterable, Sendable {
    /// One JSON object per line.
    case json
    /// For people: time, level, message, `key=value`.
    case text
    /// `text` on a terminal, else `json`.
    case auto

    /// `json` or `text`: what `auto` means for an open descriptor.
    package func resolved(for descriptor: Int32 = STDOUT_FILENO) -> LogFormat {
        switch self {
        case .json, .text: self
        case .auto: isatty(descriptor) == 1 ? .text : .json
        }
    }
}
