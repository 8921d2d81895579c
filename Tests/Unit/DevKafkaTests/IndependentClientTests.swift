import DevKafka
import Foundation
import Logging
import Testing

/// Clients that others wrote, against our brokers over SASL: kcat (librdkafka) and kafka-python.
@Suite struct IndependentClientTests {
    private static let kcat = Self.find("kcat")
    /// Debian's Python, when its package python3-kafka is installed.
    private static let python: String? =
        FileManager.default.fileExists(atPath: "/usr/lib/python3/dist-packages/kafka") ? "/usr/bin/python3" : nil

    /// A newer kafka-python, which knows transactions: where `./dev test` puts it, or where the environment says.
    private static let transactionalPython: String? = {
        let folder =
            ProcessInfo.processInfo.environment["ESCAPEMENT_KAFKA_PYTHON"]
            ?? FileManager.default.currentDirectoryPath + "/.dev-tools/kafka-python"
        return FileManager.default.fileExists(atPath: "\(folder)/kafka") ? folder : nil
    }()

    private struct Output {
        var status: Int32
        var text: String
    }

    private static func find(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }

    /// Runs a program to its end, at most for a minute, without holding a thread meanwhile.
    private static func run(
        _ path: String, _ arguments: [String], input: String = "", environment: [String: String]? = nil
    ) async throws -> Output {
        let folder = NSTemporaryDirectory() + "escapement-client-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try input.write(toFile: "\(folder)/in", atomically: false, encoding: .utf8)
        try "".write(toFile: "\(folder)/out", atomically: false, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = ["60", path] + arguments
        if let environment { process.environment = environment }
        process.standardInput = FileHandle(forReadingAtPath: "\(folder)/in")
        let output = FileHandle(forWritingAtPath: "\(folder)/out")
        process.standardOutput = output
        process.standardError = output
        let status: Int32 = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        return Output(status: status, text: try String(contentsOfFile: "\(folder)/out", encoding: .utf8))
    }

    private static func with(_ body: (DevKafkaCluster, String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "escapement-dev-kafka-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cluster = try await DevKafkaCluster.start(
            ClusterConfiguration(
                listeners: Array(repeating: .init(host: "127.0.0.1", port: 0), count: 2), security: .saslPlaintext,
                credentials: Credentials(passwords: ["user": "secret"]), dataFolder: folder),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        do {
            try await cluster.createTopic("t", partitions: 2)
            try await body(cluster, await cluster.bootstrapServers)
        } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
    }

    /// What a script prints that uses the newer kafka-python, given the addresses of a fresh cluster.
    private static func printed(_ script: String) async throws -> String {
        let folder = try #require(Self.transactionalPython)
        var text = ""
        try await Self.with { _, servers async throws in
            let output = try await Self.run(
                "/usr/bin/python3", ["-c", script, servers], environment: ["PYTHONPATH": folder, "LANG": "C.UTF-8"])
            #expect(output.status == 0, "\(output.text)")
            text = output.text
        }
        return text
    }

    private static func kcat(
        _ servers: String, password: String = "secret", _ arguments: [String], input: String = ""
    ) async throws -> Output {
        try await Self.run(
            Self.kcat ?? "kcat",
            [
                "-b", servers, "-X", "security.protocol=SASL_PLAINTEXT", "-X", "sasl.mechanism=SCRAM-SHA-512", "-X",
                "sasl.username=user", "-X", "sasl.password=\(password)", "-q",
            ] + arguments, input: input)
    }

    @Test(.enabled(if: Self.kcat != nil, "kcat is not installed (Debian package kcat)"))
    func `kcat produces, compressed and idempotent, and consumes alone and in a group`() async throws {
        try await Self.with { cluster, servers async throws in
            for options in [[], ["-z", "gzip"], ["-X", "enable.idempotence=true"]] {
                let sent = try await Self.kcat(servers, ["-P", "-t", "t", "-p", "0"] + options, input: "a\nb\n")
                #expect(sent.status == 0, "\(sent.text)")
            }
            let read = try await Self.kcat(servers, ["-C", "-t", "t", "-p", "0", "-e", "-o", "beginning"])
            #expect(read.text == "a\nb\na\nb\na\nb\n")
            for expected in ["a\nb\na\nb\na\nb\n", ""] {
                let grouped = try await Self.kcat(
                    servers, ["-G", "group", "-X", "auto.offset.reset=earliest", "-e", "t"])
                #expect(
                    grouped.text.split(separator: "\n").filter { !$0.hasPrefix("%") }.joined(separator: "\n")
                        == expected.trimmingCharacters(in: .newlines))
            }
        }
    }

    @Test(.enabled(if: Self.kcat != nil, "kcat is not installed (Debian package kcat)"))
    func `kcat is refused with a wrong password`() async throws {
        try await Self.with { _, servers async throws in
            let refused = try await Self.kcat(servers, password: "wrong", ["-L", "-m", "2"])
            #expect(refused.status != 0)
            #expect(refused.text.contains("Failed to acquire metadata"), "\(refused.text)")
        }
    }

    @Test(.enabled(if: Self.python != nil, "no python3 has kafka-python (Debian package python3-kafka)"))
    func `kafka-python produces and consumes in a group with every mechanism`() async throws {
        let script = """
            import sys
            from kafka import KafkaConsumer, KafkaProducer
            login = dict(bootstrap_servers=sys.argv[1], security_protocol='SASL_PLAINTEXT', sasl_mechanism=sys.argv[2],
                         sasl_plain_username='user', sasl_plain_password='secret')
            producer = KafkaProducer(acks='all', **login)
            for number in range(3):
                producer.send('t', b'%s %d' % (sys.argv[2].encode(), number), partition=1, headers=[('h', b'1')]).get(20)
            producer.close()
            consumer = KafkaConsumer('t', group_id=sys.argv[2], auto_offset_reset='earliest', consumer_timeout_ms=20000,
                                     **login)
            for message in consumer:
                print(message.value.decode(), message.headers[0][0])
                if message.value.decode() == sys.argv[2] + ' 2':
                    break
            consumer.commit()
            consumer.close()
            """
        let python = try #require(Self.python)
        try await Self.with { cluster, servers async throws in
            var expected: [String] = []
            for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
                expected += (0..<3).map { "\(mechanism) \($0)" }
                let output = try await Self.run(python, ["-c", script, servers, mechanism])
                #expect(output.status == 0, "\(output.text)")
                #expect(output.text == expected.map { "\($0) h\n" }.joined())
            }
            #expect(try await cluster.records("t").map(\.text) == expected)
        }
    }

