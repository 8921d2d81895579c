import EscapementModel
import JSON
import Scheduling
import Testing

/// Occurrences and refusals that independent implementations agree on.
@Suite struct CronVectorTests {
    static let zones = ZoneDatabase()

    private func check(_ vector: JSONValue) throws {
        let text = try vector.string("expr")
        let from = try vector.instant("from")
        let expected = try vector.instants("next")
        let isComplete = vector["exhausted"]?.boolValue ?? false
        let expression = try CronExpression.parse(text, seed: vector["seed"]?.stringValue, zones: Self.zones)
        let zone = try Self.zones.rules(named: expression.zoneName ?? vector.string("tz"))
        let anchor = vector["anchor"] == nil ? from : try vector.instant("anchor")
        var found: [WallInstant] = []
        var position = from
        while found.count < expected.count + (isComplete ? 1 : 0),
            let next = expression.next(after: position, in: zone, anchor: anchor)
        {
            #expect(next > position, "\(vector.text)")
            #expect(expression.matches(next, in: zone, anchor: anchor), "\(vector.text)")
            found.append(next)
            position = next
        }
        #expect(found == expected, "\(vector.text)")
        guard let last = expected.last else { return }
        #expect(
            expression.count(after: from, through: last, in: zone, anchor: anchor) == expected.count,
            "\(vector.text)")
        var backwards: [WallInstant] = [last]
        while backwards.count < expected.count,
            let previous = expression.previous(before: backwards[backwards.count - 1], in: zone, anchor: anchor)
        {
            backwards.append(previous)
        }
        #expect(backwards.reversed() == expected, "backwards: \(vector.text)")
        if let before = expression.previous(before: expected[0], in: zone, anchor: anchor) {
            #expect(before <= from, "\(vector.text)")
        }
    }

    @Test(arguments: [
        "fields", "days", "special-days", "seconds", "years", "macros", "intervals", "one-shot", "eventbridge", "hash",
        "edges", "calendar", "dst",
    ])
    func `occurrences are those of the vectors, forwards, backwards and counted`(file: String) throws {
        for vector in try VectorFile("cron/\(file).json").vectors { try self.check(vector) }
    }

    @Test func `what the vectors refuse is refused with their code, position and field`() throws {
        for vector in try VectorFile("cron/invalid.json").vectors {
            let text = try vector.string("expr")
            let error = #expect(throws: CronError.self, "\(vector.text)") {
                try CronExpression.parse(text, seed: nil, zones: Self.zones)
            }
            guard let error else { continue }
            #expect(error.code.rawValue == (try vector.string("error")), "\(vector.text)")
            #expect(Int64(error.position) == vector["position"]?.integerValue, "\(vector.text)")
            #expect(error.field?.rawValue == vector["field"]?.stringValue, "\(vector.text)")
            #expect(error.detail.hasSuffix(".") || error.detail.hasSuffix("?"), "\(error.detail)")
        }
    }

    @Test func `the draw of H has the values of the vectors`() throws {
        for vector in try VectorFile("cron/hash-values.json").vectors {
            let value = SpreadHash.value(seed: try vector.string("seed"), field: try vector.string("field"))
            #expect(value == UInt64(try vector.string("hash"), radix: 16), "\(vector.text)")
        }
    }
}
