import ServiceConfiguration
import Testing
import TestSupport

@Suite struct SecretTests {
    private let fixtures = Fixtures()

    @Test(arguments: [
        ("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), ("hunter2", "hunter2"), ("hunter2\n\n", "hunter2\n"),
        (" spaced \n", " spaced "), ("two\nlines\n", "two\nlines"),
    ])
    func `one trailing line break of a file is dropped, nothing else`(content: String, secret: String) throws {
        let path = self.fixtures.directory.write(content, to: "secret")
        #expect(try Secret(file: path).read() == secret)
    }

    @Test func `a rotated file is read again`() throws {
        let path = self.fixtures.directory.write("first\n", to: "secret")
        let secret = Secret(file: path)
        #expect(try secret.read() == "first")
        self.fixtures.directory.write("second\n", to: "secret")
        #expect(try secret.read() == "second")
    }

    @Test func `a file that cannot be used says why`() {
        let directory = self.fixtures.directory
        let cases: [(String, String)] = [
            (directory.path + "/missing", "cannot be read: No such file or directory"),
            (directory.path, "cannot be read: Is a directory"),
            (directory.write("\n", to: "empty"), "is empty"),
            (directory.write([0xff, 0xfe], to: "binary"), "is not text in UTF-8"),
            (directory.write([0x61, 0, 0x62], to: "nul"), "is not text in UTF-8"),
            (
                directory.write([UInt8](repeating: 0x61, count: Secret.byteCountMax + 1), to: "large"),
                "is larger than 65536 bytes"
            ),
        ]
        for (path, reason) in cases {
            #expect(throws: SecretError(path: path, reason: reason)) { try Secret(file: path).read() }
        }
    }

    @Test func `a secret shows in no description and no dump`() {
        struct Holder {
            var name = "holder"
            var secret = Secret("hunter2")
        }
        var dumped = ""
        dump(Holder(), to: &dumped)
        dump(Secret("hunter2"), to: &dumped)
        for text in [
            "\(Secret("hunter2"))", String(reflecting: Secret("hunter2")), "\(Holder())", String(reflecting: Holder()),
            "\([Secret("hunter2")])", dumped,
        ] {
            #expect(!text.contains("hunter2"), "\(text)")
        }
    }

    @Test func `a value and its file together are refused`() {
        let path = self.fixtures.directory.write("a\n", to: "secret")
        let problems = self.fixtures.problems(
            CoordinatorConfiguration.self, ["PGPASSWORD": "hunter2", "PGPASSWORD_FILE": path])
        #expect(problems.map(\.name) == ["PGPASSWORD"])
        #expect(problems.map(\.message) == ["and PGPASSWORD_FILE are both set"])
        #expect(!"\(problems)".contains("hunter2"))
    }

    @Test func `a missing secret file is a problem at start`() {
        let problems = self.fixtures.problems(CoordinatorConfiguration.self, ["PGPASSWORD_FILE": "/nowhere/x"])
        #expect(problems.map(\.name) == ["PGPASSWORD_FILE"])
        #expect(problems[0].message == "names /nowhere/x, which cannot be read: No such file or directory")
    }

    @Test func `a secret is never taken from a flag`() {
        let problems = self.fixtures.problems(
            DispatcherConfiguration.self, [:], flags: ["kafka-sasl-password": "hunter2"])
        #expect(problems.map(\.name) == ["--kafka-sasl-password"])
        #expect(!"\(problems)".contains("hunter2"))
    }

    @Test func `secrets show in no listing and no dump of a configuration`() throws {
        let file = self.fixtures.directory.write("file-secret\n", to: "secret")
        let dispatcher = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "esc",
                "KAFKA_SASL_PASSWORD": "kafka-secret", "KAFKA_SSL_KEY_PASSWORD_FILE": file,
                "KAFKA_PROPERTY_SSL_KEYSTORE_PASSWORD": "property-secret", "ELASTICSEARCH_API_KEY": "api-secret",
            ])
        let coordinator = try self.fixtures.load(
            CoordinatorConfiguration.self,
            ["DATABASE_URL": "postgresql://u:url-secret@db/escapement", "PGPASSWORD": "pg-secret"])
        var text = dispatcher.listing + coordinator.listing
        dump(dispatcher, to: &text)
        dump(coordinator, to: &text)
        print("\(dispatcher.model) \(coordinator.model)", to: &text)
        for secret in ["kafka-secret", "file-secret", "property-secret", "api-secret", "url-secret", "pg-secret"] {
            #expect(!text.contains(secret), "\(secret)")
        }
        #expect(dispatcher.listing.contains("KAFKA_SASL_PASSWORD=********  # environment KAFKA_SASL_PASSWORD\n"))
        #expect(
            dispatcher.listing.contains(
                "KAFKA_SSL_KEY_PASSWORD=********  # file \(file) (KAFKA_SSL_KEY_PASSWORD_FILE)\n"))
    }
}
