package import EscapementModel
package import NIOCore

/// A `FireTemplate` where it lies in its encoded form: read once for each fire, without memory of its own for what most
/// templates hold.
///
/// Its parts mean what those of `FireTemplate` mean. Its texts are valid as long as it is kept.
package struct FireTemplateView: @unchecked Sendable {
    // Unchecked: the bytes are those of a buffer that is never changed in place.

    /// Keeps the bytes where they are, and as they are.
    private let buffer: ByteBuffer
    /// All of the template.
    private let bytes: UnsafeRawBufferPointer
    package private(set) var origin = FireTemplate.Origin.schedule
    package private(set) var namespace = EncodedText()
    package private(set) var name = EncodedText()
    package private(set) var action = EncodedText()
    package private(set) var topic = EncodedText()
    package private(set) var key = EncodedText()
    package private(set) var format = EncodedText()
    package private(set) var contentType = EncodedText()
    package private(set) var traceparent = EncodedText()
    /// As the user gave it: a part of the memory of the template. Valid as long as the template is kept.
    package private(set) var unsafePayloadBytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// From the first label on to the end of the last one; mostly nothing else lies between them.
    private var labelRange = 0..<0
    package private(set) var expireAfterMilliseconds: UInt64 = 0
    package private(set) var headers: [FireTemplate.Header] = []
    package private(set) var isPattern = false
    package private(set) var web: FireTemplate.Web?
    package private(set) var backfills: WallInstant?
    package private(set) var neighbours: OccurrenceNeighbours?
    package private(set) var retry = FireTemplate.Retry()
    /// SHA-256 of the payload, as the template says.
    package private(set) var payloadDigest: SHA256Digest?

    /// O(fields); allocates only for headers, HTTP targets and the like.
    ///
    /// - Throws: `WireError` naming the field.
    package init(_ buffer: ByteBuffer) throws(WireError) {
        self.buffer = buffer
        self.bytes = buffer.withUnsafeReadableBytesWithStorageManagement { bytes, _ in bytes }
        try self.read()
    }

    private mutating func read() throws(WireError) {
        var secret = ""
        var reader = FieldReader(keptElsewhere: self.bytes, self.bytes.indices)
        var field = reader.blank
        while true {
            let start = reader.position
            guard try reader.advance(to: &field) else { break }
            switch field.number {
            case 1:
                guard let origin = FireTemplate.Origin(rawValue: try field.unsigned("template.origin")) else {
                    throw WireError(.badValue, field: "template.origin")
                }
                self.origin = origin
            case 2: self.namespace = try field.encodedText("template.namespace", max: WireLimits.nameMax)
            case 3: self.name = try field.encodedText("template.name", max: WireLimits.nameMax)
            case 4: self.action = try field.encodedText("template.action", max: WireLimits.nameMax)
            case 5: self.topic = try field.encodedText("template.topic", max: WireLimits.nameMax)
            case 6: self.key = try field.encodedText("template.key", max: WireLimits.detailMax)
            case 7: self.format = try field.encodedText("template.format", max: WireLimits.nameMax)
            case 8: self.contentType = try field.encodedText("template.contentType", max: WireLimits.nameMax)
            case 9: self.unsafePayloadBytes = try field.content("template.payload", max: WireLimits.templateMax)
            case Self.labelNumber:
                _ = try Self.pair(field, "template.labels")
                self.labelRange = (self.labelRange.isEmpty ? start : self.labelRange.lowerBound)..<reader.position
            case 11: self.expireAfterMilliseconds = try field.unsigned("template.expireAfter")
            case 12: self.traceparent = try field.encodedText("template.traceparent", max: WireLimits.nameMax)
            case 13:
                let (name, value) = try Self.pair(field, "template.headers")
                self.headers.append(FireTemplate.Header(name: name.copy, value: value.copy))
            case 14: self.isPattern = try field.flag("template.isPattern")
            case 15:
                let url = try field.text("template.web.url", max: WireLimits.detailMax)
                self.web = .hook(url: url, secret: secret)
            case 16:
                secret = try field.text("template.web.secret", max: WireLimits.nameMax)
                if case .hook(let url, _) = self.web { self.web = .hook(url: url, secret: secret) }
            case 17: self.web = .trigger(try field.text("template.web.trigger", max: WireLimits.detailMax))
            case 18: self.web = .action(try field.text("template.web.action", max: WireLimits.detailMax))
            case 19: self.backfills = try field.instant("template.backfills")
            case 20: self.retry.attemptsMax = try field.unsigned("template.retry.attemptsMax")
            case 21: self.retry.backoffMinMilliseconds = try field.unsigned("template.retry.backoffMin")
            case 22: self.retry.backoffMaxMilliseconds = try field.unsigned("template.retry.backoffMax")
            case 23: self.retry.dropsExhausted = try field.flag("template.retry.dropsExhausted")
            case 25: self.neighbours = try field.neighbours("template.neighbours")
            case 26: self.payloadDigest = try field.digest("template.payloadDigest")
            default: continue
            }
        }
    }

    private static let labelNumber: UInt32 = 10

    private static func pair(
        _ field: FieldReader.Field, _ name: StaticString
    ) throws(WireError) -> (name: EncodedText, value: EncodedText) {
        var inner = try field.nested(name)
        var part = inner.blank
        var pair = (name: EncodedText(), value: EncodedText())
        while try inner.advance(to: &part) {
            switch part.number {
            case 1: pair.name = try part.encodedText(name, max: WireLimits.nameMax)
            case 2: pair.value = try part.encodedText(name, max: WireLimits.detailMax)
            default: continue
            }
        }
        return pair
    }

    /// A copy of one of the texts.
    package func string(_ text: (FireTemplateView) -> EncodedText) -> String {
        withExtendedLifetime(self) { text(self).copy }
    }

    /// Whether one of the texts has the same bytes as `other`; texts that only mean the same differ. Allocates nothing.
    package func has(_ text: (FireTemplateView) -> EncodedText, _ other: String) -> Bool {
        withExtendedLifetime(self) { text(self).isEqual(to: other) }
    }

    /// The payload, which keeps the memory of the template.
    package var payload: ByteBuffer {
        guard let start = self.unsafePayloadBytes.baseAddress, let first = self.bytes.baseAddress else {
            return ByteBuffer()
        }
        let index = self.buffer.readerIndex + (start - first)
        guard let slice = self.buffer.getSlice(at: index, length: self.unsafePayloadBytes.count) else {
            preconditionFailure("a payload outside of its template")
        }
        return slice
    }

    /// Copies of them.
    package var labels: [Label] {
        var labels: [Label] = []
        self.visitLabels { label throws(WireError) in
            let (name, value) = try Self.pair(label, "template.labels")
            labels.append(Label(name: name.copy, value: value.copy))
        }
        return labels
    }

    /// Writes each label as it lies, a nested message of its name (1) and its value (2): whoever reads it has to count its
    /// fields as a template does.
    package func writeLabels(_ number: UInt32, to writer: inout FieldWriter) {
        self.visitLabels { label throws(WireError) in
            writer.encoded(number, try label.content("template.labels", max: Frame.payloadMax))
        }
    }

    private func visitLabels(_ visit: (FieldReader.Field) throws(WireError) -> Void) {
        if self.labelRange.isEmpty { return }
        var reader = FieldReader(keptElsewhere: self.bytes, self.labelRange)
        var field = reader.blank
        do throws(WireError) {
            while try reader.next(&field) {
                if field.number == Self.labelNumber { try visit(field) }
            }
            withExtendedLifetime(self) {}
        } catch {
            preconditionFailure("labels that have been read cannot be read again: \(error)")
        }
    }
}
