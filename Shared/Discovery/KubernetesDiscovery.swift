package import EscapementModel
import HTTPClient
import JSON
package import Logging
import Observability
import Synchronization

/// The pods of a label selector, from the Kubernetes API: `ESCAPEMENT_DISCOVERY=kubernetes`.
///
/// Lists, then watches with bookmarks from the list's version; lists again when that version is too old. The
/// token is read anew for each request, as kubelet rotates it. While the API is away, what was known stays known,
/// and attempts follow each other with a doubling, jittered pause.
///
/// Further reading: "Kubernetes API Concepts", sections "Efficient detection of changes" and "Retrieving large
/// results sets in chunks".
package final class KubernetesDiscovery: Discovery {
    /// How to reach the API and what to look for.
    package struct Settings: Equatable, Sendable {
        /// `https://10.0.0.1:443`, without a slash at the end.
        package var url: String
        package var namespace: String
        package var labelSelector: String
        /// The port that every address gets.
        package var port: Int
        /// The service account's token; `nil` sends none.
        package var tokenFile: String?
        /// The authority of the API server; `nil` trusts the system's.
        package var authorityFile: String?

        package init(
            url: String, namespace: String, labelSelector: String, port: Int, tokenFile: String?,
            authorityFile: String?
        ) {
            self.url = url
            self.namespace = namespace
            self.labelSelector = labelSelector
            self.port = port
            self.tokenFile = tokenFile
            self.authorityFile = authorityFile
        }
    }

    /// Pods of one page of a list.
    static let pageSize = 250
    /// How long the server is asked to keep a watch open. It may end it earlier.
    static let watchFor = Duration.seconds(300)
    /// What is added to that before the client gives up on a silent connection.
    static let watchPatience = Duration.seconds(30)
    static let listWithin = Duration.seconds(15)
    static let pauseMin = Duration.milliseconds(200)
    static let pauseMax = Duration.seconds(30)
    /// Bytes of one line of a watch: a pod has at most 1.5 MB in etcd.
    static let lineBytesMax = 2 << 20
    /// Bytes of a token file.
    static let tokenBytesMax = 64 * 1024

    private let settings: Settings
    private let client: HTTPClient
    private let clocks: any Clocks
    private let logger: Logger
    private let table = Mutex(PodTable())
    private let random: Mutex<SplitMix64>
    private let readToken: @Sendable (String) throws -> String

    /// - Parameters:
    ///   - readToken: reads the token file.
    ///   - seed: of the jitter; different in every process.
    package init(
        _ settings: Settings, clocks: any Clocks, logger: Logger, seed: UInt64,
        readToken: @escaping @Sendable (String) throws -> String
    ) {
        self.settings = settings
        self.client = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: settings.authorityFile, userAgent: "escapement-discovery",
                // One long answer at a time: multiplexing gains nothing, and a watch ends with its connection.
                offersHTTP2: false))
        self.clocks = clocks
        self.logger = logger
        self.random = Mutex(SplitMix64(seed: seed))
        self.readToken = readToken
    }

    package func addresses() async -> [PeerAddress] {
        self.table.withLock { $0.addresses(port: self.settings.port) }
    }

    package func run() async {
        var needsList = true
        var pause = Self.pauseMin
        var lastFailure = ""
        while !Task.isCancelled {
            var failure: Failure?
            do throws(Failure) {
                if needsList {
                    try await self.list()
                    needsList = false
                    let count = self.table.withLock { $0.addresses(port: self.settings.port).count }
                    self.logger.info(
                        "coordinators listed", event: "discovery_listed", [LogKey.count: .number(count)])
                    lastFailure = ""
                    // An answer shows that the API works; a watch that ends at once must not list in a loop.
                    pause = max(Self.pauseMin, pause / 2)
                }
                let startedAt = self.clocks.monotonicNow()
                try await self.watch()
                if self.clocks.monotonicNow().duration(since: startedAt) >= .seconds(1) {
                    pause = Self.pauseMin
                    continue
                }
            } catch {
                failure = error
            }
            if Task.isCancelled { return }
            if let failure {
                needsList = needsList || failure.listsAgain
                if failure.detail != lastFailure {
                    lastFailure = failure.detail
                    self.logger.log(
                        failure.isOrdinary ? .debug : .warning, "coordinators not watched", event: "discovery_failed",
                        [LogKey.reason: .string(failure.detail)])
                }
            }
            let wait = max(
                failure?.retryAfter ?? .zero, pause * self.random.withLock { Double.random(in: 0.5...1, using: &$0) })
            do { try await self.clocks.sleep(for: wait) } catch { return }
            pause = min(pause * 2, Self.pauseMax)
        }
    }

    /// Why a list or a watch ended early.
    struct Failure: Error, Equatable {
        var detail: String
        /// What is known may be old: only a list mends it.
        var listsAgain = false
        /// Belongs to a long life; not worth a warning.
        var isOrdinary = false
        /// The server's wish.
        var retryAfter: Duration?
    }

    private func list() async throws(Failure) {
        self.table.withLock { $0.beginList() }
        var token = ""
        repeat {
            var query = [("labelSelector", self.settings.labelSelector), ("limit", "\(Self.pageSize)")]
            if !token.isEmpty { query.append(("continue", token)) }
            let response: HTTPResponse
            do {
                response = try await self.client.send(try self.request(query, timeout: Self.listWithin))
            } catch let error as HTTPClientError {
                throw Failure(detail: error.description, listsAgain: true)
            } catch {
                throw Failure(detail: "\(error)", listsAgain: true)
            }
            guard response.isSuccess else { throw self.failure(response, listing: true) }
            do {
                let page = try JSONParser.parse(response.body)
                token = try self.table.withLock { table throws in try table.take(page: page) } ?? ""
            } catch let error as PodTable.Fault {
                throw Failure(detail: error.detail, listsAgain: true)
            } catch {
                throw Failure(detail: "the list is no JSON: \(error)", listsAgain: true)
            }
        } while !token.isEmpty
    }

    /// Follows changes until the server ends the watch.
    private func watch() async throws(Failure) {
        let version = self.table.withLock { $0.resourceVersion }
        let seconds = Int(Self.watchFor.components.seconds)
        let query = [
            ("labelSelector", self.settings.labelSelector), ("watch", "1"), ("allowWatchBookmarks", "true"),
            ("resourceVersion", version), ("timeoutSeconds", "\(seconds)"),
        ]
        let response: HTTPResponse
        do {
            var request = try self.request(query, timeout: Self.watchFor + Self.watchPatience)
            request.responseByteCountMax = .max
            response = try await self.client.stream(request) { body in
                var lines = LineCutter(lineBytesMax: Self.lineBytesMax)
                while let bytes = try await body.next() {
                    for line in try lines.take(bytes) { try self.take(line) }
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as HTTPClientError {
            throw Failure(detail: error.description, isOrdinary: error.code == .brokenConnection)
        } catch {
            throw Failure(detail: "\(error)")
        }
        if !response.isSuccess { throw self.failure(response, listing: false) }
    }

    private func take(_ line: [UInt8]) throws(Failure) {
        let step: PodTable.Step
        do {
            let event = try JSONParser.parse(line)
            step = try self.table.withLock { table throws in try table.take(event: event) }
        } catch let error as PodTable.Fault {
            throw Failure(detail: error.detail, listsAgain: true)
        } catch {
            throw Failure(detail: "a line of the watch is no JSON", listsAgain: true)
        }
        if case .listAgain(let reason) = step { throw Failure(detail: reason, listsAgain: true, isOrdinary: true) }
    }

    private func failure(_ response: HTTPResponse, listing: Bool) -> Failure {
        let message = (try? JSONParser.parse(response.body))?["message"]?.stringValue ?? ""
        var failure = Failure(
            detail: "the Kubernetes API answers \(response.status)\(message.isEmpty ? "" : ": " + message)",
            listsAgain: listing || response.status == 410, isOrdinary: response.status == 410)
        if let seconds = response.headers["Retry-After"].flatMap({ Int($0) }) {
            failure.retryAfter = min(.seconds(max(0, seconds)), Self.pauseMax)
        }
        switch response.status {
        case 401: failure.detail += "; is the service account's token mounted?"
        case 403: failure.detail += "; the service account needs to get, list and watch pods"
        default: break
        }
        return failure
    }

    private func request(_ query: [(String, String)], timeout: Duration) throws -> HTTPRequest {
        let text = query.map { "\($0.0)=\(Self.escaped($0.1))" }.joined(separator: "&")
        let url = "\(self.settings.url)/api/v1/namespaces/\(Self.escaped(self.settings.namespace))/pods?\(text)"
        var request = HTTPRequest(.get, url, headers: ["Accept": "application/json"], timeout: timeout)
        if let file = self.settings.tokenFile {
            request.authorization = .bearer(token: try self.readToken(file))
        }
        return request
    }

    /// Percent-encoded for a query or a path segment (RFC 3986, unreserved characters stay).
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Cuts a stream of bytes into lines, whatever the pieces it comes in.
struct LineCutter {
    private let lineBytesMax: Int
    private var rest: [UInt8] = []

    init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    /// The lines that `bytes` completes, without their ends, empty ones left out.
    mutating func take(_ bytes: [UInt8]) throws(KubernetesDiscovery.Failure) -> [[UInt8]] {
        self.rest += bytes
        var lines: [[UInt8]] = []
        var start = 0
        for index in self.rest.indices where self.rest[index] == 0x0a {
            if index > start { lines.append(Array(self.rest[start..<index])) }
            start = index + 1
        }
        self.rest.removeFirst(start)
        if self.rest.count > self.lineBytesMax {
            throw KubernetesDiscovery.Failure(
                detail: "a line of the watch exceeds \(self.lineBytesMax) bytes", listsAgain: true)
        }
        return lines
    }
}
