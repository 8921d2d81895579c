import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import Testing

@Suite struct OpenWhiskDocumentTests {
    private let form = ActivationForm.openWhisk(indexPattern: "openwhisk-%s")

    private func document(_ change: (inout OutcomeSample) -> Void = { _ in }) throws -> (String, String, JSONValue) {
        var sample = OutcomeSample()
        change(&sample)
        var outcome = Samples.outcome()
        outcome.namespace = sample.namespace
        outcome.name = sample.name
        outcome.outcome = sample.outcome
        if sample.outcome != .dispatched {
            outcome.reason = .catchupWindow
            outcome.position = nil
            outcome.error = sample.error
        }
        let stored = try self.form.document(of: outcome, cluster: "c", dispatcher: NodeID("d"))
        return (stored.index, stored.id, try JSONParser.parse(stored.body))
    }

    private struct OutcomeSample {
        var namespace = "Guest"
        var name = "nightly-report"
        var outcome = Outcome.dispatched
        var error = ""
    }

    @Test func `every field that OpenWhisk must parse is there, in its type`() throws {
        let (index, id, document) = try self.document()
        #expect(index == "openwhisk-guest", "lower-cased")
        #expect(id == "Guest/00000000000000000000000000000001")
        #expect(document["_id"] == nil)
        #expect(document["namespace"] == "Guest")
        #expect(document["name"] == "nightly-report")
        #expect(document["path"] == "Guest/nightly-report")
        #expect((document["subject"]?.stringValue ?? "").count >= 5)
        #expect(document["activationId"] == "00000000000000000000000000000001")
        #expect(document["start"] == .integer(Samples.due.milliseconds + 21), "when it fired")
        #expect(document["end"] == 0, "a trigger has no end")
        #expect(document["duration"] == nil, "it would enter OpenWhisk's average of an action's durations")
        #expect(document["@timestamp"] == "2026-11-23T01:30:00.021Z", "the start")
        #expect(document["entityType"] == "activation")
        #expect(document["publish"] == false)
        #expect(document["logs"] == .array([]))
        #expect(document["version"] == "0.0.1")
        #expect(document["updated"]?.integerValue != nil)
        #expect(document["response"]?["statusCode"] == 0)
        let result = try #require(document["response"]?["result"]?.stringValue)
        #expect(try JSONParser.parse(Array(result.utf8))["offset"] == 4_411_223, "JSON within a string")
        #expect(document["response"]?["size"] == .integer(result.utf8.count))
        #expect(document["annotations"]?["path"] == "Guest/nightly-report")
        #expect(document["annotations"]?["escapement"]?["outcome"] == "dispatched")
        #expect(self.form.native(document)?["schedule"] == "nightly-report")
    }

    @Test func `what was not fired is an error within OpenWhisk's range of codes`() throws {
        let (_, _, skipped) = try self.document { $0.outcome = .skipped }
        #expect(skipped["response"]?["statusCode"] == 1)
        #expect(skipped["start"] == .integer(Samples.due.milliseconds), "it never fired")
        #expect(skipped["response"]?["result"] == #"{"error":"skipped, CATCHUP_WINDOW"}"#)
        let (_, _, failed) = try self.document {
            $0.outcome = .failed
            $0.error = "a \"quote\""
        }
        #expect(failed["response"]?["statusCode"] == 3)
    }

    @Test(arguments: [("a b/c", "x"), ("guest", "ends with blank "), ("guest", "é"), ("guest", ""), ("a b", "x")])
    func `what OpenWhisk or Elasticsearch could not read is refused before it is written`(
        namespace: String, name: String
    ) {
        #expect(throws: ActivationFormRefusal.self) {
            _ = try self.document {
                $0.namespace = namespace
                $0.name = name
            }
        }
    }
}
