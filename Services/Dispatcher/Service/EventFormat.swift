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
        package var kind: FireKind
        package var generation: UInt64
        package var scheduled: WallInstant
        package var due: WallInstant
        package var caughtUp: Bool
        package var neighbours: OccurrenceNeighbours?
        package var template: FireTemplateView
        /// Its own trace instead of the template's; `nil` for none.
        package var trace: String?
        package var lane: LaneID
        /// Of the journal entry that settles it.
        package var sequence: UInt64

        /// - Throws: `WireError` when its template is unreadable.
        package static func of(
            _ occurrence: FireOccurrence, id: ActivationID, lane: LaneID, sequence: UInt64
        ) throws(WireError) -> Fire {
            try withUnsafePointer(to: occurrence) { occurrence throws(WireError) in
                try Fire(at: occurrence, id: id, lane: lane, sequence: sequence)
            }
        }

        /// By its address: the compiler copies an occurrence that is passed out of an array.
        init(
            at occurrence: UnsafePointer<FireOccurrence>, id: ActivationID, trace: String? = nil, lane: LaneID,
            sequence: UInt64
        ) throws(WireError) {
            let template = try FireTemplateView(occurrence.pointee.template)
            self.id = id
            self.kind = occurrence.pointee.kind
            self.generation = occurrence.pointee.generation
            self.scheduled = occurrence.pointee.scheduled
            self.due = occurrence.pointee.due
            self.caughtUp = occurrence.pointee.caughtUp
            self.neighbours = occurrence.pointee.neighbours
            self.template = template
            self.trace = trace
            self.lane = lane
            self.sequence = sequence
        }

        /// The W3C trace context to send along; may be empty.
        var traceparent: String { self.trace ?? self.template.string(\.traceparent) }
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

    /// What is sent as payload: an absent or null one is `{}`, because a null record deletes its key on a
    /// compacted topic.
    package static func payload(of template: FireTemplateView) -> ByteBuffer {
        self.isNull(template.unsafePayloadBytes) ? ByteBuffer(string: "{}") : template.payload
    }

    /// The bytes of the same. Valid as long as the template is kept.
    static func payloadBytes(of template: FireTemplateView) -> UnsafeRawBufferPointer {
        let payload = template.unsafePayloadBytes
        let empty = "{}" as StaticString
        return self.isNull(payload)
            ? UnsafeRawBufferPointer(start: empty.utf8Start, count: empty.utf8CodeUnitCount) : payload
    }

    private static func isNull(_ payload: UnsafeRawBufferPointer) -> Bool {
        payload.isEmpty
            || payload.count < 16
                && String(decoding: payload.filter { $0 > 0x20 }, as: UTF8.self) == "null"
    }

    /// The record of a fire, produced at `now`.
    ///
    /// - Parameters:
    ///   - attempt: more than 1 for one that has waited for its topic.
    ///   - isPlain: whether it is a CloudEvent in binary mode whose words stay as they are, whatever the template says.
    ///   - blocks: where its key and headers lie.
    /// - Throws: `FormatError` when the fire cannot be written so; waiting does not help. Never for a plain one.
    func record(
        of fire: borrowing Fire, topic: String, attempt: UInt32 = 1, now: InstantText, isPlain: Bool = false,
        in blocks: inout RecordBlocks
    ) throws(FormatError) -> OutgoingRecord {
        let isPattern = fire.template.isPattern && !isPlain
        let payload =
            isPattern
            ? try Self.expanded(fire.template, Self.words(of: fire, attempt: attempt, now: now.instant))
            : Self.payload(of: fire.template)
        let mode = isPlain ? .binary : self.mode(of: fire.template)
        // Asked for first, as comparing its topic copies all of it.
        if case .some = self.whisk, !isPlain, mode != .openWhisk, topic == self.whisk?.topic {
            throw FormatError(
                .topicNotAllowed,
                "the topic \(topic) takes the format openwhisk only: anything else could pose as a message of OpenWhisk"
            )
        }
        let value: ByteBuffer
        switch mode {
        case .binary, .plain: value = payload
        case .structured: value = self.structured(fire, payload, attempt: attempt, now: now)
        case .openWhisk:
            guard let whisk = self.whisk, whisk.topic == topic else {
                throw FormatError(
                    .topicNotAllowed, "the format openwhisk is not switched on for the topic \(topic)")
            }
            value = try WhiskMessage.value(
                of: fire, payload: payload, controller: whisk.controller, keys: whisk.keys, now: now.instant)
        }
        var own = fire.template.headers
        if isPattern, !own.isEmpty {
            let words = Self.words(of: fire, attempt: attempt, now: now.instant)
            for index in own.indices { own[index].value = try Self.expanded(own[index].value, fire.template, words) }
        }
        let capacity =
            self.headersMax(of: fire) + own.reduce(0) { $0 + RecordHead.Writer.bytes($1.name, $1.value) }
        let head = RecordHead(capacity: capacity, in: &blocks) {
            self.writeHead(of: fire, mode, own: own, attempt: attempt, now: now, to: &$0)
        }
        return OutgoingRecord(topic: topic, head: head, value: value)
    }

    /// The same with memory of its own.
    package func record(
        of fire: borrowing Fire, topic: String, attempt: UInt32 = 1, now: WallInstant, isPlain: Bool = false
    ) throws(FormatError) -> OutgoingRecord {
        var blocks = RecordBlocks(size: 0)
        return try self.record(
            of: fire, topic: topic, attempt: attempt, now: InstantText(now), isPlain: isPlain, in: &blocks)
    }

    /// Most templates name no format, and none need be looked up.
    private func mode(of template: FireTemplateView) -> Mode {
        template.format.isEmpty ? self.mode : Mode(rawValue: template.string(\.format)) ?? self.mode
    }

    private func writeHead(
        of fire: borrowing Fire, _ mode: Mode, own: [FireTemplate.Header], attempt: UInt32, now: InstantText,
        to writer: inout RecordHead.Writer
    ) {
        let time = InstantText(Self.time(of: fire))
        writer.key { Self.writeKey(of: fire.template, to: &$0) }
        if mode == .binary {
            self.writeAttributes(of: fire, skipping: 0, attempt: attempt, time: time, now: now, to: &writer)
        }
        writer.addTrace("traceparent", of: fire)
        writer.begin("content-type")
        switch mode {
        case .binary, .plain: writer.writeContentType(of: fire.template)
        case .structured: writer.write("application/cloudevents+json; charset=UTF-8" as StaticString)
        case .openWhisk: writer.write("application/json" as StaticString)
        }
        writer.finish()
        for header in own { writer.add(header.name, header.value) }
        writer.add("esc-activation-id", fire.id)
        writer.begin("esc-schedule")
        writer.write(fire.template.namespace.unsafeBytes)
        writer.write("/" as StaticString)
        writer.write(fire.template.name.unsafeBytes)
        writer.finish()
        writer.add(
            "esc-nominal", fire.scheduled.milliseconds == time.instant.milliseconds ? time : InstantText(fire.scheduled)
        )
        writer.add("esc-lane", UInt64(fire.lane.rawValue))
        writer.add("esc-seq", fire.sequence)
    }

    /// The record key: the template's, or `namespace/name`.
    private static func writeKey(of template: FireTemplateView, to writer: inout RecordHead.Writer) {
        if template.key.isEmpty || template.has(\.key, "schedule") {
            writer.write(template.namespace.unsafeBytes)
            writer.write("/" as StaticString)
            writer.write(template.name.unsafeBytes)
        } else {
            writer.write(template.key.unsafeBytes)
        }
    }

    /// Bytes of the key and of all headers but the user's own, at most.
    private func headersMax(of fire: borrowing Fire) -> Int {
        let path = fire.template.namespace.count + fire.template.name.count + 1
        return Self.fixedMax + self.sourcePrefix.utf8.count + 2 * path + fire.template.action.count
            + 2 * max(path, fire.template.key.count) + fire.template.contentType.count
            + 2 * (fire.trace?.utf8.count ?? fire.template.traceparent.count)
    }

    /// More than what those headers take that are equally long, or have a bound, for all fires.
    private static let fixedMax = 768

    /// The payload with its words replaced, where the schedule asks for it.
    static func expanded(
        _ template: FireTemplateView, _ words: @autoclosure () -> PayloadPattern.Words
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
        _ text: String, _ template: FireTemplateView, _ words: @autoclosure () -> PayloadPattern.Words
    ) throws(FormatError) -> String {
        guard template.isPattern else { return text }
        do throws(PayloadPattern.UnknownWord) {
            return try PayloadPattern.expand(text, words())
        } catch {
            throw FormatError(.invalidTemplate, "\(error)")
        }
    }

    static func words(of fire: borrowing Fire, attempt: UInt32 = 1, now: WallInstant) -> PayloadPattern.Words {
        let neighbours = fire.template.neighbours ?? fire.neighbours
        return PayloadPattern.Words(
            id: fire.id.description, scheduledAt: (fire.template.backfills ?? fire.scheduled).description,
            firedAt: now.description,
            attempt: "\(attempt)", schedule: fire.template.string(\.name), namespace: fire.template.string(\.namespace),
            kind: Self.kind(of: fire), generation: "\(fire.generation)",
            previousAt: neighbours?.previous?.description ?? "", nextAt: neighbours?.next?.description ?? "")
    }

    private static func kind(of fire: borrowing Fire) -> String {
        fire.template.backfills == nil ? fire.kind.name : FireKind.backfill.name
    }

    /// The instant after which a fire due at `due` is void; `nil` for never.
    package static func expiry(of due: WallInstant, _ template: FireTemplateView) -> WallInstant? {
        template.expireAfterMilliseconds == 0
            ? nil : due.advanced(by: .milliseconds(Int64(clamping: template.expireAfterMilliseconds)))
    }

    static func contentType(of template: FireTemplateView) -> String {
        template.contentType.isEmpty ? "application/json" : template.string(\.contentType)
    }

    /// Names and values in the order of the specification's example, without prefix.
    func attributes(of fire: borrowing Fire, attempt: UInt32, now: InstantText) -> [OutgoingRecord.Header] {
        let time = InstantText(Self.time(of: fire))
        var blocks = RecordBlocks(size: 0)
        return RecordHead(capacity: self.headersMax(of: fire), in: &blocks) {
            $0.key { Self.writeKey(of: fire.template, to: &$0) }
            self.writeAttributes(
                of: fire, skipping: Self.prefix.utf8CodeUnitCount, attempt: attempt, time: time, now: now, to: &$0)
        }.headers
    }

    /// To a consumer a backfill is the occurrence that it makes up for.
    private static func time(of fire: borrowing Fire) -> WallInstant { fire.template.backfills ?? fire.due }

    /// Of the names of attributes in Kafka's headers.
    private static let prefix: StaticString = "ce_"

    /// - Parameter skipped: how much of the prefix is left out of the names.
    @inline(__always)
    private func writeAttributes(
        of fire: borrowing Fire, skipping skipped: Int, attempt: UInt32, time: InstantText, now: InstantText,
        to writer: inout RecordHead.Writer
    ) {
        // Not by `==`, here and where else a fire passes: between modules it is called without knowing the type.
        let isTimer = if case .timer = fire.template.origin { true } else { false }
        writer.begin("ce_specversion", skipping: skipped)
        writer.write("1.0" as StaticString)
        writer.finish()
        writer.add("ce_id", skipping: skipped, fire.id)
        writer.begin("ce_source", skipping: skipped)
        writer.write(self.sourcePrefix)
        writer.write("/namespaces/" as StaticString)
        writer.write(fire.template.namespace.unsafeBytes)
        writer.write(isTimer ? "/timers/" : "/schedules/" as StaticString)
        writer.write(fire.template.name.unsafeBytes)
        writer.finish()
        writer.begin("ce_type", skipping: skipped)
        writer.write(isTimer ? "escapement.timer.fired.v1" : "escapement.schedule.fired.v1" as StaticString)
        writer.finish()
        writer.add("ce_time", skipping: skipped, time)
        writer.add("ce_recordedtime", skipping: skipped, now)
        if !fire.template.action.isEmpty {
            writer.begin("ce_subject", skipping: skipped)
            writer.write(fire.template.action.unsafeBytes)
            writer.finish()
        }
        writer.begin("ce_partitionkey", skipping: skipped)
        writer.writeKey()
        writer.finish()
        // Milliseconds since 1970, padded with zeros, so that text sorts as time.
        writer.add("ce_sequence", skipping: skipped, UInt64(max(time.instant.milliseconds, 0)), width: 17)
        if let expiry = Self.expiry(of: fire.due, fire.template) {
            writer.add("ce_expirytime", skipping: skipped, InstantText(expiry))
        }
        writer.begin("ce_firekind", skipping: skipped)
        writer.write(fire.caughtUp && fire.template.backfills == nil ? "catchup" : Self.kind(of: fire))
        writer.finish()
        writer.add("ce_attempt", skipping: skipped, UInt64(attempt))
        writer.add("ce_generation", skipping: skipped, fire.generation)
        writer.addTrace("ce_traceparent", skipping: skipped, of: fire)
    }

    private func structured(
        _ fire: borrowing Fire, _ payload: ByteBuffer, attempt: UInt32, now: InstantText
    ) -> ByteBuffer {
        let contentType = Self.contentType(of: fire.template)
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        bytes.reserveCapacity(512 + payload.readableBytes)
        for attribute in self.attributes(of: fire, attempt: attempt, now: now) {
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
        Self.writeData(payload, contentType: contentType, to: &bytes)
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

extension RecordHead.Writer {
    @inline(__always)
    fileprivate mutating func add(_ name: StaticString, skipping skipped: Int = 0, _ instant: InstantText) {
        self.begin(name, skipping: skipped)
        instant.write(to: self.take(WallInstant.textCount))
        self.finish()
    }

    @inline(__always)
    fileprivate mutating func add(_ name: StaticString, skipping skipped: Int = 0, _ id: ActivationID) {
        self.begin(name, skipping: skipped)
        id.writeText(to: self.take(ActivationID.textCount))
        self.finish()
    }

    @inline(__always)
    fileprivate mutating func add(
        _ name: StaticString, skipping skipped: Int = 0, _ number: UInt64, width: Int = 1
    ) {
        self.begin(name, skipping: skipped)
        self.write(number, width: width)
        self.finish()
    }

    @inline(__always)
    fileprivate mutating func addTrace(
        _ name: StaticString, skipping skipped: Int = 0, of fire: borrowing EventFormat.Fire
    ) {
        if fire.trace == nil, fire.template.traceparent.isEmpty { return }
        self.begin(name, skipping: skipped)
        if let trace = fire.trace { self.write(trace) } else { self.write(fire.template.traceparent.unsafeBytes) }
        self.finish()
    }

    fileprivate mutating func writeContentType(of template: FireTemplateView) {
        if template.contentType.isEmpty {
            self.write("application/json" as StaticString)
        } else {
            self.write(template.contentType.unsafeBytes)
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
