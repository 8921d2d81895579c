package import EscapementModel
import HTTPClient
import Logging
package import Observability
package import ServiceConfiguration
import ServiceLifecycle

/// Posts recorded spans to an OTLP/HTTP collector, in batches.
///
/// A collector that is away costs nothing but spans: each batch is tried a few times and then dropped and counted,
/// and what comes meanwhile waits in the recorder's bounded queue.
package struct TraceExporter: Service {
    /// Between two batches, unless one is full.
    package static let period = Duration.seconds(2)
    /// Spans in a batch, at most.
    package static let batchMax = 512
    /// How often a batch is sent before it is dropped.
    package static let attemptsMax = 3
    package static let pause = Duration.seconds(1)
    /// Batches that a stop still sends.
    package static let lastBatchesMax = 16

    private let settings: TelemetrySettings
    private let url: String
    private let client: HTTPClient
    private let resource: [(name: String, value: String)]
    private let recorder: SpanRecorder
    private let clocks: any Clocks
    private let logger: Logger

    /// - Returns: `nil` when no endpoint is set.
    package init?(_ settings: TelemetrySettings, observability: Observability, clocks: any Clocks) {
        guard let url = settings.tracesURL else { return nil }
        let identity = observability.identity
        self.settings = settings
        self.url = url
        self.client = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: settings.authorityFile, userAgent: "escapement/\(identity.version)",
                offersHTTP2: false, connectionsPerHostMax: 1))
        self.resource =
            [
                ("service.name", settings.serviceName ?? "\(identity.service)-\(identity.role)"),
                ("service.version", identity.version), ("service.instance.id", identity.instance),
                ("service.namespace", identity.cluster),
            ].filter { own in !settings.resource.contains { $0.name == own.0 } } + settings.resource
        self.recorder = observability.spans
        self.clocks = clocks
        self.logger = observability.logger("traces")
        self.recorder.switchOn(ratio: settings.effectiveRatio, followsParent: settings.followsParent)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await self.clocks.sleep(for: Self.period) } catch { break }
                while await self.sendBatch(attempts: Self.attemptsMax) == Self.batchMax, !Task.isCancelled {}
            }
        }
        var rest = Self.lastBatchesMax
        while rest > 0, await self.sendBatch(attempts: 1) > 0 { rest -= 1 }
        await self.client.shutdown()
    }

    /// Sends what waits, one batch of it.
    ///
    /// - Returns: how many spans left the queue.
    package func sendBatch(attempts: Int) async -> Int {
        let spans = self.recorder.take(Self.batchMax)
        guard !spans.isEmpty else { return 0 }
        let body = OTLPTraces.body(spans, resource: self.resource)
        var reason = ""
        for attempt in 1...attempts {
            switch await self.post(body) {
            case .taken: return spans.count
            case .refused(let text):
                self.drop(spans.count, text)
                return spans.count
            case .away(let text): reason = text
            }
            if attempt < attempts {
                // Cancelled: the process stops, and the batch gets its last attempt at once.
                do { try await self.clocks.sleep(for: Self.pause) } catch {}
            }
        }
        self.drop(spans.count, reason)
        return spans.count
    }

    private enum Reply {
        case taken
        /// Sending it again would not help.
        case refused(String)
        case away(String)
    }

    private func post(_ body: [UInt8]) async -> Reply {
        var headers: HTTPHeaders = ["Content-Type": "application/json"]
        do {
            for (name, value) in try self.settings.headerFields() { headers.add(name, value) }
            let response = try await self.client.send(
                HTTPRequest(
                    .post, self.url, headers: headers, body: body, compressesBody: false,
                    timeout: self.settings.timeout, responseByteCountMax: 64 * 1024))
            switch response.status {
            case 200..<300: return .taken
            case 429, 502, 503, 504: return .away("the collector answers \(response.status)")
            default: return .refused("the collector answers \(response.status)")
            }
        } catch {
            return .away("\(error)")
        }
    }

    private func drop(_ count: Int, _ reason: String) {
        self.recorder.lost(count)
        self.logger.warning(
            "spans were dropped", event: "traces_dropped",
            [LogKey.count: .number(count), LogKey.reason: .string(reason)])
    }
}
