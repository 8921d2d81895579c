#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
package import Logging

/// The back end of swift-log: turns statements into `LogLine`s and hands them to a `LogSink`.
package struct StructuredLogHandler: LogHandler {
    private let label: String
    private let identity: ProcessIdentity
    private let control: LogLevelControl
    private let format: LogFormat
    private let sink: LogSink
    private let nowMicroseconds: @Sendable () -> Int64
    private var ownLevel: Logger.Level?

    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    /// - Parameters:
    ///   - format: `json` or `text`; `auto` counts as `json`.
    ///   - nowMicroseconds: wall time in microseconds since 1970.
    package init(
        label: String, identity: ProcessIdentity, control: LogLevelControl, format: LogFormat, sink: LogSink,
        nowMicroseconds: @escaping @Sendable () -> Int64 = Self.wallMicroseconds
    ) {
        self.label = label
        self.identity = identity
        self.control = control
        self.format = format
        self.sink = sink
        self.nowMicroseconds = nowMicroseconds
    }

    /// The process's level, unless this logger was given one of its own.
    package var logLevel: Logger.Level {
        get { self.ownLevel ?? self.control.level }
        set { self.ownLevel = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var merged = self.metadata
        if let provided = self.metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error, merged[LogKey.error] == nil {
            merged[LogKey.error] = .string("\(error)")
            merged[LogKey.errorType] = .string("\(type(of: error))")
        }
        let line = LogLine(
            microseconds: self.nowMicroseconds(), level: event.level, message: event.message.description,
            label: self.label, identity: self.identity, metadata: merged)
        self.sink.write(line.bytes(self.format))
    }

    /// `CLOCK_REALTIME` in microseconds since 1970.
    package static let wallMicroseconds: @Sendable () -> Int64 = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
