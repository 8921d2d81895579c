import ElasticsearchStore
import JSON
import Testing

@Suite struct ActivationTemplateTests {
    private func template(_ server: StoreServer) -> JSONValue {
        ActivationTemplate.template(
            .native(prefix: "escapement-activations"), mapping: ActivationTemplate.nativeMapping(server),
            sortsByTime: true, policy: "escapement-activations", server: server)
    }

    @Test func `the template covers dated indices, is no data stream and takes no unknown field`() {
        let template = self.template(StoreServer(.elasticsearch, 8, 17))
        #expect(template["index_patterns"] == ["escapement-activations-*"])
        #expect(template["data_stream"] == nil)
        #expect(template["template"]?["settings"]?["index.lifecycle.name"] == "escapement-activations")
        #expect(template["template"]?["settings"]?["index.lifecycle.parse_origination_date"] == true)
        #expect(template["template"]?["mappings"]?["dynamic"] == false)
        let properties = template["template"]?["mappings"]?["properties"]
        #expect(properties?["activation_id"]?["type"] == "keyword")
        #expect(properties?["scheduled_at"]?["type"] == "date")
        #expect(properties?["labels"]?["type"] == "flattened")
        #expect(properties?["kafka"]?["properties"]?["offset"]?["type"] == "long")
    }

    @Test func `Elasticsearch 6 gets a typed mapping in a template of the old kind`() {
        let template = self.template(StoreServer(.elasticsearch, 6, 8))
        #expect(template["template"] == nil)
        #expect(template["order"] == 324)
        #expect(template["mappings"]?["_doc"]?["dynamic"] == false)
        #expect(template["mappings"]?["_doc"]?["properties"]?["labels"]?["enabled"] == false)
        #expect(template["settings"]?["index.lifecycle.parse_origination_date"] == nil)
    }

    @Test func `OpenSearch gets no setting of ILM, and a policy that names the indices`() {
        let server = StoreServer(.openSearch, 2, 11)
        #expect(self.template(server)["template"]?["settings"]?["index.lifecycle.name"] == nil)
        let policy = RetentionPolicy(.native(prefix: "a"), days: 7)
        #expect(policy.path(on: server) == "/_plugins/_ism/policies/a")
        let body = policy.body(for: server)
        #expect(body["policy"]?["ism_template"]?[0]?["index_patterns"] == ["a-*"])
        #expect(policy.isSame(as: body, of: server))
        #expect(!RetentionPolicy(.native(prefix: "a"), days: 8).isSame(as: body, of: server))
    }

    @Test func `of two prefixes, one of which begins like the other, the longer one counts`() {
        func priority(_ prefix: String) -> Int64 {
            ActivationTemplate.template(
                .native(prefix: prefix), mapping: [:], sortsByTime: true, policy: nil,
                server: StoreServer(.elasticsearch, 9, 0))["priority"]?.integerValue ?? 0
        }
        #expect(priority("activations-eu") > priority("activations"), "a server refuses two of equal priority")
    }

    @Test func `OpenWhisk's indices keep the fields that its queries read`() {
        let names = ActivationTemplate.Names.openWhisk(pattern: "openwhisk-%s")
        #expect(names.name == "escapement-openwhisk")
        #expect(names.indexPattern == "openwhisk-*")
        let properties = ActivationTemplate.openWhiskMapping(StoreServer(.elasticsearch, 8, 0))["properties"]
        for field in ["path", "namespace"] {
            #expect(properties?[field]?["type"] == "text")
            #expect(properties?[field]?["fields"]?["keyword"]?["type"] == "keyword")
        }
        for field in ["start", "end", "duration", "updated"] { #expect(properties?[field]?["type"] == "long") }
        #expect(properties?["response"]?["properties"]?["result"]?["type"] == "text")
    }
}
