package import Logging

/// The form of our own log statements: a constant message, a stable event code, and what varies as
/// metadata. `logger.info("shard taken", event: "shard_assigned", [LogKey.shard: .number(12)])`
extension Logger {
    package func trace(
        _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(.trace, message(), event, metadata())
    }

    /// Cheap enough for production: per fire, never per tick.
    package func debug(
        _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(.debug, message(), event, metadata())
    }

    /// Life cycle: what an operator acts on or wants to see in order; one line per hand-over.
    package func info(
        _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(.info, message(), event, metadata())
    }

    /// A user lost something or soon will.
    package func warning(
        _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(.warning, message(), event, metadata())
    }

    /// Someone must act.
    package func error(
        _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(.error, message(), event, metadata())
    }

    /// For a level chosen at run time.
    package func log(
        _ level: Logger.Level, _ message: @autoclosure () -> StaticString, event: String,
        _ metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        self.write(level, message(), event, metadata())
    }

    private func write(
        _ level: Logger.Level, _ message: @autoclosure () -> StaticString, _ event: String,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard self.logLevel <= level else { return }
        var fields = metadata()
        fields[LogKey.event] = .string(event)
        self.log(level: level, "\(message().description)", metadata: fields)
    }
}

extension Logger.MetadataValue {
    /// A whole number, written as a JSON number.
    package static func number(_ value: some FixedWidthInteger & Sendable) -> Logger.MetadataValue {
        .stringConvertible(value)
    }

    /// Any value by its description, written as a JSON string.
    package static func text(_ value: some CustomStringConvertible) -> Logger.MetadataValue {
        .string(value.description)
    }
}
