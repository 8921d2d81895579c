package import Logging

/// Logs, metrics and health of one process, as one thing to hand in.
///
/// A Main calls `bootstrap` once; tests, tools and simulations make as many as they like with `init`,
/// which touches nothing global.
package struct Observability: Sendable {
    package let identity: ProcessIdentity
    package let logLevel: LogLevelControl
    package let metrics: MetricsRegistry
    package let health: Health
    /// Switched off until somebody exports what it records.
    package let spans: SpanRecorder

    private let makeHandler: @Sendable (String) -> StructuredLogHandler

    /// Sets up everything without touching global state.
    ///
    /// - Parameters:
    ///   - format: `auto` asks whether standard output is a terminal.
    ///   - nowMicroseconds: wall time for the `ts` field.
    package init(
        identity: ProcessIdentity, level: Logger.Level = .info, format: LogFormat = .auto,
        sink: LogSink = .standardOutput(),
        nowMicroseconds: @escaping @Sendable () -> Int64 = StructuredLogHandler.wallMicroseconds
    ) {
        let control = LogLevelControl(level)
        let resolved = format.resolved()
        let makeHandler = { @Sendable (label: String) in
            StructuredLogHandler(
                label: label, identity: identity, control: control, format: resolved, sink: sink,
                nowMicroseconds: nowMicroseconds)
        }
        self.identity = identity
        self.logLevel = control
        self.metrics = MetricsRegistry()
        self.spans = SpanRecorder(self.metrics)
        self.makeHandler = makeHandler
        self.health = Health(
            logger: Logger(label: "health", factory: { makeHandler($0) }), metrics: self.metrics)
        ProcessMetrics.register(in: self.metrics, identity: identity)
    }

    /// Sets up the process: as `init`, and makes every `Logger(label:)` of any library write the same
    /// lines. At most once in a process; swift-log stops the program at the second call.
    package static func bootstrap(
        role: String, instance: String, cluster: String, level: Logger.Level = .info, format: LogFormat = .auto,
        revision: String = BuildInformation.revision
    ) -> Observability {
        let observability = Observability(
            identity: ProcessIdentity(role: role, instance: instance, cluster: cluster, revision: revision),
            level: level, format: format)
        let makeHandler = observability.makeHandler
        LoggingSystem.bootstrap { makeHandler($0) }
        return observability
    }

    /// A logger of this process.
    package func logger(_ label: String) -> Logger {
        let makeHandler = self.makeHandler
        return Logger(label: label, factory: { makeHandler($0) })
    }
}
