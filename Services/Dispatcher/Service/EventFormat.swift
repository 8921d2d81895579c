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

    /// One occurrence to be published. Never copied: its many parts would be counted each time.
    package struct Fire: ~Copyable, Sendable {
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
        guard template.key.isEmpty || template.key == "schedule" else { return template.key }
        var (namespace, name) = (template.namespace, template.name)
        let slash = namespace.utf8.count
        // Without the detour of an interpolation: it is done for each fire.
        return String(unsafeUninitializedCapacity: slash + 1 + name.utf8.count) { bytes in
            namespace.withUTF8 { _ = bytes.update(fromContentsOf: $0) }
            bytes[slash] = UInt8(ascii: "/")
            name.withUTF8 { _ = UnsafeMutableBufferPointer(rebasing: bytes[(slash + 1)...]).update(fromContentsOf: $0) }
            return slash + 1 + name.utf8.count
        }
    }

    /// What is sent as payload: an absent or null one is `{}`, because a null record deletes its key on a
    /// compacted topic.
    package static func payload(of template: FireTemplate) -> ByteBuffer {
        let isNull = template.payload.withUnsafeReadableBytes { bytes in
            bytes.isEmpty
                || bytes.count < 16
                    && String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self) == "null"
        }
        return isNull ? ByteBuffer(string: "{}") : template.payload
    }

    /// The record of a fire, produced at `now`.
    ///
    /// - Parameter attempt: more than 1 for one that has waited for its topic.
    /// - Throws: `FormatError` when the fire cannot be written so; waiting does not help.
    package func record(
        of fire: borrowing Fire, topic: String, attempt: UInt32 = 1, now: WallInstant
    ) throws(FormatError) -> OutgoingRecord {
        let key = Self.key(of: fire.template)
        let payload = try Self.expanded(fire.template, Self.words(of: fire, attempt: attempt, now: now))
        // Most name none, and none need be looked up.
        let mode = fire.template.format.isEmpty ? self.mode : Mode(rawValue: fire.template.format) ?? self.mode
        let contentType: String
        let value: ByteBuffer
        switch mode {
        case .binary, .plain:
            contentType = Self.contentType(of: fire.template)
            value = payload
        case .structured:
            contentType = "application/cloudevents+json; charset=UTF-8"
            value = Self.structured(
                self.attributes(of: fire, key: key, attempt: attempt, now: now), payload: payload,
                contentType: Self.contentType(of: fire.template))
        case .openWhisk:
            guard let whisk = self.whisk, whisk.topic == topic else {
                throw FormatError(
                    .topicNotAllowed, "the format openwhisk is not switched on for the topic \(topic)")
            }
            contentType = "application/json"
            value = try WhiskMessage.value(
                of: fire, payload: payload, controller: whisk.controller, keys: whisk.keys, now: now)
        }
        var own = fire.template.headers
        if fire.template.isPattern, !own.isEmpty {
            let words = Self.words(of: fire, attempt: attempt, now: now)
            for index in own.indices { own[index].value = try Self.expanded(own[index].value, fire.template, words) }
        }
        let capacity =
            Self.headerBytes + self.variableBytes(of: fire.template, key: key) + contentType.utf8.count
            + own.reduce(0) { $0 + RecordHeaders.Writer.bytes($1.name, $1.value) }
        let headers = RecordHeaders(capacity: capacity) {
            self.writeHeaders(
                of: fire, mode, key: key, contentType: contentType, own: own, attempt: attempt, now: now, to: &$0)
        }
        return OutgoingRecord(topic: topic, key: key, headers: headers, value: value)
    }

    private func writeHeaders(
        of fire: borrowing Fire, _ mode: Mode, key: String, contentType: String, own: [FireTemplate.Header],
        attempt: UInt32, now: WallInstant, to writer: inout RecordHeaders.Writer
    ) {
        if mode == .binary {
            self.writeAttributes(of: fire, prefix: "ce_", key: key, attempt: attempt, now: now, to: &writer)
        }
        if !fire.template.traceparent.isEmpty { writer.add("", "traceparent", fire.template.traceparent) }
        writer.add("", "content-type", contentType)
        for header in own { writer.add(header.name, header.value) }
        writer.add("esc-", "activation-id", fire.id)
        writer.begin("esc-", "schedule")
        writer.write(fire.template.namespace)
        writer.write("/" as StaticString)
        writer.write(fire.template.name)
        writer.finish()
        writer.add("esc-", "nominal", fire.occurrence.scheduled)
        writer.add("esc-", "lane", UInt64(fire.lane.rawValue))
        writer.add("esc-", "seq", fire.sequence)
    }

    /// More than what the headers of a fire take that are equally long, or have a bound, for all fires.
    private static let headerBytes = 768

    /// What depends on the template, beside the content type and the user's own headers.
    private func variableBytes(of template: FireTemplate, key: String) -> Int {
        let path = template.namespace.utf8.count + template.name.utf8.count
        return self.sourcePrefix.utf8.count + 2 * path + template.action.utf8.count + key.utf8.count
            + 2 * template.traceparent.utf8.count
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

    static func words(of fire: borrowing Fire, attempt: UInt32 = 1, now: WallInstant) -> PayloadPattern.Words {
        let neighbours = fire.template.neighbours ?? fire.occurrence.neighbours
        return PayloadPattern.Words(
            id: fire.id.description, scheduledAt: (fire.template.backfills ?? fire.occurrence.scheduled).description,
            firedAt: now.description,
            attempt: "\(attempt)", schedule: fire.template.name, namespace: fire.template.namespace,
            kind: Self.kind(of: fire), generation: "\(fire.occurrence.generation)",
            previousAt: neighbours?.previous?.description ?? "", nextAt: neighbours?.next?.description ?? "")
    }

    private static func kind(of fire: borrowing Fire) -> String {
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
    func attributes(of fire: borrowing Fire, key: String, attempt: UInt32, now: WallInstant) -> RecordHeaders {
        RecordHeaders(capacity: Self.headerBytes + self.variableBytes(of: fire.template, key: key)) {
            self.writeAttributes(of: fire, prefix: "", key: key, attempt: attempt, now: now, to: &$0)
        }
    }

    private func writeAttributes(
        of fire: borrowing Fire, prefix: StaticString, key: String, attempt: UInt32, now: WallInstant,
        to writer: inout RecordHeaders.Writer
    ) {
        let isTimer = fire.template.origin == .timer
        // To a consumer a backfill is the occurrence that it makes up for.
        let time = fire.template.backfills ?? fire.occurrence.due
        writer.add(prefix, "specversion", "1.0")
        writer.add(prefix, "id", fire.id)
        writer.begin(prefix, "source")
        writer.write(self.sourcePrefix)
        writer.write("/namespaces/" as StaticString)
        writer.write(fire.template.namespace)
        writer.write(isTimer ? "/timers/" : "/schedules/" as StaticString)
        writer.write(fire.template.name)
        writer.finish()
        writer.add(prefix, "type", isTimer ? "escapement.timer.fired.v1" : "escapement.schedule.fired.v1")
        writer.add(prefix, "time", time)
        writer.add(prefix, "recordedtime", now)
        if !fire.template.action.isEmpty { writer.add(prefix, "subject", fire.template.action) }
        writer.add(prefix, "partitionkey", key)
        // Milliseconds since 1970, padded with zeros, so that text sorts as time.
        writer.add(prefix, "sequence", UInt64(max(time.milliseconds, 0)), width: 17)
        if let expiry = Self.expiry(of: fire.occurrence, fire.template) { writer.add(prefix, "expirytime", expiry) }
        writer.add(
            prefix, "firekind",
            fire.occurrence.caughtUp && fire.template.backfills == nil ? "catchup" : Self.kind(of: fire))
        writer.add(prefix, "attempt", UInt64(attempt))
        writer.add(prefix, "generation", fire.occurrence.generation)
        if !fire.template.traceparent.isEmpty { writer.add(prefix, "traceparent", fire.template.traceparent) }
    }

    private static func structured(
        _ attributes: RecordHeaders, payload: ByteBuffer, contentType: String
    ) -> ByteBuffer {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        bytes.reserveCapacity(512 + payload.readableBytes)
        for attribute in attributes {
            JSONValue.writeString(attribute.name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            // The two whole numbers of the event are numbers here.
            if attribute.name == "attempt" || attribute.name == "generation" {
                bytes.append(contentsOf: attribute.value.utf8)
            } else {
                JSONValue.writeString(attribute.value, to: &bytes)
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

extension RecordHeaders.Writer {
    fileprivate mutating func add(_ prefix: StaticString, _ name: StaticString, _ instant: WallInstant) {
        self.begin(prefix, name)
        instant.writeText(to: self.take(WallInstant.textCount))
        self.finish()
    }

    fileprivate mutating func add(_ prefix: StaticString, _ name: StaticString, _ id: ActivationID) {
        self.begin(prefix, name)
        id.writeText(to: self.take(ActivationID.textCount))
        self.finish()
    }

    fileprivate mutating func add(
        _ prefix: StaticString, _ name: StaticString, _ number: UInt64, width: Int = 1
    ) {
        self.begin(prefix, name)
        self.write(number, width: width)
        self.finish()
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
