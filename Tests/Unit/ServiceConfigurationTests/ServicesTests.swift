import ServiceConfiguration
import Testing
import TestSupport

@Suite struct ServicesTests {
    private let fixtures = Fixtures()

    @Test func `the coordinator's settings`() throws {
        let pem = self.fixtures.directory.write("pem", to: "http.pem")
        let model = try self.fixtures.load(
            CoordinatorConfiguration.self,
            [
                "ESCAPEMENT_HTTP_LISTEN": "[::]:8443", "ESCAPEMENT_HTTP_TLS_CERT_FILE": pem,
                "ESCAPEMENT_HTTP_TLS_KEY_FILE": pem, "ESCAPEMENT_COORDINATORS": "",
            ]
        ).model
        #expect(model.httpListen == ListenAddress(host: "::", port: 8443))
        #expect(model.httpTLS?.certificateFile == pem)
        #expect(model.authentication == .token)
        #expect(model.common.coordinators == [])
    }

    @Test(arguments: [
        (["ESCAPEMENT_AUTH_TOKENS_FILE": ""], "ESCAPEMENT_AUTH_TOKENS_FILE"),
        (["ESCAPEMENT_AUTH_MODE": "oidc"], "ESCAPEMENT_AUTH_MODE"),
        (["ESCAPEMENT_HTTP_TLS_CERT_FILE": "/etc/hostname"], "ESCAPEMENT_HTTP_TLS_KEY_FILE"),
        (["ESCAPEMENT_HTTP_TLS_KEY_FILE": "/etc/hostname"], "ESCAPEMENT_HTTP_TLS_CERT_FILE"),
        (["DATABASE_URL": "mysql://u:hunter2@db/x"], "DATABASE_URL"),
    ])
    func `what the coordinator refuses`(changes: [String: String], name: String) {
        let problems = self.fixtures.problems(CoordinatorConfiguration.self, changes)
        #expect(problems.map(\.name) == [name])
        #expect(!"\(problems)".contains("hunter2"))
    }

    @Test func `no authentication is a warning`() throws {
        let loaded = try self.fixtures.load(
            CoordinatorConfiguration.self, ["ESCAPEMENT_AUTH_MODE": "none", "ESCAPEMENT_AUTH_TOKENS_FILE": ""])
        #expect(loaded.model.authentication == .none)
        #expect(loaded.warnings.map(\.name) == ["ESCAPEMENT_AUTH_MODE"])
    }

    @Test func `libpq's variables become its keywords`() throws {
        let path = self.fixtures.directory.write("hunter2\n", to: "pg")
        let settings = try self.fixtures.load(
            CoordinatorConfiguration.self,
            [
                "PGHOST": "db-0,db-1", "PGPORT": "5432", "PGDATABASE": "escapement", "PGUSER": "esc",
                "PGSSLMODE": "verify-full", "PGTARGETSESSIONATTRS": "read-write", "PGPASSWORD_FILE": path,
            ]
        ).model.postgres
        let parameters = try settings.connectionParameters().map { "\($0.keyword)=\($0.value)" }
        #expect(
            parameters == [
                "host=db-0,db-1", "port=5432", "dbname=escapement", "user=esc", "sslmode=verify-full",
                "target_session_attrs=read-write", "password=hunter2",
            ])
    }

    @Test(arguments: ["", "Escapement", "1st", "pg_own", "a-b", "a\"b", String(repeating: "a", count: 64)])
    func `a schema's name that would need quotes is refused`(_ name: String) throws {
        let fixtures = self.fixtures
        if name.isEmpty {
            #expect(try fixtures.load(CoordinatorConfiguration.self).model.postgres.schema == "escapement")
        } else {
            let problems = fixtures.problems(CoordinatorConfiguration.self, ["ESCAPEMENT_DATABASE_SCHEMA": name])
            #expect(problems.map(\.name) == ["ESCAPEMENT_DATABASE_SCHEMA"])
        }
    }

    @Test func `a database address comes last, so that its parts win`() throws {
        let settings = try self.fixtures.load(
            CoordinatorConfiguration.self,
            ["DATABASE_URL": "postgresql://u@db/x\n", "PGDATABASE": "y", "PGPASSWORD": "p", "PGUSER": "v"]
        ).model.postgres
        let parameters = try settings.connectionParameters().map { "\($0.keyword)=\($0.value)" }
        #expect(parameters == ["user=v", "password=p", "dbname=postgresql://u@db/x"])
    }

    @Test func `the dispatcher's settings`() throws {
        let model = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                "ESCAPEMENT_DISPATCHER_FORMAT": "openwhisk", "ESCAPEMENT_ACTIVATIONS_FORMAT": "openwhisk",
                "ESCAPEMENT_OPENWHISK_TOPIC": "whisk", "ESCAPEMENT_OPENWHISK_KEYS_DIR": "/etc/keys",
                "ESCAPEMENT_ACTIVATIONS_RETENTION": "7d", "ESCAPEMENT_ACTIVATIONS_STORE_PAYLOADS": "full",
                "ESCAPEMENT_DISPATCHER_TOPIC_ALLOW": #"team\..*"#,
                "ESCAPEMENT_DISPATCHER_CLOUDEVENTS_SOURCE": "//escapement.example",
            ]
        ).model
        #expect(model.format == .openWhisk)
        #expect(model.activations.format == .openWhisk)
        #expect(model.activations.retention == .seconds(7 * 86_400))
        #expect(model.payloadStorage == .full)
        #expect(model.topicAllow == #"team\..*"#)
        #expect(model.cloudEventsSource == "//escapement.example")
        #expect(model.defaultTopic == "escapement.fires")
        #expect(model.deadLetterTopic == "escapement.deadletters")
        #expect(model.activations.index == "escapement-activations")
    }

    @Test(arguments: [
        (["ESCAPEMENT_DISPATCHER_TOPIC_ALLOW": "("], "ESCAPEMENT_DISPATCHER_TOPIC_ALLOW"),
        (["ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC": "a/b"], "ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC"),
        (["ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC": "escapement.fires"], "ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC"),
        (["ESCAPEMENT_OPENWHISK_API_HOST": "http://whisk"], "ESCAPEMENT_OPENWHISK_API_HOST"),
        (["ESCAPEMENT_OPENWHISK_API_HOST": "https://whisk"], "ESCAPEMENT_OPENWHISK_KEYS_DIR"),
        (["ESCAPEMENT_HTTP_TARGETS": "yes"], "ESCAPEMENT_HTTP_TARGETS"),
        (["ESCAPEMENT_DELIVERY_MODE": "twice"], "ESCAPEMENT_DELIVERY_MODE"),
        (["ESCAPEMENT_ACTIVATIONS_INDEX": "Upper"], "ESCAPEMENT_ACTIVATIONS_INDEX"),
        (["ESCAPEMENT_ACTIVATIONS_INDEX": "-x"], "ESCAPEMENT_ACTIVATIONS_INDEX"),
        (["ESCAPEMENT_ACTIVATIONS_RETENTION": "1h"], "ESCAPEMENT_ACTIVATIONS_RETENTION"),
    ])
    func `what the dispatcher refuses`(changes: [String: String], name: String) {
        #expect(self.fixtures.problems(DispatcherConfiguration.self, changes).map(\.name) == [name])
    }
}
