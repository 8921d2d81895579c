import ArgumentParser
import DevElasticsearch
import EscapementModel
import HTTPServer
import Hummingbird
import JSON
import Logging
import NIOCore
import Observability
import ServiceLifecycle
import TLS

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `dev-elasticsearch`: stands in for Elasticsearch where there is none. Not a product.
@main
struct DevElasticsearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev-elasticsearch",
        abstract: "A small, strict stand-in for Elasticsearch, for development and tests.",
        discussion: """
            Does what Escapement uses and refuses the rest as the real server does. Faults are ordered on the admin \
            port: 'PUT /admin/faults' with any of {"down": true, "tooManyPercent": 50, "busyDocumentsPercent": 50, \
            "refuseOneIn": 100, "delayMilliseconds": 200, "closePercent": 5, "hidesSetup": true, "lacksShard": true, \
            "retryAfterSeconds": 5}; 'GET /admin/faults' shows them.
            """)

    @Option(help: "Where the data is kept.") var dataDir: String
    @Option(help: "host:port of the API.") var listen: String
    @Option(help: "Certificate of the API, PEM; with it the API is HTTPS.") var tlsCert: String?
    @Option(help: "Its private key, PEM.") var tlsKey: String?
    @Option(help: "Authorities of clients' certificates, PEM; with them a client has to show one.") var tlsClientCa:
        String?
    @Option(help: "The one user; without it nobody is asked.") var username: String?
    @Option(help: "File of the user's password. It is also the secret of the API key whose id is the user's name.")
    var passwordFile: String?
    @Option(help: "host:port of probes, metrics and faults, plain HTTP.") var adminListen: String
    @Option(help: "Written when everything listens.") var readyFile: String?
    @Option(help: "The server it stands in for, such as elasticsearch-6.8, elasticsearch-oss-7.10 or opensearch-2.11.")
    var dialect = "elasticsearch-8.17"

    func validate() throws {
        guard (self.tlsCert == nil) == (self.tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together.")
        }
        guard ServerDialect(text: self.dialect) != nil else {
            throw ValidationError(
                "--dialect is elasticsearch, elasticsearch-oss or opensearch, a hyphen and a version.")
        }
        guard self.tlsClientCa == nil || self.tlsCert != nil else {
            throw ValidationError("--tls-client-ca needs --tls-cert.")
        }
        guard (self.username == nil) == (self.passwordFile == nil) else {
            throw ValidationError("--username and --password-file go together.")
        }
    }

    func run() async throws {
        guard let address = PeerAddress(text: self.listen), let admin = PeerAddress(text: self.adminListen) else {
            throw ValidationError("--listen and --admin-listen are host:port.")
        }
        let observability = Observability.bootstrap(
            role: "elasticsearch", instance: "dev-elasticsearch", cluster: "dev")
        let logger = observability.logger("dev-elasticsearch")
        let clocks = SystemClocks()
        var random = SystemRandomNumberGenerator()
        let node = try Node(
            folder: self.dataDir, clocks: clocks, seed: random.next(),
            dialect: ServerDialect(text: self.dialect) ?? .standard)
        let faults = Faults(seed: random.next())
        let routes = ElasticsearchRoutes(
            node: node, faults: faults, clocks: clocks, username: self.username, password: try self.password())
        var limits = HTTPServerLimits()
        limits.bodyByteCountMax = ElasticsearchRoutes.bodyByteCountMax
        let ready = ReadyFile(
            path: self.readyFile, role: "elasticsearch", instance: "dev-elasticsearch", listeners: ["admin", "api"])
        let note = { @Sendable (_ name: String, _ port: Int) in
            do {
                try ready.note(name, port: port)
            } catch {
                logger.error(
                    "the ready file is not written", event: "ready_file_failed", [LogKey.error: .string("\(error)")])
            }
        }
        let services: [any Service] = [
            AdminServer(
                host: admin.host, port: admin.port, observability: observability, onBound: { note("admin", $0) },
                addRoutes: { Self.addFaults(to: $0, faults) }),
            HTTPListener(
                name: "api", router: routes.router(), host: address.host, port: address.port, slot: try self.slot(),
                limits: limits, logger: logger, onBound: { note("api", $0) }),
        ]
        throw ExitCode(await ServiceMain.run(services, logger: logger, drainLimit: .seconds(5)))
    }

    private static func addFaults(to router: Router<BasicRequestContext>, _ faults: Faults) {
        router.get("admin/faults") { _, _ in Self.text(faults.plan.json.text) }
        router.put("admin/faults") { request, _ in
            let body = try await request.body.collect(upTo: 4096)
            guard let json = try? JSONParser.parse(String(buffer: body)) else {
                return Self.text("{\"error\":\"the body is not JSON\"}", status: .badRequest)
            }
            let (plan, problem) = Faults.Plan.read(json)
            guard let plan else {
                return Self.text(JSONValue.object([JSONMember("error", .string(problem))]).text, status: .badRequest)
            }
            faults.plan = plan
            return Self.text(plan.json.text)
        }
    }

    private static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text + "\n")))
    }

    private func password() throws -> String {
        guard let path = self.passwordFile else { return "" }
        guard let file = fopen(path, "r") else { throw ValidationError("\(path) cannot be read.") }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer.prefix(count).prefix { $0 != 0x0a && $0 != 0x0d }, as: UTF8.self)
    }

    private func slot() throws -> TLSContextSlot? {
        guard let certificate = self.tlsCert, let key = self.tlsKey else { return nil }
        return try TLSContextSlot(
            TLSConfiguration(
                role: .server, authentication: self.tlsClientCa == nil ? .serverOnly : .mutual,
                certificateChain: .file(certificate), privateKey: .file(key),
                trust: self.tlsClientCa.map { .file($0) }, applicationProtocols: ["http/1.1"], minimumVersion: .tls12,
                releasesIdleBuffers: true), now: SystemClocks().wallNow())
    }
}
