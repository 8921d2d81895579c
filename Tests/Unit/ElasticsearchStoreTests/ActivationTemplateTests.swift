import ElasticsearchStore
import JSON
import Testing

@Suite struct ActivationTemplateTests {
    @Test func `the template covers dated indices, is no data stream and takes no unknown field`() {
        let template = ActivationTemplate.template(prefix: "escapement-activations")
        #expect(template["index_patterns"] == ["escapement-activations-*"])
        #expect(template["data_stream"] == nil)
        #expect(template["template"]?["mappings"]?["dynamic"] == false)
        let properties = template["template"]?["mappings"]?["properties"]
        #expect(properties?["activation_id"]?["type"] == "keyword")
        #expect(properties?["scheduled_at"]?["type"] == "date")
        #expect(properties?["labels"]?["type"] == "flattened")
        #expect(properties?["kafka"]?["properties"]?["offset"]?["type"] == "long")
    }
}
