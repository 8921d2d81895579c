import DevKafka
import HTTPServer
import Hummingbird
import JSON
import NIOCore

/// The orders of `DevKafkaCluster` as HTTP routes on the admin port.
struct AdminRoutes: Sendable {
    /// Records in one answer, unless `limit` says otherwise.
    private static let recordsMax = 1000

    static let help = """
        The admin port answers, beside /livez, /readyz and /metrics:

          GET    /topics                                   all topics and partitions
          POST   /topics                                   {"name": "t", "partitions": 4, "replicas": 1, "settings": {}}
          DELETE /topics/T                                 delete a topic
          GET    /topics/T/records?isolation=read_committed&partition=0&from=0&limit=1000
          POST   /topics/T/partitions/P/leader             {"broker": 2}: move the leader
          POST   /topics/T/partitions/P/lose-tail          {"records": 3}: lose the last records, in whole batches
          GET    /brokers
          POST   /brokers/N/down, /brokers/N/up            take a broker off the network, bring it back
          POST   /brokers/N/slow                           {"milliseconds": 200}: hold back every answer; 0 ends it
          POST   /disconnect                               close all connections
          GET    /transactions
          POST   /markers                                  {"milliseconds": 500}: write transaction markers later
          POST   /verification                             {"on": false}: accept records outside transactions, as Kafka
                                                           before 3.6 did
          GET    /faults, DELETE /faults
          POST   /faults                                   {"kind": "error", "api": "Produce", "count": 3,
                                                            "error": "NOT_LEADER_OR_FOLLOWER", "topic": "t"}

        Kinds of faults: error (answered, not applied), delay (applied "milliseconds" later, even when the client is
        gone by then), delay-answer, duplicate (applied again "milliseconds" later), drop-answer (applied, then the
        connection is closed), mute (applied, never answered), disconnect (not applied). "broker" and "client" (how the
        client id begins) narrow a fault down; without "api" it meets any request.
        """

    let cluster: DevKafkaCluster

    func add(to router: Router<BasicRequestContext>) {
        self.addTopics(to: router)
        self.addBrokers(to: router)
        self.addFaults(to: router)
    }

    private func addTopics(to router: Router<BasicRequestContext>) {
        let cluster = self.cluster
        router.get("topics") { _, _ in await Self.answer { try await cluster.describeTopics() } }
        router.post("topics") { request, _ in
            await Self.answer {
                let order = try await Self.order(request)
                guard let name = order["name"]?.stringValue else { throw AdminError("name must be a string") }
                var settings: [String: String] = [:]
                for member in order["settings"]?.objectValue ?? [] { settings[member.name] = member.value.stringValue }
                try await cluster.createTopic(
                    name, partitions: Int32(clamping: order["partitions"]?.integerValue ?? -1),
                    replicas: Int16(clamping: order["replicas"]?.integerValue ?? -1), settings: settings)
                return ["created": .string(name)]
            }
        }
        router.delete("topics/:topic") { _, context in
            await Self.answer {
                let name = try context.parameters.require("topic")
                try await cluster.deleteTopic(name)
                return ["deleted": .string(name)]
            }
        }
        router.get("topics/:topic/records") { request, context in
            await Self.answer {
                let query = request.uri.queryParameters
                let isolation = query["isolation"].map(String.init) ?? "read_committed"
                guard ["read_committed", "read_uncommitted"].contains(isolation) else {
                    throw AdminError("isolation must be read_committed or read_uncommitted")
                }
                let records = try await cluster.records(
                    try context.parameters.require("topic"), partition: query["partition"].flatMap { Int32($0) },
                    from: query["from"].flatMap { Int64($0) } ?? 0, isCommittedOnly: isolation == "read_committed",
                    limit: query["limit"].flatMap { Int($0) } ?? Self.recordsMax)
                return .array(records.map(\.json))
            }
        }
        router.post("topics/:topic/partitions/:partition/leader") { request, context in
            await Self.answer {
                let place = try Self.partition(context)
                let broker = try Self.number("broker", in: try await Self.order(request))
                try await cluster.moveLeader(of: place, to: Int32(clamping: broker))
                return ["leader": .integer(broker)]
            }
        }
        router.post("topics/:topic/partitions/:partition/lose-tail") { request, context in
            await Self.answer {
                let place = try Self.partition(context)
                let count = try Self.number("records", in: try await Self.order(request))
                return ["lost": .integer(try await cluster.loseTail(of: place, count: count))]
            }
        }
    }

