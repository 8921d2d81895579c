import EscapementModel
import Glibc
import HTTPClient
import JSON
import KafkaClient
import Logging
import Synchronization
import Testing
import TestSupport

/// The whole product as a newcomer starts it, in a directory of its own: real processes, real TLS, a real PostgreSQL, and
/// the stand-ins for Kafka and Elasticsearch, or the real ones where the environment names them.
final class Stack: Sendable {
    /// How long anything that must happen may take before a test says that it did not.
    static let patience = Duration.seconds(60)

    private static let shards = 16
    private let files: TemporaryFolder
    var folder: String { self.files.path }
    let surroundings: Surroundings
    let http: HTTPClient
    private let options: [String]
    private let token: String
    private let current: Mutex<JSONValue>

    /// Starts everything and returns when it is ready.
    ///
    /// - Parameter options: of `escapement dev up`.
    /// - Parameter environment: variables for the services besides those of the tests.
    static func up(_ options: [String] = [], environment: [String: String] = [:]) async throws -> Stack {
        let files = TemporaryFolder()
        var surroundings = Surroundings()
        surroundings.more = environment
        do {
            try await Self.start(files.path, surroundings, options)
            return try await Stack(files: files, surroundings: surroundings, options: options)
        } catch {
            try await surroundings.remove()
            throw error
        }
    }

    private static func start(_ folder: String, _ surroundings: Surroundings, _ options: [String]) async throws {
        try await Command(
            "escapement",
            [
                "dev", "up", "--detach", "--data-dir", folder, "--cluster-name", surroundings.name, "--shards",
                "\(Self.shards)",
                "--lanes", "4",
            ] + options, environment: Command.inherited.merging(surroundings.variables) { $1 }
        ).succeed()
    }

