import DispatcherDomain
package import EscapementModel
import JSON
package import NIOCore
package import WireProtocol

/// How a fire looks in Kafka: CloudEvents 1.0, binary or structured mode, the bare payload, or OpenWhisk's message;
/// plus headers of our own by which a careful consumer can deduplicate.
package struct EventFormat: Sendable {
    package enum Mode: String, Sendable {
        case binary = "cloudevents-binary"
        case structured = "cloudevents-structured"
        /// The payload and nothing else.
        case plain
        /// OpenWhisk's ActivationMessage. Holds the namespace's key: only where the operator said so.
        case openWhisk = "openwhisk"
    }

    /// What the operator allows for OpenWhisk's format.
    package struct Whisk: Sendable {
        /// The only topic that such messages may go to: readers of it see keys.
        package var topic: String
        /// The name by which OpenWhisk answers.
        package var controller: String
        package var keys: any NamespaceKeys

        package init(topic: String, cluster: String, keys: any NamespaceKeys) {
            self.topic = topic
            self.controller = WhiskMessage.controller(of: cluster)
            self.keys = keys
        }
    }

    /// One occurrence to be published.
    package struct Fire: Sendable {
        package var id: ActivationID
        package var occurrence: FireOccurrence
        package var template: FireTemplate
        package var lane: LaneID
        /// Of the journal entry that settles it.
        package var sequence: UInt64

        package init(
            id: ActivationID, occurrence: FireOccurrence, template: FireTemplate, lane: LaneID, sequence: UInt64
        ) {
            self.id = id
            self.occurrence = occurrence
            self.template = template
            self.lane = lane
            self.sequence = sequence
        }
    }

    /// The mode of fires whose schedule says nothing.
    package var mode: Mode
    /// Put before `/namespaces/…` in the source; may be empty.
    package var sourcePrefix: String
    /// `nil` refuses OpenWhisk's format.
    package var whisk: Whisk?

    package init(mode: Mode = .binary, sourcePrefix: String = "", whisk: Whisk? = nil) {
        self.mode = mode
        self.sourcePrefix = sourcePrefix
        self.whisk = whisk
    }

    /// The record key: the template's, or `namespace/name`.
    package static func key(of template: FireTemplate) -> String {
        template.key.isEmpty || template.key == "schedule" ? "\(template.namespace)/\(template.name)" : template.key
    }

    /// What is sent as payload: an absent or null one is `{}`, because a null record deletes its key on a
    /// compacted topic.
    package static func payload(of template: FireTemplate) -> ByteBuffer {
        let bytes = template.payload.readableBytesView
        let isNull =
            bytes.count < 16
            && String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self) == "null"
        return bytes.isEmpty || isNull ? ByteBuffer(string: "{}") : template.payload
    }

    /// The record of a fire, produced at `now`.
    ///
    /// - Throws: `FormatError` when the fire cannot be written so; waiting does not help.
    package func record(of fire: Fire, topic: String, now: WallInstant) throws(FormatError) -> OutgoingRecord {
        let key = Self.key(of: fire.template)
        let payload = try Self.expanded(fire.template, Self.words(of: fire, now: now))
        let mode = Mode(rawValue: fire.template.format) ?? self.mode
        var headers = RecordHeaders()
        headers.reserve(bytes: 1024, count: 24)
        let template = fire.template
        func trace() {
            if !template.traceparent.isEmpty { headers.append("", "traceparent") { $0 += template.traceparent.utf8 } }
        }
        func contentType(_ type: String) { headers.append("", "content-type") { $0 += type.utf8 } }
        let value: ByteBuffer
        switch mode {
        case .binary:
            self.forEachAttribute(of: fire, key: key, now: now) { headers.append("ce_", $0, $1) }
            trace()
            contentType(Self.contentType(of: template))
            value = payload
        case .structured:
            trace()
            contentType("application/cloudevents+json; charset=UTF-8")
            value = Self.structured(
                self.attributes(of: fire, key: key, now: now), payload: payload,
                contentType: Self.contentType(of: template))
        case .plain:
            trace()
            contentType(Self.contentType(of: template))
            value = payload
        case .openWhisk:
            trace()
            guard let whisk = self.whisk, whisk.topic == topic else {
                throw FormatError(
                    .topicNotAllowed, "the format openwhisk is not switched on for the topic \(topic)")
            }
            contentType("application/json")
            value = try WhiskMessage.value(
                of: fire, payload: payload, controller: whisk.controller, keys: whisk.keys, now: now)
        }
        for header in template.headers {
            headers.append(header.name, try Self.expanded(header.value, template, Self.words(of: fire, now: now)))
        }
        headers.append("esc-", "activation-id") { fire.id.appendText(to: &$0) }
        headers.append("esc-", "schedule") { Self.path(template.namespace, template.name, to: &$0) }
        headers.append("esc-", "nominal") { fire.occurrence.scheduled.appendText(to: &$0) }
        headers.append("esc-", "lane") { Self.number(UInt64(fire.lane.rawValue), to: &$0) }
        headers.append("esc-", "seq") { Self.number(fire.sequence, to: &$0) }
        return OutgoingRecord(topic: topic, key: key, headers: headers, value: value)
    }

    /// The payload with its words replaced, where the schedule asks for it.
    static func expanded(
        _ template: FireTemplate, _ words: @autoclosure () -> PayloadPattern.Words
    ) throws(FormatError) -> ByteBuffer {
        let payload = self.payload(of: template)
        guard template.isPattern else { return payload }
        do throws(PayloadPattern.UnknownWord) {
            return try PayloadPattern.expand(payload, words())
        } catch {
            throw FormatError(.invalidTemplate, "\(error)")
        }
    }

    /// A header's value likewise.
    static func expanded(
        _ text: String, _ template: FireTemplate, _ words: @autoclosure () -> PayloadPattern.Words
    ) throws(FormatError) -> String {
        guard template.isPattern else { return text }
        do throws(PayloadPattern.UnknownWord) {
            return try PayloadPattern.expand(text, words())
        } catch {
            throw FormatError(.invalidTemplate, "\(error)")
        }
    }

    static func words(of fire: Fire, attempt: UInt32 = 1, now: WallInstant) -> PayloadPattern.Words {
        let neighbours = fire.template.neighbours ?? fire.occurrence.neighbours
        return PayloadPattern.Words(
            id: fire.id.description, scheduledAt: (fire.template.backfills ?? fire.occurrence.scheduled).description,
            firedAt: now.description,
            attempt: "\(attempt)", schedule: fire.template.name, namespace: fire.template.namespace,
            kind: Self.kind(of: fire), generation: "\(fire.occurrence.generation)",
            previousAt: neighbours?.previous?.description ?? "", nextAt: neighbours?.next?.description ?? "")
    }

    private static func kind(of fire: Fire) -> String {
        fire.template.backfills == nil ? fire.occurrence.kind.name : FireKind.backfill.name
    }

    /// The instant after which the fire is void; `nil` for never.
    package static func expiry(of occurrence: FireOccurrence, _ template: FireTemplate) -> WallInstant? {
        template.expireAfterMilliseconds == 0
            ? nil
            : occurrence.due.advanced(by: .milliseconds(Int64(clamping: template.expireAfterMilliseconds)))
    }

    static func contentType(of template: FireTemplate) -> String {
        template.contentType.isEmpty ? "application/json" : template.contentType
    }

    /// Names and values in the order of the specification's example, without prefix.
    func attributes(of fire: Fire, key: String, now: WallInstant) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        result.reserveCapacity(14)
        self.forEachAttribute(of: fire, key: key, now: now) { name, write in
            var bytes: [UInt8] = []
            write(&bytes)
            result.append((name.description, String(decoding: bytes, as: UTF8.self)))
        }
        return result
    }

    /// The same without memory for each of them: `visit` gets what appends the value.
    private func forEachAttribute(
        of fire: Fire, key: String, now: WallInstant,
        _ visit: (_ name: StaticString, _ write: (inout [UInt8]) -> Void) -> Void
    ) {
        let template = fire.template
        let isTimer = template.origin == .timer
        // To a consumer a backfill is the occurrence that it makes up for.
        let time = template.backfills ?? fire.occurrence.due
        func text(_ name: StaticString, _ value: String) { visit(name) { $0 += value.utf8 } }
        text("specversion", "1.0")
        visit("id") { fire.id.appendText(to: &$0) }
        visit("source") { bytes in
            bytes += self.sourcePrefix.utf8
            bytes += "/namespaces/".utf8
            bytes += template.namespace.utf8
            bytes += (isTimer ? "/timers/" : "/schedules/").utf8
            bytes += template.name.utf8
        }
        text("type", isTimer ? "escapement.timer.fired.v1" : "escapement.schedule.fired.v1")
        visit("time") { time.appendText(to: &$0) }
        visit("recordedtime") { now.appendText(to: &$0) }
        if !template.action.isEmpty { text("subject", template.action) }
        text("partitionkey", key)
        visit("sequence") { Self.sequence(time, to: &$0) }
        if let expiry = Self.expiry(of: fire.occurrence, template) {
            visit("expirytime") { expiry.appendText(to: &$0) }
        }
        text("firekind", fire.occurrence.caughtUp && template.backfills == nil ? "catchup" : Self.kind(of: fire))
        text("attempt", "1")
        visit("generation") { Self.number(fire.occurrence.generation, to: &$0) }
        if !template.traceparent.isEmpty { text("traceparent", template.traceparent) }
    }

    /// 17 digits: milliseconds since 1970, padded with zeros, so that text sorts as time.
    private static func sequence(_ instant: WallInstant, to bytes: inout [UInt8]) {
        let start = bytes.count
        self.number(UInt64(max(instant.milliseconds, 0)), to: &bytes)
        let count = bytes.count - start
        if count < 17 { bytes.insert(contentsOf: repeatElement(UInt8(ascii: "0"), count: 17 - count), at: start) }
    }

    private static func number(_ value: UInt64, to bytes: inout [UInt8]) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private static func path(_ namespace: String, _ name: String, to bytes: inout [UInt8]) {
        bytes += namespace.utf8
        bytes.append(UInt8(ascii: "/"))
        bytes += name.utf8
    }

    private static func structured(
        _ attributes: [(name: String, value: String)], payload: ByteBuffer, contentType: String
    ) -> ByteBuffer {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        bytes.reserveCapacity(512 + payload.readableBytes)
        for (name, value) in attributes {
            JSONValue.writeString(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            // The two whole numbers of the event are numbers here.
            if name == "attempt" || name == "generation" {
                bytes.append(contentsOf: value.utf8)
            } else {
                JSONValue.writeString(value, to: &bytes)
            }
            bytes.append(UInt8(ascii: ","))
        }
        bytes.append(contentsOf: "\"datacontenttype\":".utf8)
        JSONValue.writeString(contentType, to: &bytes)
        bytes.append(UInt8(ascii: ","))
        self.writeData(payload, contentType: contentType, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return ByteBuffer(bytes: bytes)
    }

    /// JSON as it is, byte for byte; text as a string; anything else in base 64.
    private static func writeData(_ payload: ByteBuffer, contentType: String, to bytes: inout [UInt8]) {
        let view = payload.readableBytesView
        let type = contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
        if type == "application/json" || type.hasSuffix("+json"), self.isJSON(view) {
            bytes.append(contentsOf: "\"data\":".utf8)
            bytes.append(contentsOf: view)
        } else if type.hasPrefix("text/"), let text = String(validating: view, as: UTF8.self) {
            bytes.append(contentsOf: "\"data\":".utf8)
            JSONValue.writeString(text, to: &bytes)
        } else {
            bytes.append(contentsOf: "\"data_base64\":\"".utf8)
            Base64.write(view, to: &bytes)
            bytes.append(UInt8(ascii: "\""))
        }
    }

    private static func isJSON(_ bytes: ByteBufferView) -> Bool {
        do {
            _ = try JSONParser.parse(bytes, depthMax: 64)
            return true
        } catch {
            return false
        }
    }
}

/// RFC 4648, with padding.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func write(_ input: some Sequence<UInt8>, to output: inout [UInt8]) {
        var bits: UInt32 = 0
        var count = 0
        for byte in input {
            bits = bits << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { output.append(self.alphabet[Int(bits >> shift & 63)]) }
                bits = 0
                count = 0
            }
        }
        guard count > 0 else { return }
        bits <<= UInt32(8 * (3 - count))
        output.append(self.alphabet[Int(bits >> 18 & 63)])
        output.append(self.alphabet[Int(bits >> 12 & 63)])
        output.append(count == 2 ? self.alphabet[Int(bits >> 6 & 63)] : UInt8(ascii: "="))
        output.append(UInt8(ascii: "="))
    }
}