    private func addBrokers(to router: Router<BasicRequestContext>) {
        let cluster = self.cluster
        router.get("brokers") { _, _ in await Self.answer { try await cluster.describeBrokers() } }
        for (word, isUp) in [("up", true), ("down", false)] {
            router.post("brokers/:broker/\(word)") { _, context in
                await Self.answer {
                    try await cluster.setBroker(try context.parameters.require("broker", as: Int32.self), isUp: isUp)
                    return try await cluster.describeBrokers()
                }
            }
        }
        router.post("brokers/:broker/slow") { request, context in
            await Self.answer {
                let milliseconds = try Self.number("milliseconds", in: try await Self.order(request))
                try await cluster.setSlow(
                    broker: try context.parameters.require("broker", as: Int32.self), milliseconds: milliseconds)
                return try await cluster.describeBrokers()
            }
        }
        router.post("disconnect") { _, _ in
            await Self.answer {
                try await cluster.disconnectAll()
                return ["disconnected": true]
            }
        }
    }

    private func addFaults(to router: Router<BasicRequestContext>) {
        let cluster = self.cluster
        router.get("transactions") { _, _ in await Self.answer { try await cluster.describeTransactions() } }
        router.post("markers") { request, _ in
            await Self.answer {
                let milliseconds = try Self.number("milliseconds", in: try await Self.order(request))
                try await cluster.setMarkerDelay(milliseconds: milliseconds)
                return ["milliseconds": .integer(milliseconds)]
            }
        }
        router.post("verification") { request, _ in
            await Self.answer {
                guard let isOn = try await Self.order(request)["on"]?.boolValue else {
                    throw AdminError("on must be true or false")
                }
                try await cluster.setTransactionVerification(isOn)
                return ["on": .bool(isOn)]
            }
        }
        router.get("faults") { _, _ in await Self.answer { try await cluster.describeFaults() } }
        router.delete("faults") { _, _ in
            await Self.answer {
                try await cluster.clearFaults()
                return []
            }
        }
        router.post("faults") { request, _ in
            await Self.answer {
                try await cluster.order(try Fault(json: try await Self.order(request)))
                return try await cluster.describeFaults()
            }
        }
    }

    private static func partition(_ context: BasicRequestContext) throws -> TopicPartition {
        TopicPartition(
            try context.parameters.require("topic"), try context.parameters.require("partition", as: Int32.self))
    }

    private static func order(_ request: Request) async throws -> JSONValue {
        let body = try await request.body.collect(upTo: HTTPServerLimits.admin.bodyByteCountMax)
        do {
            return try JSONParser.parse(Array(body.readableBytesView))
        } catch {
            throw AdminError("the body must be JSON: \(error)")
        }
    }

    private static func number(_ name: String, in order: JSONValue) throws(AdminError) -> Int64 {
        guard let number = order[name]?.integerValue else { throw AdminError("\(name) must be a whole number") }
        return number
    }

    /// 200 with the result, or 400 with the reason.
    private static func answer(_ body: () async throws -> JSONValue) async -> Response {
        var status = HTTPResponse.Status.ok
        var document: JSONValue
        do {
            document = try await body()
        } catch {
            status = .badRequest
            document = ["error": .string("\(error)")]
        }
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: document.bytes + [0x0a])))
    }
}
