package import EscapementModel
package import NIOCore

/// What to publish when a schedule or timer fires: written once by the coordinator, carried unread by
/// the ticker, read by the dispatcher.
package struct FireTemplate: Equatable, Sendable {
    package enum Origin: UInt32, Sendable {
        case schedule = 1
        case timer = 2
    }

    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Attempts of a delivery to an HTTP target, where the user said something; 0 stands for the dispatcher's default.
    package struct Retry: Hashable, Sendable {
        package var attemptsMax: UInt32 = 0
        /// Milliseconds before the second attempt; doubles with each further one.
        package var backoffMinMilliseconds: UInt64 = 0
        package var backoffMaxMilliseconds: UInt64 = 0
        /// A fire that is given up leaves no copy in the dead letters.
        package var dropsExhausted = false

        package init() {}
    }

    /// Where a fire goes that does not go to Kafka.
    package enum Web: Hashable, Sendable {
        /// Any HTTPS endpoint; `secret` names the key that signs the request, and may be empty.
        case hook(url: String, secret: String)
        /// `/namespace/name` of an OpenWhisk trigger, fired with the namespace's key.
        case trigger(String)
        /// `/namespace/name` or `/namespace/package/name` of an OpenWhisk action, invoked with the namespace's key.
        case action(String)
    }

    package var origin: Origin
    package var namespace: String
    /// The schedule's name, or the timer's id as the user knows it.
    package var name: String
    /// `/namespace/package/action`; may be empty.
    package var action: String
    /// Empty for the dispatcher's default topic.
    package var topic: String
    /// The Kafka record key; empty for `namespace/name`.
    package var key: String
    /// Empty for the dispatcher's default; otherwise `cloudevents-binary`, `cloudevents-structured`,
    /// `plain` or `openwhisk`.
    package var format: String
    package var contentType: String
    /// As the user gave it, byte for byte where JSON allows.
    package var payload: ByteBuffer
    package var labels: [Label]
    /// Milliseconds after the due instant; 0 for never.
    package var expireAfterMilliseconds: UInt64
    /// The W3C trace context of the request that created it; may be empty.
    package var traceparent: String
    /// The user's own, beside those of the format.
    package var headers: [Header]
    /// Whether words such as `{{scheduledAt}}` in the payload and in header values are replaced at each fire.
    package var isPattern: Bool
    /// `nil` for Kafka.
    package var web: Web?
    /// The scheduled time that a backfill makes up for; `nil` for every other fire.
    package var backfills: WallInstant?
    /// Those of the occurrence that a backfill makes up for, if they are named.
    package var neighbours: OccurrenceNeighbours?
    /// How often and how fast a delivery to `web` is tried again.
    package var retry = Retry()

    package init(
        origin: Origin, namespace: String, name: String, action: String = "", topic: String = "", key: String = "",
        format: String = "", contentType: String = "application/json", payload: ByteBuffer = ByteBuffer(),
        labels: [Label] = [], expireAfterMilliseconds: UInt64 = 0, traceparent: String = "", headers: [Header] = [],
        isPattern: Bool = false, web: Web? = nil, backfills: WallInstant? = nil
    ) {
        self.origin = origin
        self.namespace = namespace
        self.name = name
        self.action = action
        self.topic = topic
        self.key = key
        self.format = format
        self.contentType = contentType
        self.payload = payload
        self.labels = labels
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.traceparent = traceparent
        self.headers = headers
        self.isPattern = isPattern
        self.web = web
        self.backfills = backfills
    }

    /// The words of a pattern for the occurrences before and after, which cost the ticker a look into the calendar.
    package static let neighbourWords = (previous: "previousAt", next: "nextAt")

    /// Whether the payload or a header names the occurrence before or after.
    package var namesNeighbours: Bool {
        guard self.isPattern else { return false }
        let names = ["{{\(Self.neighbourWords.previous)}}", "{{\(Self.neighbourWords.next)}}"]
        let payload = String(decoding: self.payload.readableBytesView, as: UTF8.self)
        return names.contains { name in
            payload.contains(name) || self.headers.contains { $0.value.contains(name) }
        }
    }

    /// The same of an encoded template, of which nothing else is read; one that is none names nothing.
    package static func namesNeighbours(_ encoded: ByteBuffer) -> Bool {
        var reader = FieldReader(encoded)
        while let field = try? reader.next() {
            if field.number == 24 { return (try? field.flag("template.namesNeighbours")) ?? false }
        }
        return false
    }

    /// Payloads of so many bytes have their digest written beside them, once and not at each fire. For shorter ones it would
    /// take more of a ticker's memory than it is worth.
    package static let digestedFrom = 512

    /// SHA-256 of the payload; `nil` for one whose digest is not written. About 3 ns a byte.
    package var payloadDigest: SHA256Digest? {
        self.payload.readableBytes < Self.digestedFrom
            ? nil : self.payload.withUnsafeReadableBytes { SHA256Function.plain.digest($0) }
    }

    /// The encoded form, as `ScheduleVersion.template` and `FireOccurrence.template` hold it.
    package func encoded() -> ByteBuffer { self.encoded(payloadDigest: self.payloadDigest) }

    /// The same for one of many templates with one payload.
    package func encoded(payloadDigest: SHA256Digest?) -> ByteBuffer {
        var writer = FieldWriter(capacity: 256 + self.payload.readableBytes)
        writer.unsigned(1, self.origin.rawValue)
        writer.text(2, self.namespace)
        writer.text(3, self.name)
        writer.text(4, self.action)
        writer.text(5, self.topic)
        writer.text(6, self.key)
        writer.text(7, self.format)
        writer.text(8, self.contentType)
        writer.bytes(9, self.payload)
        for label in self.labels {
            writer.nested(10) { inner in
                inner.text(1, label.name)
                inner.text(2, label.value)
            }
        }
        writer.unsigned(11, self.expireAfterMilliseconds)
        writer.text(12, self.traceparent)
        for header in self.headers {
            writer.nested(13) { inner in
                inner.text(1, header.name)
                inner.text(2, header.value)
            }
        }
        writer.flag(14, self.isPattern)
        switch self.web {
        case nil: break
        case .hook(let url, let secret):
            writer.text(15, url)
            writer.text(16, secret)
        case .trigger(let name): writer.text(17, name)
        case .action(let name): writer.text(18, name)
        }
        if let backfills { writer.instant(19, backfills) }
        writer.unsigned(20, self.retry.attemptsMax)
        writer.unsigned(21, self.retry.backoffMinMilliseconds)
        writer.unsigned(22, self.retry.backoffMaxMilliseconds)
        writer.flag(23, self.retry.dropsExhausted)
        writer.flag(24, self.namesNeighbours)
        if let neighbours { writer.neighbours(25, neighbours) }
        if let payloadDigest { writer.digest(26, payloadDigest) }
        return writer.finish()
    }

    /// - Throws: `WireError` naming the field.
    package init(decoding buffer: ByteBuffer) throws(WireError) {
        let view = try FireTemplateView(buffer)
        self.init(
            origin: view.origin, namespace: view.string(\.namespace), name: view.string(\.name),
            action: view.string(\.action), topic: view.string(\.topic), key: view.string(\.key),
            format: view.string(\.format),
            contentType: view.string(\.contentType), payload: view.payload, labels: view.labels,
            expireAfterMilliseconds: view.expireAfterMilliseconds, traceparent: view.string(\.traceparent),
            headers: view.headers, isPattern: view.isPattern, web: view.web, backfills: view.backfills)
        self.neighbours = view.neighbours
        self.retry = view.retry
    }
}
