import DispatcherKafka
import EscapementModel
import Glibc
import HTTPClient
import JSON
import KafkaClient
import ServiceConfiguration

/// A cluster under load, and the harm done to it.
actor FailoverBench {
    /// How long anything that must happen may take before the benchmark gives up.
    static let patience = Duration.seconds(60)
    /// How long fires are watched before a fault, to know how late they usually are.
    static let calm = Duration.seconds(2)
    static let namespace = "guest"

    nonisolated let ledger: FailoverLedger
    private let stack: DevStack
    private let schedules: Int
    private let shardCount: Int
    private let laneCount: Int
    private let http: HTTPClient
    private let token: String
    private let clocks = SystemClocks()
    private var startedAt = WallInstant(milliseconds: 0)

    init(stack: DevStack, schedules: Int, shards: Int, lanes: Int) async throws {
        let report = await stack.current
        guard let kafka = report.kafka else { throw DevError("the benchmark wants the dev Kafka") }
        self.stack = stack
        self.schedules = schedules
        self.shardCount = shards
        self.laneCount = lanes
        self.token =
            try DevFiles.read(report.tokenFile).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        self.http = HTTPClient(
            configuration: HTTPClientConfiguration(certificateAuthorityFile: report.authorityFile))
        let variables = [
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrapServers, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": kafka.mechanism, "KAFKA_SASL_USERNAME": kafka.username,
            "KAFKA_SASL_PASSWORD_FILE": kafka.passwordFile, "KAFKA_SSL_CA_FILE": kafka.authorityFile,
        ]
        let configuration = try KafkaToolConfiguration.load(from: ConfigurationSources(environment: variables)).model
        self.ledger = try await FailoverLedger(
            settings: KafkaClientSettings(configuration.kafka), topic: configuration.defaultTopic,
            partitions: Int32(lanes), prefix: "\(Self.namespace)/\(Self.name(of: nil))")
    }

    private static func name(of schedule: Int?) -> String { "failover-\(schedule.map(String.init) ?? "")" }

    func close() async { await self.http.shutdown() }

    // MARK: - Load

    /// Makes the schedules, evenly spread over each second, and waits until all have fired.
    func begin() async throws {
        let anchor = WallInstant(milliseconds: 1_767_225_600_000)  // 2026-01-01
        for number in 0..<self.schedules {
            let offset = Duration.milliseconds(Int64(number) * 1000 / Int64(self.schedules))
            let body =
                #"{"name":"\#(Self.name(of: number))","when":{"every":"1s","anchor":"\#(anchor.advanced(by: offset))"},"#
                + #""target":{"action":"/guest/failover"}}"#
            _ = try await self.ask(.post, "/v1/namespaces/\(Self.namespace)/schedules", body)
        }
        let created = self.clocks.wallNow()
        try await self.until("every schedule fires") { self.ledger.haveAllFired(self.schedules, since: created) }
        self.startedAt = created.advanced(by: .seconds(1))
        Console.tell("\(self.schedules) schedules fire")
    }

    /// Waits until all that was due until now has arrived, and compares with every instant of every schedule.
    func judge() async throws -> (expected: Int, missed: Int, doubled: Int) {
        let end = self.clocks.wallNow()
        try await self.until("all that was due has arrived") {
            self.ledger.haveAllFired(self.schedules, since: end.advanced(by: .seconds(1)))
        }
        let seconds = (end.milliseconds - self.startedAt.milliseconds) / 1000
        var found: Set<[Int64]> = []
        for arrival in self.ledger.arrivals(from: self.startedAt, to: self.startedAt.advanced(by: .seconds(seconds))) {
            found.insert([Int64(arrival.schedule), arrival.dueMilliseconds])
        }
        // A second holds one instant of each schedule.
        let expected = self.schedules * Int(seconds)
        return (expected, expected - found.count, self.ledger.doubled)
    }

    // MARK: - Faults

    /// Does harm once, waits until all is well again, and tells by how many milliseconds each shard that it touched paused.
    func fault(_ kind: FailoverFault, number: Int) async throws -> [Double] {
        try await self.settle(spread: kind != .move && kind != .lanes || number % 2 == 0)
        try await self.clocks.sleep(for: Self.calm)
        let before = try await self.owners()
        let start = self.clocks.wallNow()
        var touched = Set(0..<self.shardCount)
        var dead: [String] = []
        switch kind {
        case .move, .lanes:
            let role: Role = kind == .move ? .ticker : .dispatcher
            let after = try await self.move(role, number: number, before)
            touched = touched.filter {
                kind == .move ? before.shards[$0] != after.shards[$0] : before.lane(of: $0) != after.lane(of: $0)
            }
        case .ticker:
            dead = [try await self.victim(.ticker, number)]
            touched = touched.filter { before.shards[$0] == dead[0] }
            await self.stack.signal(dead, SIGKILL)
        case .dispatcher:
            dead = [try await self.victim(.dispatcher, number)]
            touched = touched.filter { before.lane(of: $0) == dead[0] }
            await self.stack.signal(dead, SIGKILL)
        case .leader:
            dead = [try await self.leader()]
            await self.stack.signal(dead, SIGKILL)
        case .restart, .crash:
            dead = await self.services()
            await self.stack.signal(dead, kind == .restart ? SIGTERM : SIGKILL)
        }
        if kind == .restart || kind == .crash {
            try await self.stack.startAgain(dead)
            dead = []
        }
        let harmed = self.clocks.wallNow()
        try await self.until("every schedule fires after the fault") {
            self.ledger.haveAllFired(self.schedules, since: harmed.advanced(by: .seconds(2)))
        }
        let pauses = self.pauses(of: touched, start: start)
        try await self.stack.startAgain(dead)
        try await self.stack.waitUntilReady()
        return pauses
    }

    /// By shard: the latest of its fires since just before `start`, less what is usual.
    private func pauses(of touched: Set<Int>, start: WallInstant) -> [Double] {
        let usual = FailoverResult.quantile(
            0.5,
            self.ledger.arrivals(from: start.advanced(by: .zero - Self.calm), to: start).map { Double($0.lateness) })
        var latest: [Int: Int64] = [:]
        let from = start.advanced(by: .milliseconds(-500))
        for arrival in self.ledger.arrivals(from: from, to: self.clocks.wallNow()) {
            let shard = ShardPlacement.shard(
                namespace: Self.namespace, name: Self.name(of: arrival.schedule), shardCount: self.shardCount)
            latest[Int(shard.rawValue)] = max(latest[Int(shard.rawValue)] ?? 0, arrival.lateness)
        }
        return touched.sorted().compactMap { shard in latest[shard].map { max(0, Double($0) - usual) } }
    }

    /// Drains a member, or lets the drained one work again and spreads its work; who owns what afterwards.
    private func move(_ role: Role, number: Int, _ before: Owners) async throws -> Owners {
        let member = try await self.victim(role, number / 2)
        if number % 2 == 0 {
            _ = try await self.ask(.post, "/v1/cluster/members/\(member)/drain")
            try await self.until("\(member) is empty") {
                let now = try await self.owners()
                return now.isComplete && !now.all(of: role).contains(member)
            }
        } else {
            _ = try await self.ask(.post, "/v1/cluster/members/\(member)/resume")
            try await self.settle(spread: true)
        }
        return try await self.owners()
    }

    /// The members of a role in turn.
    private func victim(_ role: Role, _ number: Int) async throws -> String {
        let names = await self.stack.processes(role).map(\.name)
        guard !names.isEmpty else { throw DevError("there is no \(role.rawValue)") }
        return names[number % names.count]
    }

    private func services() async -> [String] {
        var names: [String] = []
        for role in [Role.coordinator, .dispatcher, .ticker] { names += await self.stack.processes(role).map(\.name) }
        return names
    }

    private func leader() async throws -> String {
        let status = try await self.ask(.get, "/v1/cluster")
        guard let name = status["leader"]?["id"]?.stringValue else { throw DevError("nobody leads") }
        return name
    }

    /// Waits until everything is owned, with `spread` evenly, and no schedule lags behind.
    private func settle(spread: Bool) async throws {
        var isAsked = false
        try await self.until("everything is owned") {
            let owners = try await self.owners()
            guard owners.isComplete else { return false }
            guard spread else { return true }
            let tickers = await self.stack.processes(.ticker).count
            let dispatchers = await self.stack.processes(.dispatcher).count
            if Set(owners.shards).count == tickers, Set(owners.lanes).count == dispatchers, isAsked,
                Self.isEven(owners.shards), Self.isEven(owners.lanes)
            {
                return true
            }
            _ = try await self.ask(.post, "/v1/cluster/rebalance")
            isAsked = true
            return false
        }
        let now = self.clocks.wallNow()
        try await self.until("every schedule fires") { self.ledger.haveAllFired(self.schedules, since: now) }
    }

    private static func isEven(_ owners: [String?]) -> Bool {
        var counts: [String: Int] = [:]
        for owner in owners { counts[owner ?? "", default: 0] += 1 }
        return (counts.values.max() ?? 0) - (counts.values.min() ?? 0) <= 1
    }

    // MARK: - The cluster

    struct Owners: Sendable {
        var shards: [String?]
        var lanes: [String?]
        /// Whether everything has an owner and nothing moves.
        var isComplete: Bool

        func lane(of shard: Int) -> String? { self.lanes[shard % self.lanes.count] }

        func all(of role: Role) -> Set<String> { Set((role == .ticker ? self.shards : self.lanes).compactMap { $0 }) }
    }

    private func owners() async throws -> Owners {
        let document = try await self.ask(.get, "/v1/cluster/shards")
        var isComplete = true
        func list(_ kind: String, _ count: Int) -> [String?] {
            var owners = [String?](repeating: nil, count: count)
            for item in document["\(kind)s"]?.arrayValue ?? [] {
                guard let number = item[kind]?.integerValue, number < count else { continue }
                owners[Int(number)] = item["owner"]?.stringValue
                if let next = item["next"]?.stringValue, !next.isEmpty { isComplete = false }
            }
            return owners
        }
        let shards = list("shard", self.shardCount)
        let lanes = list("lane", self.laneCount)
        isComplete = isComplete && !shards.contains(nil) && !lanes.contains(nil)
        return Owners(shards: shards, lanes: lanes, isComplete: isComplete)
    }

    /// Asks any coordinator, again until one can answer.
    private func ask(_ method: HTTPMethod, _ path: String, _ body: String? = nil) async throws -> JSONValue {
        var answer: JSONValue?
        var last = "nobody answers"
        try await self.until("\(path) is answered", { last }) {
            for process in await self.stack.processes(.coordinator) {
                guard let url = process.apiURL else { continue }
                var request = HTTPRequest(method, "\(url)\(path)", timeout: .seconds(5))
                request.headers.add("Authorization", "Bearer \(self.token)")
                if let body {
                    request.headers.add("Content-Type", "application/json")
                    request.body = Array(body.utf8)
                }
                do {
                    let response = try await self.http.send(request)
                    // A repeated request finds what an earlier one, whose answer was lost, has made.
                    if response.isSuccess || response.status == 409 && method == .post {
                        answer = response.text.isEmpty ? .null : try JSONParser.parse(response.text)
                        return true
                    }
                    last = "\(response.status) \(response.text)"
                } catch {
                    last = "\(error)"
                }
            }
            return false
        }
        return answer ?? .null
    }

    /// Looks several times a second: nothing tells us.
    private func until(
        _ what: String, _ detail: () -> String = { "" }, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = self.clocks.monotonicNow().advanced(by: Self.patience)
        while try await !condition() {
            guard self.clocks.monotonicNow() < deadline else {
                throw DevError("it did not come to pass that \(what) \(detail()) \(self.ledger.failure ?? "")")
            }
            try await self.clocks.sleep(for: .milliseconds(50))
        }
    }
}
