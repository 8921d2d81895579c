import ArgumentParser
import EscapementModel
import Glibc
import JSON
import Scheduling

/// How the commands about one expression tell what is wrong with it.
struct CronReport {
    let expression: String
    let asJSON: Bool

    /// Runs `body`. A refusal goes to the standard error with a mark under the place, and the exit code is
    /// that of invalid input.
    func refusing(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as CronError {
            Self.tell(self.text(of: error))
            throw ExitCode(7)
        } catch let error as ZoneError {
            self.complain(error.detail)
            throw ExitCode(7)
        } catch let refusal as CronRefusal {
            self.complain(refusal.text)
            throw ExitCode(7)
        }
    }

    /// Reads the time given with `option`.
    func instant(_ text: String?, _ option: String) throws(CronRefusal) -> WallInstant? {
        guard let text else { return nil }
        guard let instant = WallInstant(text: text) else {
            throw CronRefusal(text: "\(option): '\(text)' is not a time such as 2026-01-01T00:00:00Z")
        }
        return instant
    }

    /// A line on the standard error.
    func complain(_ text: String) { Self.tell("escapement: \(text)") }

    /// A line on the standard error, as it is.
    static func tell(_ text: String) {
        var rest = Array("\(text)\n".utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }

    private func text(of error: CronError) -> String {
        let position = error.position == CronError.outside ? nil : error.position
        if self.asJSON {
            let details: JSONValue = [
                "code": .string(error.code.rawValue), "position": position.map { .integer($0) } ?? .null,
                "field": error.field.map { .string($0.rawValue) } ?? .null, "detail": .string(error.detail),
            ]
            return JSONValue.object([JSONMember("error", details)]).text
        }
        let text = "escapement: \(error.detail) (\(error.code.rawValue))"
        // Only text that is as wide as it is long can be pointed into.
        guard let position, self.expression.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }),
            self.expression.utf8.count <= 100
        else { return text }
        return "\(text)\n  \(self.expression)\n  \(String(repeating: " ", count: position))^"
    }

    /// `2026-01-01T00:00:00Z`, with milliseconds only when there are any.
    static func utc(_ instant: WallInstant) -> String {
        let text = instant.description
        return text.hasSuffix(".000Z") ? String(text.dropLast(5)) + "Z" : text
    }
}

/// An option that cannot be used, as a phrase.
struct CronRefusal: Error {
    var text: String
}
