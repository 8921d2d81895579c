import ElasticsearchStore
import JSON
import Testing

@Suite struct MappingComparisonTests {
    private func compare(_ found: JSONValue, _ wanted: JSONValue) -> MappingComparison {
        MappingComparison(found: ["properties": found], wanted: ["properties": wanted], exactBelow: "ours")
    }

    @Test func `what is there is not put again`() {
        let mapping: JSONValue = [
            "ours": ["dynamic": false, "properties": ["outcome": ["type": "keyword"]]], "name": ["type": "text"],
        ]
        let same = self.compare(mapping, mapping)
        #expect(same.lacking == nil && same.conflicts.isEmpty)
        let asText: JSONValue = ["ours": ["dynamic": "false", "properties": ["outcome": ["type": "keyword"]]]]
        #expect(self.compare(asText, ["ours": mapping["ours"] ?? [:]]).lacking == nil)
    }

    @Test func `only what is lacking is put`() {
        let comparison = self.compare(
            ["ours": ["properties": ["outcome": ["type": "keyword"]]]],
            ["ours": ["dynamic": false, "properties": ["outcome": ["type": "keyword"], "shard": ["type": "short"]]]])
        #expect(
            comparison.lacking
                == ["properties": ["ours": ["dynamic": false, "properties": ["shard": ["type": "short"]]]]])
        #expect(comparison.conflicts.isEmpty)
    }

    @Test func `a subfield is added to the field as it is`() {
        let comparison = self.compare(
            ["path": ["type": "text", "analyzer": "simple", "fields": ["raw": ["type": "keyword"]]]],
            ["path": ["type": "text", "fields": ["keyword": ["type": "keyword"]]]])
        #expect(
            comparison.lacking
                == [
                    "properties": [
                        "path": [
                            "type": "text", "analyzer": "simple",
                            "fields": ["raw": ["type": "keyword"], "keyword": ["type": "keyword"]],
                        ]
                    ]
                ])
    }

    @Test func `another type is a conflict where it must be exact, and elsewhere where it takes other values`() {
        let text: JSONValue = ["type": "text"]
        let keyword: JSONValue = ["type": "keyword"]
        let inner = self.compare(
            ["ours": ["properties": ["outcome": text]]], ["ours": ["properties": ["outcome": keyword]]])
        #expect(inner.conflicts == ["ours.outcome is text, not keyword"])
        #expect(inner.lacking == nil)
        #expect(self.compare(["name": keyword], ["name": text]).conflicts.isEmpty)
        #expect(self.compare(["start": ["type": "integer"]], ["start": ["type": "long"]]).conflicts.isEmpty)
        #expect(self.compare(["result": ["properties": [:]]], ["result": text]).conflicts.count == 1)
        #expect(self.compare(["ours": text], ["ours": ["properties": [:]]]).conflicts == ["ours is text, not object"])
    }

    @Test func `what is kept without being searchable is a conflict`() {
        let wanted: JSONValue = ["ours": ["properties": ["outcome": ["type": "keyword"]]]]
        #expect(self.compare(["ours": ["type": "object", "enabled": false]], wanted).conflicts.count == 1)
        let unindexed: JSONValue = ["ours": ["properties": ["outcome": ["type": "keyword", "index": false]]]]
        #expect(self.compare(unindexed, wanted).conflicts.count == 1)
    }
}