    @Test(
        .enabled(if: Self.transactionalPython != nil, "kafka-python 3 is not in .dev-tools; ./dev test puts it there"))
    func `kafka-python sees transactions whole or not at all, and a fenced producer commits nothing`() async throws {
        let script = """
            import sys
            from kafka import KafkaConsumer, KafkaProducer, TopicPartition
            from kafka.errors import KafkaError
            login = dict(bootstrap_servers=sys.argv[1], security_protocol='SASL_PLAINTEXT', sasl_mechanism='SCRAM-SHA-512',
                         sasl_plain_username='user', sasl_plain_password='secret')
            def owner():
                producer = KafkaProducer(transactional_id='lane', acks='all', **login)
                producer.init_transactions()
                producer.begin_transaction()
                return producer
            def send(producer, value):
                producer.send('t', value, partition=0).get(20)
            first = owner()
            send(first, b'committed')
            first.commit_transaction()
            first.begin_transaction()
            send(first, b'aborted')
            first.abort_transaction()
            first.begin_transaction()
            send(first, b'zombie')
            second = owner()
            try:
                first.commit_transaction()
                print('not fenced')
            except KafkaError:
                print('fenced')
            send(second, b'owner')
            second.commit_transaction()
            for isolation in ('read_committed', 'read_uncommitted'):
                consumer = KafkaConsumer(isolation_level=isolation, enable_auto_commit=False, consumer_timeout_ms=20000, **login)
                consumer.assign([TopicPartition('t', 0)])
                consumer.seek_to_beginning()
                values = []
                for message in consumer:
                    values.append(message.value.decode())
                    if values[-1] == 'owner':
                        break
                print(isolation, *values)
                consumer.close()
            second.close(timeout=5)
            first.close(timeout=0)
            """
        #expect(
            try await Self.printed(script) == """
                fenced
                read_committed committed owner
                read_uncommitted committed aborted zombie owner

                """)
    }

    @Test(
        .enabled(if: Self.transactionalPython != nil, "kafka-python 3 is not in .dev-tools; ./dev test puts it there"))
    func `offsets that kafka-python sends in a transaction count when it commits, and only then`() async throws {
        let script = """
            import sys
            from kafka import KafkaConsumer, KafkaProducer, TopicPartition
            from kafka.structs import OffsetAndMetadata
            login = dict(bootstrap_servers=sys.argv[1], security_protocol='SASL_PLAINTEXT', sasl_mechanism='SCRAM-SHA-512',
                         sasl_plain_username='user', sasl_plain_password='secret')
            place = TopicPartition('t', 1)
            def committed():
                consumer = KafkaConsumer(group_id='group', enable_auto_commit=False, **login)
                offset = consumer.committed(place)
                consumer.close()
                return offset
            producer = KafkaProducer(transactional_id='copier', acks='all', **login)
            producer.init_transactions()
            for offset, ends in ((5, producer.abort_transaction), (7, producer.commit_transaction)):
                producer.begin_transaction()
                producer.send('t', b'copy', partition=0).get(20)
                producer.send_offsets_to_transaction({place: OffsetAndMetadata(offset)}, 'group')
                ends()
                print(committed())
            producer.close(timeout=5)
            """
        #expect(try await Self.printed(script) == "None\n7\n")
    }
}
