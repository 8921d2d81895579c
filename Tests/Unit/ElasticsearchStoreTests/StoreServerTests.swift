import ElasticsearchStore
import JSON
import Testing

@Suite struct StoreServerTests {
    private func server(_ number: String, distribution: String? = nil, flavor: String? = nil) throws -> StoreServer {
        try StoreServer(
            answer: [
                "version": .record([
                    "number": .string(number), "distribution": distribution.map { .string($0) },
                    "build_flavor": flavor.map { .string($0) },
                ])
            ])
    }

    @Test func `each version speaks its dialect`() throws {
        let six = try self.server("6.8.23")
        #expect(six.documentType == "_doc")
        #expect(!six.hasComposableTemplates)
        #expect(six.flattenedType == nil)
        #expect(!six.countsUpToBound)
        #expect(!six.hasFixedIntervals)
        #expect(six.lifecycle == .ilm)
        #expect(!six.readsDateOfName)
        let seven = try self.server("7.17.9")
        #expect(seven.documentType == nil)
        #expect(seven.hasComposableTemplates)
        #expect(seven.flattenedType == "flattened")
        #expect(seven.readsDateOfName)
        #expect(try self.server("7.10.2", flavor: "oss").lifecycle == .none)
        #expect(try self.server("7.10.2", flavor: "oss").flattenedType == nil)
        for number in ["8.17.3", "9.1.0-SNAPSHOT"] { #expect(try self.server(number).countsUpToBound) }
        let open = try self.server("2.11.1", distribution: "opensearch")
        #expect(open.lifecycle == .ism)
        #expect(open.flattenedType == "flat_object")
        #expect(try self.server("1.3.0", distribution: "opensearch").flattenedType == nil)
    }

    @Test func `an OpenSearch that calls itself Elasticsearch is what the configuration says`() throws {
        let server = try StoreServer(answer: ["version": ["number": "7.10.2"]], assumed: .openSearch)
        #expect(server == StoreServer(.openSearch, 1, 0))
    }

    @Test(arguments: ["6.7.2", "5.0.0", "x", "8"])
    func `what we do not speak is refused`(number: String) {
        #expect(throws: ElasticsearchError.self) { _ = try self.server(number) }
    }

    @Test func `a stranger is refused`() {
        #expect(throws: ElasticsearchError.self) { _ = try StoreServer(answer: ["hello": "world"]) }
    }
}
