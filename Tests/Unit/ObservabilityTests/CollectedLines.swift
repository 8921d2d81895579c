import JSON
import Logging
import Observability
import Synchronization

/// A log sink that keeps its lines.
final class CollectedLines: Sendable {
    private let lines = Mutex<[[UInt8]]>([])

    var sink: LogSink { LogSink { line in self.lines.withLock { $0.append(line) } } }
    var all: [[UInt8]] { self.lines.withLock { $0 } }

    /// Every line as strict JSON.
    func documents() throws -> [JSONValue] { try self.all.map { try JSONParser.parse($0) } }

    func observability(level: Logger.Level = .info, format: LogFormat = .json) -> Observability {
        Observability(
            identity: ProcessIdentity(role: "ticker", instance: "ticker-0", cluster: "test"), level: level,
            format: format, sink: self.sink, nowMicroseconds: { 1_795_316_530_412_418 })
    }
}
