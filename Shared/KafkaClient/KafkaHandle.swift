import CRDKafka
import Logging
import Synchronization

/// One librdkafka instance and the thread that serves its main queue: delivery reports and errors.
///
/// Sendable because librdkafka's handles and queues are safe for use by several threads (its
/// INTRODUCTION, "Threads and callbacks"); the rest is immutable or atomic. The thread keeps the handle
/// alive and frees it when it ends.
final class KafkaHandle: @unchecked Sendable {
    enum Kind {
        case producer
        case consumer
    }

    /// Takes the reports of one delivery event.
    typealias DeliverySink = @Sendable (UnsafeBufferPointer<UnsafePointer<rd_kafka_message_t>?>) -> Void

    /// How long the thread waits for an event before it looks whether to stop, in milliseconds.
    private static let pollMilliseconds: Int32 = 100
    /// Reports copied out of an event at once.
    private static let reportsMax = 256

    let pointer: OpaquePointer
    private let kind: Kind
    private let queue: OpaquePointer
    private let logger: Logger
    private let health: KafkaHealthMonitor
    private let tap: KafkaLogTap
    private let tokens: KafkaTokenRefresh
    private let files: KafkaCertificateFiles
    private let hasFailed = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)
    private let fatalDetail = Mutex<String?>(nil)
    private let closers = Mutex<(isClosed: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    /// - Parameters:
    ///   - deliveries: where delivery reports go; called on the handle's thread.
    ///   - beforeClose: called on the handle's thread before the instance is freed.
    /// - Throws: `KafkaError` naming the property that is refused, never its value when it is secret.
    init(
        _ kind: Kind, settings: KafkaClientSettings, logger: Logger, health: KafkaHealthMonitor,
        deliveries: DeliverySink? = nil, beforeClose: (@Sendable (OpaquePointer) -> Void)? = nil
    ) throws(KafkaError) {
        let secrets: [KafkaClientSettings.Property]
        do {
            secrets = try settings.secrets()
        } catch {
            throw KafkaError(.invalidArgument, detail: "the Kafka credentials cannot be read: \(error)")
        }
        // Before librdkafka reads them: what changes meanwhile counts as changed.
        let files = KafkaCertificateFiles(namedIn: settings.properties + secrets + settings.forced)
        let configuration = try Self.configuration(settings, secrets: secrets)
        var events = Int32(RD_KAFKA_EVENT_DR) | Int32(RD_KAFKA_EVENT_ERROR)
        if settings.tokens != nil { events |= Int32(RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH) }
        rd_kafka_conf_set_events(configuration, events)
        let hidden = (settings.properties + secrets).filter {
            KafkaClientSettings.isSecretName($0.name) && !$0.value.isEmpty
        }
        let tap = KafkaLogTap(logger: logger, secrets: hidden.map(\.value))
        let installed = tap.install(in: configuration)
        var reason = [CChar](repeating: 0, count: 512)
        guard
            let pointer = rd_kafka_new(
                kind == .producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, configuration, &reason, reason.count)
        else {
            rd_kafka_conf_destroy(configuration)
            installed.release()
            throw KafkaError(.invalidArgument, detail: tap.redacted(Self.text(reason)))
        }
        self.pointer = pointer
        self.kind = kind
        self.queue = rd_kafka_queue_get_main(pointer)
        self.logger = logger
        self.health = health
        self.tap = tap
        self.tokens = KafkaTokenRefresh(settings: settings)
        self.files = files
        let credentials = KafkaCredentials(settings: settings, current: secrets)
        let isStarted = BlockingThread.start {
            self.serve(credentials: credentials, deliveries: deliveries, beforeClose: beforeClose)
            installed.release()
        }
        guard isStarted else {
            rd_kafka_queue_destroy(self.queue)
            rd_kafka_destroy(pointer)
            installed.release()
            throw KafkaError(.fatal, detail: "the system gives no thread")
        }
    }

    /// Why the instance cannot be used any more; `nil` while it can.
    var fatalReason: String? { self.fatalDetail.withLock { $0 } }

    /// Why a request may have been sent twice or may still be on its way; `nil` without any sign of it.
    var doubt: String? { self.tap.doubt }

    /// Notes a sign of that which the caller saw.
    func doubt(_ reason: String) { self.tap.doubt(reason) }

    /// Whether the files that the instance read its certificates from have changed since: new connections of it may be
    /// refused. Give up only an instance that fails: what is on its way through one that works keeps its order, and
    /// files that are replaced one after another do not go together meanwhile.
    var holdsOldCertificates: Bool { self.files.haveChanged }

    /// Whether librdkafka reported a failure since this was asked last. While it needs a broker that it cannot reach,
    /// it repeats that within half a minute.
    func takeFailure() -> Bool { self.hasFailed.exchange(false, ordering: .relaxed) }

    /// Topics that transactions may not write to, as far as the brokers said.
    var forbiddenTopics: Set<String> { self.tap.forbiddenTopics }

    /// Why the instance refuses everything from now on, asked from librdkafka; `none` while it does not.
    var fatalCode: KafkaErrorCode { KafkaErrorCode(rd_kafka_fatal_error(self.pointer, nil, 0)) }

    /// Ends the thread and frees the instance; returns at once.
    func requestClose() { self.isStopping.store(true, ordering: .releasing) }

    /// Ends the thread and frees the instance. No other method may be in use or used afterwards.
    func close() async {
        self.requestClose()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isClosed = self.closers.withLock { closers in
                if !closers.isClosed { closers.waiting.append(continuation) }
                return closers.isClosed
            }
            if isClosed { continuation.resume() }
        }
    }

    private func serve(
        credentials: KafkaCredentials, deliveries: DeliverySink?, beforeClose: (@Sendable (OpaquePointer) -> Void)?
    ) {
        var credentials = credentials
        while !self.isStopping.load(ordering: .acquiring) {
            self.serveOne(Self.pollMilliseconds, deliveries)
            // The transaction can only be aborted; what still waits for it would wait until it expires.
            if self.tap.takeRefusal() {
                rd_kafka_purge(
                    self.pointer, Int32(RD_KAFKA_PURGE_F_QUEUE) | Int32(RD_KAFKA_PURGE_F_NON_BLOCKING))
            }
            credentials.refresh(self.pointer, self.tap)
            if let reason = self.tokens.settle(self.pointer, self.tap) {
                let text = self.tap.redacted(reason)
                self.logger.debug("kafka error", metadata: ["error": "\(text)", "error_type": "_AUTHENTICATION"])
                self.health.failed(.authentication, text)
            }
        }
        if let beforeClose {
            beforeClose(self.pointer)
            // What the purge reported.
            while self.serveOne(0, deliveries) {}
        }
        rd_kafka_queue_destroy(self.queue)
        // A consumer that never joined a group has nothing to leave.
        rd_kafka_destroy_flags(
            self.pointer, self.kind == .consumer ? Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) : 0)
        let waiting = self.closers.withLock { closers in
            closers.isClosed = true
            defer { closers.waiting = [] }
            return closers.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    @discardableResult
    private func serveOne(_ milliseconds: Int32, _ deliveries: DeliverySink?) -> Bool {
        guard let event = rd_kafka_queue_poll(self.queue, milliseconds) else { return false }
        defer { rd_kafka_event_destroy(event) }
        switch rd_kafka_event_type(event) {
        case Int32(RD_KAFKA_EVENT_DR):
            withUnsafeTemporaryAllocation(of: UnsafePointer<rd_kafka_message_t>?.self, capacity: Self.reportsMax) {
                while true {
                    let count = rd_kafka_event_message_array(event, $0.baseAddress, Self.reportsMax)
                    if count == 0 { break }
                    deliveries?(UnsafeBufferPointer(rebasing: $0[..<count]))
                }
            }
        case Int32(RD_KAFKA_EVENT_ERROR):
            let code = KafkaErrorCode(rd_kafka_event_error(event))
            let text = self.tap.redacted(String(cString: rd_kafka_event_error_string(event)))
            if rd_kafka_event_error_is_fatal(event) != 0 {
                self.fatalDetail.withLock { $0 = "\(code.name): \(text)" }
                self.tap.doubt("\(code.name): \(text)")
            }
            self.hasFailed.store(true, ordering: .relaxed)
            self.logger.debug("kafka error", metadata: ["error": "\(text)", "error_type": "\(code.name)"])
            self.health.failed(code, text)
        case Int32(RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH):
            self.tokens.begin()
        default:
            break
        }
        return true
    }

    private static func configuration(
        _ settings: KafkaClientSettings, secrets: [KafkaClientSettings.Property]
    ) throws(KafkaError) -> OpaquePointer {
        guard let configuration = rd_kafka_conf_new() else { throw KafkaError(.fatal, detail: "no memory") }
        var reason = [CChar](repeating: 0, count: 512)
        let all =
            settings.properties.map { ($0, false) } + secrets.map { ($0, true) } + settings.forced.map { ($0, false) }
        for (property, isSecret) in all where !settings.isForTokens(property.name) {
            let result = rd_kafka_conf_set(configuration, property.name, property.value, &reason, reason.count)
            guard result == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(configuration)
                throw KafkaError(
                    .invalidArgument, detail: Self.refusal(of: property.name, result, isSecret ? nil : reason))
            }
        }
        return configuration
    }

    /// Why a property is not taken.
    ///
    /// - Parameter reason: librdkafka's, which repeats the value; `nil` when that is a secret.
    private static func refusal(of name: String, _ result: rd_kafka_conf_res_t, _ reason: [CChar]?) -> String {
        if result == RD_KAFKA_CONF_UNKNOWN { return "there is no property \(name)" }
        return reason.map(Self.text) ?? "the value of \(name) is not accepted"
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