    private init(files: TemporaryFolder, surroundings: Surroundings, options: [String]) async throws {
        self.files = files
        self.surroundings = surroundings
        self.options = options
        let report = try JSONParser.parse(try TextFile.read(files.path(of: "dev.json")))
        self.token = try TextFile.read(try #require(report["api"]?["tokenFile"]?.stringValue)).trimmed
        self.http = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: try #require(report["api"]?["caFile"]?.stringValue)))
        self.current = Mutex(report)
    }

    /// Stops everything; the data goes with the stack.
    func down() async throws {
        try await Command.escapement(["dev", "down", "--data-dir", self.folder]).succeed()
        await self.http.shutdown()
        try await self.surroundings.remove()
    }

    /// Runs `body` on a stack that is stopped afterwards, however it ends.
    static func with(
        _ options: [String] = [], environment: [String: String] = [:], _ body: (Stack) async throws -> Void
    ) async throws {
        let stack = try await Stack.up(options, environment: environment)
        do {
            try await body(stack)
        } catch {
            stack.printLogs()
            try await stack.down()
            throw error
        }
        try await stack.down()
    }

    /// Stops everything and starts it again on the same data.
    func restart() async throws {
        try await Command.escapement(["dev", "down", "--data-dir", self.folder]).succeed()
        try await Self.start(self.folder, self.surroundings, self.options)
    }

    /// The environment in which the command line finds this stack.
    func clientEnvironment() throws -> [String: String] {
        let api = try #require(try self.report["api"])
        return [
            "PATH": "/usr/bin:/bin", "ESCAPEMENT_SERVER": try #require(api["url"]?.stringValue),
            "ESCAPEMENT_TOKEN_FILE": try #require(api["tokenFile"]?.stringValue),
            "ESCAPEMENT_TLS_CA": try #require(api["caFile"]?.stringValue),
        ]
    }

    /// The last one given counts, as for the command.
    var shardCount: Int {
        let index = self.options.lastIndex(of: "--shards").map { $0 + 1 } ?? self.options.endIndex
        return index < self.options.endIndex ? Int(self.options[index]) ?? Self.shards : Self.shards
    }

    /// Where fires go that name no topic.
    var firesTopic: String { self.surroundings.firesTopic }

    // MARK: What runs

    /// `dev.json` as it is now.
    var report: JSONValue {
        get throws { try JSONParser.parse(try TextFile.read("\(self.folder)/dev.json")) }
    }

    struct Process: Sendable {
        var name: String
        var role: String
        var pid: pid_t
        var adminURL: String
        var apiURL: String?
        var logFile: String
    }

    /// Has the supervisor do something: `stop NAME`, `start NAME`, `scale ROLE COUNT`.
    func dev(_ words: String...) async throws {
        try await Command.escapement(["dev"] + words + ["--data-dir", self.folder]).succeed()
    }

    func processes(_ role: Role) throws -> [Process] {
        let all = try self.report["processes"]?.arrayValue ?? []
        return all.compactMap { process in
            guard process["role"]?.stringValue == role.rawValue, let name = process["name"]?.stringValue,
                let pid = process["pid"]?.integerValue, let admin = process["adminUrl"]?.stringValue,
                let log = process["logFile"]?.stringValue
            else { return nil }
            return Process(
                name: name, role: role.rawValue, pid: pid_t(pid), adminURL: admin,
                apiURL: process["apiUrl"]?.stringValue, logFile: log)
        }
    }

    /// The coordinator that leads now.
    func leader() async throws -> Process {
        try await Eventually.value("a coordinator leads") {
            for process in try self.processes(.coordinator) {
                if try await self.metric("escapement_leader", of: process) == 1 { return process }
            }
            return nil
        }
    }

    /// The value of a metric without labels; `nil` when the process does not answer.
    func metric(_ name: String, of process: Process) async throws -> Double? {
        let response: HTTPResponse
        do {
            response = try await self.http.send(
                HTTPRequest(.get, "\(process.adminURL)/metrics", timeout: .seconds(5)))
        } catch {
            return nil
        }
        let line = response.text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
        return line?.split(separator: " ").last.flatMap { Double($0) }
    }

    /// The value of a metric, its labels as they are shown, of the coordinator that leads.
    func leaderMetric(_ name: String) async throws -> Double? {
        try await self.metric(name, of: try await self.leader())
    }

    /// The sum of a metric over all its labels and all processes of a role that answer.
    func total(_ name: String, of role: Role) async throws -> Double {
        var sum = 0.0
        for process in try self.processes(role) {
            let response = try? await self.http.send(
                HTTPRequest(.get, "\(process.adminURL)/metrics", timeout: .seconds(5)))
            for line in response?.text.split(separator: "\n") ?? []
            where line.hasPrefix("\(name) ") || line.hasPrefix("\(name){") {
                sum += line.split(separator: " ").last.flatMap { Double($0) } ?? 0
            }
        }
        return sum
    }

    /// Waits until every service says that it is ready.
    func untilReady() async throws {
        try await Eventually.holds("every service is ready") {
            for role in [Role.coordinator, .ticker, .dispatcher] {
                for process in try self.processes(role) {
                    let response = try? await self.http.send(
                        HTTPRequest(.get, "\(process.adminURL)/readyz", timeout: .seconds(5)))
                    if response?.status != 200 { return false }
                }
            }
            return true
        }
    }

    func printLogs() {
        for role in [Role.coordinator, .ticker, .dispatcher] {
            for process in (try? self.processes(role)) ?? [] {
                let text = (try? TextFile.read(process.logFile)) ?? ""
                print("--- \(process.name)\n\(text.split(separator: "\n").suffix(25).joined(separator: "\n"))")
            }
        }
    }

    /// Resident memory of every service, in megabytes, by name.
    func residentMegabytes() throws -> [String: Int] {
        var found: [String: Int] = [:]
        for role in [Role.coordinator, .ticker, .dispatcher] {
            for process in try self.processes(role) {
                let pages = try TextFile.read("/proc/\(process.pid)/statm").split(separator: " ").dropFirst().first
                found[process.name] = (pages.flatMap { Int($0) } ?? 0) * sysconf(Int32(_SC_PAGESIZE)) / 1_000_000
            }
        }
        return found
    }

    /// Tells a stand-in what to do wrong.
    func order(_ method: HTTPMethod, _ url: String, _ body: String = "") async throws {
        var request = HTTPRequest(method, url, timeout: .seconds(20))
        request.body = Array(body.utf8)
        let response = try await self.http.send(request)
        guard response.status == 200 else { throw StackError("\(url): \(response.status) \(response.text)") }
    }

    // MARK: The API

    /// Sends a request to a coordinator that answers, or to the one given; the status and the document.
    func call(
        _ method: HTTPMethod, _ path: String, _ body: String? = nil, contentType: String = "application/json",
        headers: [(String, String)] = [], of coordinator: Process? = nil
    ) async throws -> (status: Int, body: JSONValue) {
        var last: (any Error)?
        for process in try coordinator.map({ [$0] }) ?? self.processes(.coordinator) {
            guard let url = process.apiURL else { continue }
            var request = HTTPRequest(method, "\(url)\(path)", timeout: .seconds(20))
            request.headers.add("Authorization", "Bearer \(self.token)")
            for (name, value) in headers { request.headers.add(name, value) }
            if let body {
                request.headers.add("Content-Type", contentType)
                request.body = Array(body.utf8)
            }
            do {
                let response = try await self.http.send(request)
                let text = response.text
                return (response.status, text.isEmpty ? .null : try JSONParser.parse(text))
            } catch {
                last = error
            }
        }
        throw last ?? StackError("no coordinator is listed")
    }

    /// The same, again until a coordinator takes it: after faults some answer 503 for a while. A repeated request finds what
    /// an earlier one has made.
    func insist(_ method: HTTPMethod, _ path: String, _ body: String? = nil) async throws {
        try await Eventually.holds("\(path) is taken") {
            guard let answer = try? await self.call(method, path, body) else { return false }
            if (400..<500).contains(answer.status), answer.status != 409, answer.status != 429 {
                throw StackError("\(method.rawValue) \(path): \(answer.status) \(answer.body.text)")
            }
            return answer.status < 300 || answer.status == 409
        }
    }

    // MARK: Kafka

    /// Reads a topic from its beginning as a `read_committed` consumer does.
    ///
    /// - Parameter topic: the one that fires go to unless their schedule names another, if `nil`.
    func consumer(of topic: String? = nil, partitions: Int32 = 4) async throws -> TopicReader {
        try await TopicReader(
            try self.kafkaSettings(), topic: topic ?? self.surroundings.firesTopic, partitions: partitions)
    }

    func kafkaSettings() throws -> KafkaClientSettings {
        var settings = try self.surroundings.kafkaSettings(try self.report)
        settings.properties.append(.init("isolation.level", "read_committed"))
        return settings
    }

    /// How many documents the activation store has, and their ids.
    func activationIDs() async throws -> [String] {
        var ids: [String] = []
        var token: String?
        repeat {
            let query = token.map { "?pageSize=1000&pageToken=\($0)" } ?? "?pageSize=1000"
            let (status, body) = try await self.call(.get, "/v1/namespaces/guest/activations\(query)")
            guard status == 200 else { throw StackError("activations: \(status) \(body.text)") }
            ids += (body["items"]?.arrayValue ?? []).compactMap { $0["activation_id"]?.stringValue }
            token = body["nextPageToken"]?.stringValue
        } while token != nil
        return ids
    }
}

struct StackError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
