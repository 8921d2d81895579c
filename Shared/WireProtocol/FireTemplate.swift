package import NIOCore

/// What to publish when a schedule or timer fires: written once by the coordinator, carried unread by
/// the ticker, read by the dispatcher.
package struct FireTemplate: Equatable, Sendable {
    package enum Origin: UInt32, Sendable {
        case schedule = 1
        case timer = 2
    }

    package struct Label: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
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
    /// Empty for the dispatcher's default; otherwise `cloudevents-binary` or `cloudevents-structured`.
    package var format: String
    package var contentType: String
    /// As the user gave it, byte for byte where JSON allows.
    package var payload: ByteBuffer
    package var labels: [Label]
    /// Milliseconds after the due instant; 0 for never.
    package var expireAfterMilliseconds: UInt64
    /// The W3C trace context of the request that created it; may be empty.
    package var traceparent: String

    package init(
        origin: Origin, namespace: String, name: String, action: String = "", topic: String = "", key: String = "",
        format: String = "", contentType: String = "application/json", payload: ByteBuffer = ByteBuffer(),
        labels: [Label] = [], expireAfterMilliseconds: UInt64 = 0, traceparent: String = ""
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
    }

    /// The encoded form, as `ScheduleVersion.template` and `FireOccurrence.template` hold it.
    package func encoded() -> ByteBuffer {
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
        return writer.buffer
    }

    /// - Throws: `WireError` naming the field.
    package init(decoding buffer: ByteBuffer) throws(WireError) {
        self.init(origin: .schedule, namespace: "", name: "", contentType: "")
        var reader = FieldReader(buffer)
        while let field = try reader.next() {
            switch field.number {
            case 1:
                guard let origin = Origin(rawValue: try field.unsigned("template.origin")) else {
                    throw WireError(.badValue, field: "template.origin")
                }
                self.origin = origin
            case 2: self.namespace = try field.text("template.namespace", max: WireLimits.nameMax)
            case 3: self.name = try field.text("template.name", max: WireLimits.nameMax)
            case 4: self.action = try field.text("template.action", max: WireLimits.nameMax)
            case 5: self.topic = try field.text("template.topic", max: WireLimits.nameMax)
            case 6: self.key = try field.text("template.key", max: WireLimits.detailMax)
            case 7: self.format = try field.text("template.format", max: WireLimits.nameMax)
            case 8: self.contentType = try field.text("template.contentType", max: WireLimits.nameMax)
            case 9: self.payload = try field.bytes("template.payload", max: WireLimits.templateMax)
            case 10:
                var inner = try field.nested("template.labels")
                var label = Label(name: "", value: "")
                while let part = try inner.next() {
                    switch part.number {
                    case 1: label.name = try part.text("template.labels.name", max: WireLimits.nameMax)
                    case 2: label.value = try part.text("template.labels.value", max: WireLimits.detailMax)
                    default: continue
                    }
                }
                self.labels.append(label)
            case 11: self.expireAfterMilliseconds = try field.unsigned("template.expireAfter")
            case 12: self.traceparent = try field.text("template.traceparent", max: WireLimits.nameMax)
            default: continue
            }
        }
    }
}
