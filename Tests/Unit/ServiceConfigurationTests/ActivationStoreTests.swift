import ServiceConfiguration
import Testing

@Suite struct ActivationStoreTests {
    private let fixtures = Fixtures()

    @Test(arguments: [
        ("ESCAPEMENT_ACTIVATION_STORE", "couchdb"), ("ESCAPEMENT_ACTIVATION_STORE", "CouchDB"),
        ("ESCAPEMENT_ACTIVATION_STORE", "memory"), ("ESCAPEMENT_ACTIVATION_STORE", "opensearch"),
        (
            "CONFIG_whisk_spi_ArtifactStoreProvider", "org.apache.openwhisk.core.database.CouchDbStoreProvider"
        ),
        (
            "CONFIG_whisk_spi_ArtifactStoreProvider",
            "org.apache.openwhisk.core.database.memory.MemoryArtifactStoreProvider"
        ),
        (
            "CONFIG_whisk_spi_ActivationStoreProvider",
            "org.apache.openwhisk.core.database.ArtifactActivationStoreProvider"
        ),
        (
            "CONFIG_whisk_spi_ActivationStoreProvider",
            "org.apache.openwhisk.core.database.memory.NoopActivationStoreProvider"
        ),
    ])
    func `any other store is refused in one line that says what to do`(name: String, value: String) throws {
        // Also when the address of Elasticsearch is missing, as it is for those who never had one.
        for changes in [[name: value], [name: value, "ELASTICSEARCH_URL": ""]] {
            let problems = self.fixtures.problems(DispatcherConfiguration.self, changes)
            #expect(problems.count == 1)
            let line = try #require(problems.first).description
            for part in [name, value, "Elasticsearch", "docs/activation-store.md"] {
                #expect(line.contains(part), "\(line)")
            }
            #expect(!line.contains("\n"))
        }
        #expect(self.fixtures.problems(CoordinatorConfiguration.self, [name: value]).count == 1)
        #expect(self.fixtures.problems(TickerConfiguration.self, [name: value]).count == 1)
    }

    @Test func `several such variables still give one line`() {
        let problems = self.fixtures.problems(
            DispatcherConfiguration.self,
            [
                "ESCAPEMENT_ACTIVATION_STORE": "couchdb",
                "CONFIG_whisk_spi_ArtifactStoreProvider": "org.apache.openwhisk.core.database.CouchDbStoreProvider",
            ])
        #expect(problems.count == 1)
        #expect(problems.first?.description.contains("CONFIG_whisk_spi_ArtifactStoreProvider") == true)
    }

    @Test(arguments: [
        ("ESCAPEMENT_ACTIVATION_STORE", "elasticsearch"), ("ESCAPEMENT_ACTIVATION_STORE", "Elasticsearch"),
        ("ESCAPEMENT_ACTIVATION_STORE", ""),
        (
            "CONFIG_whisk_spi_ActivationStoreProvider",
            "org.apache.openwhisk.core.database.elasticsearch.ElasticSearchActivationStoreProvider"
        ),
    ])
    func `Elasticsearch is accepted however it is spelt`(name: String, value: String) throws {
        _ = try self.fixtures.load(DispatcherConfiguration.self, [name: value])
    }

    @Test func `without an address the dispatcher does not start`() {
        let problems = self.fixtures.problems(DispatcherConfiguration.self, ["ELASTICSEARCH_URL": ""])
        #expect(problems.map(\.name) == ["ELASTICSEARCH_URL"])
        #expect(problems.first?.remedy.contains("docs/activation-store.md") == true)
    }

    @Test func `addresses and authentication`() throws {
        let plain = try self.fixtures.load(DispatcherConfiguration.self).model.elasticsearch
        #expect(plain.urls == ["https://es:9200"])
        guard case .none = plain.authentication else {
            Issue.record("\(plain.authentication)")
            return
        }
        let basic = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                "ELASTICSEARCH_URL": "", "ELASTICSEARCH_HOSTS": "http://a:9200, http://b:9200",
                "ELASTICSEARCH_USERNAME": "elastic", "ELASTICSEARCH_PASSWORD": "x",
            ])
        #expect(basic.model.elasticsearch.urls == ["http://a:9200", "http://b:9200"])
        guard case .basic(let username, let password) = basic.model.elasticsearch.authentication else {
            Issue.record("\(basic.model.elasticsearch.authentication)")
            return
        }
        #expect(username == "elastic")
        #expect(try password.read() == "x")
        #expect(Set(basic.warnings.map(\.name)) == ["ELASTICSEARCH_HOSTS", "ELASTICSEARCH_URL"])
    }

    @Test func `OpenWhisk's own variables are accepted verbatim`() throws {
        let prefix = "CONFIG_whisk_activationStore_elasticsearch_"
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                "ELASTICSEARCH_URL": "", prefix + "protocol": "https", prefix + "hosts": "es-0:9200,es-1:9200",
                prefix + "username": "admin", prefix + "password": "$ES_PASSWORD", "ES_PASSWORD": "from-elsewhere",
            ])
        #expect(loaded.model.elasticsearch.urls == ["https://es-0:9200", "https://es-1:9200"])
        guard case .basic("admin", let password) = loaded.model.elasticsearch.authentication else {
            Issue.record("\(loaded.model.elasticsearch.authentication)")
            return
        }
        #expect(try password.read() == "from-elsewhere")
        #expect(!loaded.listing.contains("from-elsewhere"))
        #expect(loaded.listing.contains(prefix + "username") && loaded.listing.contains(prefix + "password"))
    }

    @Test(arguments: [
        (["ELASTICSEARCH_USERNAME": "u"], "ELASTICSEARCH_PASSWORD"),
        (["ELASTICSEARCH_PASSWORD": "hunter2"], "ELASTICSEARCH_USERNAME"),
        (["ELASTICSEARCH_API_KEY": "hunter2", "ELASTICSEARCH_USERNAME": "u"], "ELASTICSEARCH_API_KEY"),
        (["ELASTICSEARCH_URL": "https://u:hunter2@es:9200"], "ELASTICSEARCH_URL"),
        (["ELASTICSEARCH_URL": "es:9200"], "ELASTICSEARCH_URL"),
        (["ELASTICSEARCH_URL": "https://"], "ELASTICSEARCH_URL"),
        (["ELASTICSEARCH_CA_FILE": "/nowhere"], "ELASTICSEARCH_CA_FILE"),
        (["ELASTICSEARCH_FLAVOR": "solr"], "ELASTICSEARCH_FLAVOR"),
    ])
    func `contradictions are refused without repeating secrets`(changes: [String: String], name: String) {
        let problems = self.fixtures.problems(DispatcherConfiguration.self, changes)
        #expect(problems.map(\.name) == [name])
        #expect(!"\(problems)".contains("hunter2"))
    }
}
