import DevKafka
import Foundation
import Logging
import NIOCore

/// A cluster of one broker in a folder of its own, and the calls that tests make to it.
struct RawClient {
    let cluster: DevKafkaCluster
    let folder: String
    let connection: RawConnection

    /// Runs `body` against a fresh cluster with topic `t` of one partition.
    static func with(
        security: ClusterConfiguration.Security = .plaintext,
        configure: (inout ClusterConfiguration) -> Void = { _ in }, _ body: (RawClient) async throws -> Void
    ) async throws {
        let folder = NSTemporaryDirectory() + "escapement-dev-kafka-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let client = try await Self.open(folder, security: security, configure: configure)
        try await client.cluster.createTopic("t")
        do {
            try await body(client)
        } catch {
            await client.cluster.stop()
            throw error
        }
        await client.cluster.stop()
    }

    static func open(
        _ folder: String, security: ClusterConfiguration.Security = .plaintext,
        configure: (inout ClusterConfiguration) -> Void = { _ in }
    ) async throws -> RawClient {
        var configuration = ClusterConfiguration(
            security: security,
            credentials: Credentials(passwords: ["user": "secret"], bearerTokens: ["a.b.c": "bearer"]),
            dataFolder: folder)
        configure(&configuration)
        let cluster = try await DevKafkaCluster.start(
            configuration, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        return RawClient(
            cluster: cluster, folder: folder, connection: try RawConnection(port: await cluster.ports[0]))
    }

    func reopened() async throws -> RawClient {
        await self.cluster.stop()
        return try await Self.open(self.folder)
    }

    /// Where the only partition of `t` lies.
    var logFile: String { "\(self.folder)/topics/t-1-0.log" }

    // MARK: - Calls

    struct Produced: Equatable {
        var code: Int16
        var offset: Int64
    }

    /// Produce, version 7, to partition 0 of `t`.
    func produce(_ batch: RawBatch, transactionalID: String? = nil) throws -> Produced {
        try self.produce(bytes: batch.bytes, transactionalID: transactionalID)
    }

    func produce(bytes: ByteBuffer, transactionalID: String? = nil, topic: String = "t") throws -> Produced {
        var answer = try self.connection.call(0, 7, Self.produceBody(bytes, transactionalID, topic))
        answer.moveReaderIndex(forwardBy: 4)
        _ = answer.takeString()
        answer.moveReaderIndex(forwardBy: 8)
        return Produced(
            code: answer.readInteger() ?? -99, offset: answer.readInteger() ?? -99)
    }

    /// Sends what `produce` sends and does not wait for the answer.
    func sendProduce(_ batch: RawBatch) throws {
        try self.connection.sendOnly(0, 7, Self.produceBody(batch.bytes, nil, "t"))
    }

    private static func produceBody(_ bytes: ByteBuffer, _ transactionalID: String?, _ topic: String) -> ByteBuffer {
        var body = ByteBuffer()
        body.string(transactionalID)
        body.writeMultipleIntegers(Int16(-1), Int32(1000), Int32(1))
        body.string(topic)
        body.writeMultipleIntegers(Int32(1), Int32(0), Int32(bytes.readableBytes))
        body.writeImmutableBuffer(bytes)
        return body
    }

    struct Described: Equatable {
        var name: String
        var code: Int16
    }

    /// Metadata, version 4, of these topics or of all.
    func describe(_ topics: [String]?) throws -> [Described] {
        var body = ByteBuffer()
        body.writeInteger(Int32(topics?.count ?? -1))
        for topic in topics ?? [] { body.string(topic) }
        body.writeInteger(Int8(0))
        var answer = try self.connection.call(3, 4, body)
        func count() -> Int32 { answer.readInteger() ?? 0 }
        answer.moveReaderIndex(forwardBy: 4)
        for _ in 0..<count() {
            answer.moveReaderIndex(forwardBy: 4)
            _ = answer.takeString()
            answer.moveReaderIndex(forwardBy: 4)
            _ = answer.takeString()
        }
        _ = answer.takeString()
        answer.moveReaderIndex(forwardBy: 4)
        return (0..<count()).map { _ in
            let code = answer.readInteger(as: Int16.self) ?? -99
            let described = Described(name: answer.takeString() ?? "", code: code)
            answer.moveReaderIndex(forwardBy: 1)
            for _ in 0..<count() {
                answer.moveReaderIndex(forwardBy: 10)
                for _ in ["replicas", "in sync"] {
                    let brokers = count()
                    answer.moveReaderIndex(forwardBy: 4 * Int(brokers))
                }
            }
            return described
        }
    }

    struct Settings {
        var code: Int16
        var values: [String: String] = [:]
    }

    /// DescribeConfigs, version 0, of one resource: 2 is a topic, 4 a broker.
    func settings(type: Int8, _ name: String) throws -> Settings {
        var body = ByteBuffer()
        body.writeMultipleIntegers(Int32(1), type)
        body.string(name)
        body.writeInteger(Int32(-1))
        var answer = try self.connection.call(32, 0, body)
        answer.moveReaderIndex(forwardBy: 8)
        var settings = Settings(code: answer.readInteger() ?? -99)
        _ = answer.takeString()
        answer.moveReaderIndex(forwardBy: 1)
        _ = answer.takeString()
        for _ in 0..<(answer.readInteger(as: Int32.self) ?? 0) {
            let name = answer.takeString() ?? ""
            settings.values[name] = answer.takeString()
            answer.moveReaderIndex(forwardBy: 3)
        }
        return settings
    }

    struct Producer: Equatable {
        var code: Int16
        var id: Int64
        var epoch: Int16
    }

    /// InitProducerId, version 1; asks again while another transaction is being ended.
    func initialize(_ transactionalID: String?, timeout: Int32 = 60_000) throws -> Producer {
        while true {
            var body = ByteBuffer()
            body.string(transactionalID)
            body.writeInteger(timeout)
            var answer = try self.connection.call(22, 1, body)
            answer.moveReaderIndex(forwardBy: 4)
            let producer = Producer(
                code: answer.readInteger() ?? -99, id: answer.readInteger() ?? -99, epoch: answer.readInteger() ?? -99)
            if producer.code != ErrorCode.concurrentTransactions.rawValue { return producer }
        }
    }

    /// AddPartitionsToTxn for partition 0 of `t`.
    func addPartition(_ transactionalID: String, _ producer: Producer, version: Int16 = 2) throws -> Int16 {
        var body = ByteBuffer()
        body.string(transactionalID)
        body.writeMultipleIntegers(producer.id, producer.epoch, Int32(1))
        body.string("t")
        body.writeMultipleIntegers(Int32(1), Int32(0))
        var answer = try self.connection.call(24, version, body)
        answer.moveReaderIndex(forwardBy: 8)
        _ = answer.takeString()
        answer.moveReaderIndex(forwardBy: 8)
        return answer.readInteger() ?? -99
    }

    /// EndTxn.
    func end(_ transactionalID: String, _ producer: Producer, commit: Bool, version: Int16 = 2) throws -> Int16 {
        var body = ByteBuffer()
        body.string(transactionalID)
        body.writeMultipleIntegers(producer.id, producer.epoch, Int8(commit ? 1 : 0))
        var answer = try self.connection.call(26, version, body)
        answer.moveReaderIndex(forwardBy: 4)
        return answer.readInteger() ?? -99
    }

    struct Fetched: Equatable {
        var code: Int16
        var highWatermark: Int64
        var lastStableOffset: Int64
        /// First offsets of aborted transactions; `nil` when the answer has no list.
        var aborted: [Int64]?
        var byteCount: Int
    }

    /// Fetch, version 4, of partition 0 of `t`.
    func fetch(
        from offset: Int64, committed: Bool = true, byteCountMax: Int32 = 1_000_000, wait: Int32 = 0,
        byteCountMin: Int32 = 1
    ) throws -> Fetched {
        var body = ByteBuffer()
        body.writeMultipleIntegers(Int32(-1), wait, byteCountMin, Int32(10_000_000), Int8(committed ? 1 : 0), Int32(1))
        body.string("t")
        body.writeMultipleIntegers(Int32(1), Int32(0), offset, byteCountMax)
        var answer = try self.connection.call(1, 4, body)
        answer.moveReaderIndex(forwardBy: 8)
        _ = answer.takeString()
        answer.moveReaderIndex(forwardBy: 8)
        var fetched = Fetched(
            code: answer.readInteger() ?? -99, highWatermark: answer.readInteger() ?? -99,
            lastStableOffset: answer.readInteger() ?? -99, aborted: nil, byteCount: 0)
        if let count = answer.readInteger(as: Int32.self), count >= 0 {
            fetched.aborted = (0..<count).map { _ in
                answer.moveReaderIndex(forwardBy: 8)
                return answer.readInteger() ?? -99
            }
        }
        fetched.byteCount = Int(answer.readInteger(as: Int32.self) ?? -99)
        return fetched
    }
}

extension Int16 {
    static func code(_ error: ErrorCode) -> Int16 { error.rawValue }
}
