package import EscapementModel
import JSON
package import Scheduling

/// Answers the questions of the bulk form, line by line: `{"next":["2026-01-01T00:00:00Z"]}`, or
/// `{"error":{"code":"value-out-of-range","position":0,"field":"minute","detail":"..."}}`.
///
/// Equal expressions are parsed once. A line that is no question is answered too, with the code
/// `invalid-query`, so that answers and lines always pair up.
package struct CronAnswers: Sendable {
    private let zones: ZoneDatabase
    private let cache = ProgramCache()

    package init(zones: ZoneDatabase) { self.zones = zones }

    /// Appends the answer to `line` and a line break to `output`.
    ///
    /// - Parameter now: stands for a missing `from`.
    package func answer(_ line: some Collection<UInt8>, now: WallInstant, into output: inout [UInt8]) {
        do {
            let query = try CronQuery(try JSONParser.parse(line), now: now)
            self.answer(query, into: &output)
        } catch let error as CronQueryFault {
            Self.write(code: Self.invalidQuery, detail: error.detail, into: &output)
        } catch let error as JSONError {
            Self.write(code: Self.invalidQuery, detail: "The line is not JSON: \(error).", into: &output)
        } catch {
            preconditionFailure("reading a line threw \(error)")
        }
    }

    /// Appends the answer to a line that was too long to be read.
    package static func refuseLine(longerThan bytesMax: Int, into output: inout [UInt8]) {
        self.write(code: self.invalidQuery, detail: "A line has at most \(bytesMax) bytes.", into: &output)
    }

    private static let invalidQuery = "invalid-query"

    private func answer(_ query: CronQuery, into output: inout [UInt8]) {
        let occurrences: [WallInstant]
        do {
            occurrences = try query.occurrences(zones: self.zones, cache: self.cache)
        } catch {
            Self.write(
                code: error.code.rawValue, position: error.position == CronError.outside ? nil : error.position,
                field: error.field?.rawValue, detail: error.detail, into: &output)
            return
        }
        output.append(contentsOf: #"{"next":["#.utf8)
        for (index, occurrence) in occurrences.enumerated() {
            output.append(contentsOf: (index == 0 ? "\"" : ",\"").utf8)
            occurrence.appendText(to: &output)
            // Occurrences are whole seconds: `.000Z` gives way to `Z`.
            output.removeLast(5)
            output.append(contentsOf: "Z\"".utf8)
        }
        output.append(contentsOf: "]}\n".utf8)
    }

    private static func write(
        code: String, position: Int? = nil, field: String? = nil, detail: String, into output: inout [UInt8]
    ) {
        let error: JSONValue = [
            "code": .string(code), "position": position.map { .integer($0) } ?? .null,
            "field": field.map { .string($0) } ?? .null, "detail": .string(detail),
        ]
        let answer: JSONValue = ["error": error]
        answer.write(to: &output)
        output.append(0x0a)
    }
}
