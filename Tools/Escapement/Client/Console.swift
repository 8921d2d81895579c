import ArgumentParser
import Glibc

/// Results on standard output, narration on standard error, so that a script reads one and a person both.
enum Console {
    static func print(_ text: String) { self.write(text + "\n", to: 1) }

    static func tell(_ text: String) { self.write(text + "\n", to: 2) }

    /// Asks on the terminal; without one the answer is no.
    static func confirms(_ question: String) -> Bool {
        guard isatty(0) == 1, isatty(2) == 1 else { return false }
        self.write("\(question) [y/N] ", to: 2)
        let answer = readLine(strippingNewline: true)?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A reader that went away wants nothing more.
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

/// How `escapement` ends; `check` verbs have their own.
enum ExitStatus {
    static let unexpected = ExitCode(1)
    static let usage = ExitCode(2)
    static let notFound = ExitCode(3)
    static let conflict = ExitCode(4)
    static let notAllowed = ExitCode(5)
    static let unavailable = ExitCode(6)
    static let invalid = ExitCode(7)
    static let partly = ExitCode(8)
}
