import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// Where the server is, who calls, and how results are shown: the flags that every noun has.
struct ClientOptions: ParsableArguments {
    @Option(help: "URL of the API. Else ESCAPEMENT_SERVER, else the stack of ./dev up in this folder.")
    var server: String?

    @Option(name: .shortAndLong, help: "The namespace. Else ESCAPEMENT_NAMESPACE, else the token's own.")
    var namespace: String?

    @Option(name: .customLong("token-file"), help: "File with the token. Else ESCAPEMENT_TOKEN_FILE, ESCAPEMENT_TOKEN.")
    var tokenFile: String?

    @Option(name: .customLong("tls-ca"), help: "PEM file with the authority to trust. Else ESCAPEMENT_TLS_CA.")
    var authorityFile: String?

    @Option(name: .customLong("tls-cert"), help: "PEM file with a client certificate.")
    var certificateFile: String?

    @Option(name: .customLong("tls-key"), help: "PEM file with the certificate's key.")
    var keyFile: String?

    @Option(help: "How long a request may take.")
    var timeout = "30s"

    @Option(name: .shortAndLong, help: "table, json, jsonl or name.")
    var output = OutputFormat.table

    func validate() throws {
        guard DurationText.parse(self.timeout).map({ $0 > .zero }) ?? false else {
            throw ValidationError("--timeout '\(self.timeout)' is not a duration such as 30s")
        }
    }

    /// Runs `body` with a client; a failure is told on standard error and becomes the exit code.
    func run(_ body: (APIClient) async throws -> Void) async throws {
        do {
            let client = try self.client()
            do {
                try await body(client)
            } catch {
                await client.shutdown()
                throw error
            }
            await client.shutdown()
        } catch let failure as ClientFailure {
            for line in failure.lines { Console.tell(line) }
            throw failure.exitCode
        } catch let error as DevError {
            Console.tell("escapement: \(error)")
            throw ExitStatus.invalid
        }
    }

    private func client() throws -> APIClient {
        let stack = DevStackAddress.here()
        let given = self.server ?? DevFiles.variable("ESCAPEMENT_SERVER")
        // The stack's token and authority are for its own servers only.
        let isStack = given.map { stack?.urls.contains(Self.trimmed($0)) ?? false } ?? (stack != nil)
        guard let url = given ?? stack?.url else {
            throw ClientFailure(
                ExitStatus.usage, "escapement: no server is named",
                "Give --server URL, set ESCAPEMENT_SERVER, or run ./dev up and call from its folder.")
        }
        var configuration = HTTPClientConfiguration(
            certificateAuthorityFile: self.authorityFile ?? DevFiles.variable("ESCAPEMENT_TLS_CA")
                ?? (isStack ? stack?.authorityFile : nil),
            clientCertificateFile: self.certificateFile, privateKeyFile: self.keyFile)
        if let token = try self.token(stackFile: isStack ? stack?.tokenFile : nil) {
            configuration.authorization = .bearer(token: token)
        }
        return APIClient(
            client: HTTPClient(configuration: configuration), server: Self.trimmed(url),
            namespace: self.namespace ?? DevFiles.variable("ESCAPEMENT_NAMESPACE") ?? "_",
            timeout: DurationText.parse(self.timeout) ?? .seconds(30))
    }

    private func token(stackFile: String?) throws -> String? {
        var text = DevFiles.variable("ESCAPEMENT_TOKEN")
        if let file = self.tokenFile ?? DevFiles.variable("ESCAPEMENT_TOKEN_FILE") ?? (text == nil ? stackFile : nil) {
            text = try DevFiles.read(file)
        }
        let token = text?.split(whereSeparator: \.isWhitespace).first.map(String.init)
        return token
    }

    private static func trimmed(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }
}

/// What `./dev up` wrote in this folder, or in the nearest one above it.
struct DevStackAddress {
    var url: String
    /// Of all coordinators.
    var urls: [String]
    var authorityFile: String
    var tokenFile: String

    private static let levelsMax = 8

    static func here() -> DevStackAddress? {
        var folder = "."
        for _ in 0..<self.levelsMax {
            let file = "\(folder)/.dev/dev.json"
            if DevFiles.exists(file), let text = try? DevFiles.read(file), let document = try? JSONParser.parse(text) {
                return self.init(document)
            }
            folder += "/.."
        }
        return nil
    }

    private init?(_ document: JSONValue) {
        guard let api = document["api"], let url = api["url"]?.stringValue, let ca = api["caFile"]?.stringValue,
            let token = api["tokenFile"]?.stringValue
        else { return nil }
        self.url = url
        self.urls = [url] + (document["processes"]?.arrayValue ?? []).compactMap { $0["apiUrl"]?.stringValue }
        self.authorityFile = ca
        self.tokenFile = token
    }
}
