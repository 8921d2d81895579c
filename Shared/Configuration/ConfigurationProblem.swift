#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One thing that is wrong with the configuration, in words the operator can act on. Never holds a secret.
package struct ConfigurationProblem: Equatable, Sendable, CustomStringConvertible {
    /// The variable or flag: `KAFKA_SASL_PASSWORD`.
    package var name: String
    /// What is wrong, as a phrase that follows the name: `is not set`.
    package var message: String
    /// What to do: `set KAFKA_SASL_PASSWORD_FILE to a file that holds the password`.
    package var remedy: String

    package init(_ name: String, _ message: String, remedy: String) {
        self.name = name
        self.message = message
        self.remedy = remedy
    }

    /// One line without control characters.
    package var description: String {
        let text = "\(self.name) \(self.message); \(self.remedy)"
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
    }
}

/// The configuration cannot be used. Carries every problem found, so that one start shows them all.
package struct ConfigurationRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// `EX_CONFIG` of sysexits: restarting without a change does not help.
    package static let exitCode: Int32 = 78

    package var problems: [ConfigurationProblem]

    /// - Precondition: `problems` is not empty.
    package init(_ problems: [ConfigurationProblem]) {
        precondition(!problems.isEmpty, "a refusal needs a reason")
        self.problems = problems
    }

    /// One line per problem.
    package var description: String { self.problems.map(\.description).joined(separator: "\n") }

    /// Writes one line per problem to standard error.
    package func report() {
        StandardError.write(self.problems.map { "configuration: \($0)\n" }.joined())
    }

    /// Reports and ends the process with code 78.
    package func exit() -> Never {
        self.report()
        #if canImport(Glibc)
        Glibc.exit(Self.exitCode)
        #else
        Darwin.exit(Self.exitCode)
        #endif
    }
}

/// Standard error, unbuffered, before logging exists.
enum StandardError {
    static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { buffer in
                #if canImport(Glibc)
                Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
                #else
                Darwin.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
                #endif
            }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }
}
