import EscapementModel
import NIOCore
import Testing
import WireProtocol

@Suite struct FireTemplateViewTests {
    private var template: FireTemplate {
        var template = FireTemplate(
            origin: .timer, namespace: "guest", name: "größe", action: "/guest/a", topic: "team.a", key: "k",
            format: "plain", contentType: "text/plain", payload: ByteBuffer(string: "payload"),
            labels: [.init(name: "team", value: "billing"), .init(name: "empty", value: "")],
            expireAfterMilliseconds: 7, traceparent: "00-1", headers: [.init(name: "x-a", value: "1")],
            isPattern: true, web: .hook(url: "https://hooks.test", secret: "s"),
            backfills: WallInstant(milliseconds: 5))
        template.neighbours = OccurrenceNeighbours(previous: WallInstant(milliseconds: 3), next: nil)
        template.retry.attemptsMax = 3
        template.retry.dropsExhausted = true
        return template
    }

    private func journaled(_ view: FireTemplateView) throws -> [Label] {
        var writer = FieldWriter()
        view.writeLabels(18, to: &writer)
        var reader = FieldReader(writer.finish())
        var labels: [Label] = []
        while let field = try reader.next() {
            #expect(field.number == 18)
            var label = Label(name: "", value: "")
            var inner = try field.nested("label")
            while let part = try inner.next() {
                if part.number == 1 { label.name = try part.text("name", max: 100) }
                if part.number == 2 { label.value = try part.text("value", max: 100) }
            }
            labels.append(label)
        }
        return labels
    }

    @Test func `a view shows what was encoded`() throws {
        // Not at the beginning of its memory, as templates in a frame are not.
        var frame = ByteBuffer(string: "before")
        frame.writeImmutableBuffer(self.template.encoded())
        frame.writeString("behind")
        frame.moveReaderIndex(forwardBy: 6)
        let slice = frame.readSlice(length: frame.readableBytes - 6)
        let bytes = try #require(slice)
        let view = try FireTemplateView(bytes)
        #expect(view.origin == .timer && view.isPattern && view.expireAfterMilliseconds == 7)
        #expect(view.has(\.namespace, "guest") && view.has(\.name, "größe"))
        #expect(view.name.count == 7 && view.string(\.name) == "größe")
        #expect(
            view.payload == ByteBuffer(string: "payload") && Array(view.unsafePayloadBytes) == Array("payload".utf8))
        #expect(view.labels == self.template.labels)
        #expect(try self.journaled(view) == self.template.labels)
        #expect(try FireTemplate(decoding: bytes) == self.template)
    }

    @Test(arguments: [0, 1, FireTemplate.digestedFrom - 1, FireTemplate.digestedFrom, 100_000])
    func `a long payload comes with its digest`(count: Int) throws {
        var template = self.template
        template.payload = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        let digest = template.payload.withUnsafeReadableBytes { SHA256Function.plain.digest($0) }
        let encoded = template.encoded()
        #expect(try FireTemplateView(encoded).payloadDigest == (count < 512 ? nil : digest))
        var other = try FireTemplate(decoding: encoded)
        #expect(other == template)
        other.payload = ByteBuffer(string: "short")
        #expect(try FireTemplateView(other.encoded()).payloadDigest == nil, "it is never another payload's")
    }

    @Test func `a digest has its golden bytes`() {
        let long = FireTemplate(
            origin: .timer, namespace: "g", name: "n", payload: ByteBuffer(repeating: UInt8(ascii: "x"), count: 512))
        let tail = Array(long.encoded().readableBytesView.suffix(35))
        #expect(tail.prefix(3) == [0xd2, 0x01, 0x20])
        let digest = long.payload.withUnsafeReadableBytes { SHA256Function.plain.digest($0) }
        #expect(Hexadecimal.text(Array(tail.dropFirst(3))) == digest.hex)
    }

    @Test func `a digest of another length is refused`() {
        var writer = FieldWriter()
        writer.element(26, "short")
        let bytes = writer.finish()
        #expect(throws: WireError(.badValue, field: "template.payloadDigest")) { try FireTemplateView(bytes) }
    }

    @Test func `what is not there is empty`() throws {
        let view = try FireTemplateView(ByteBuffer())
        #expect(view.namespace.isEmpty && view.contentType.isEmpty && view.traceparent.isEmpty)
        #expect(view.payload.readableBytes == 0 && view.unsafePayloadBytes.isEmpty)
        #expect(view.labels.isEmpty && view.headers.isEmpty && view.web == nil)
        #expect(try self.journaled(view).isEmpty)
        #expect(view.has(\.key, "") && !view.has(\.key, "schedule"))
    }

    @Test func `labels are found with other fields between them`() throws {
        var writer = FieldWriter()
        writer.text(2, "guest")
        writer.nested(10) { $0.text(1, "a") }
        writer.text(3, "nightly")
        writer.nested(10) { $0.text(1, "b") }
        writer.unsigned(30, UInt64(9))
        writer.nested(10) { $0.text(1, "c") }
        writer.flag(14, true)
        let view = try FireTemplateView(writer.finish())
        #expect(view.labels.map(\.name) == ["a", "b", "c"])
        #expect(try self.journaled(view).map(\.name) == ["a", "b", "c"])
        #expect(view.has(\.name, "nightly") && view.isPattern)
    }

    @Test(
        arguments: [
            (2, "template.namespace"), (3, "template.name"), (4, "template.action"), (5, "template.topic"),
            (6, "template.key"), (7, "template.format"), (8, "template.contentType"), (12, "template.traceparent"),
            (15, "template.web.url"), (16, "template.web.secret"),
        ] as [(UInt32, String)])
    func `a text that is not UTF-8 is refused`(number: UInt32, field: String) {
        var writer = FieldWriter()
        writer.bytes(number, ByteBuffer(bytes: [0x61, 0xff]))
        let bytes = writer.finish()
        #expect(throws: WireError(.badValue, field: field)) { try FireTemplateView(bytes) }
    }

    @Test func `a byte that is no UTF-8 is found wherever it lies`() throws {
        for count in 1...20 {
            for place in 0..<count {
                var bytes = [UInt8](repeating: 0x61, count: count)
                bytes[place] = 0x80
                var writer = FieldWriter()
                writer.bytes(3, ByteBuffer(bytes: bytes))
                let refused = writer.finish()
                #expect(throws: WireError(.badValue, field: "template.name")) { try FireTemplateView(refused) }
                let text = String(repeating: "a", count: place) + "é" + String(repeating: "a", count: count - place)
                writer = FieldWriter()
                writer.text(3, text)
                #expect(try FireTemplateView(writer.finish()).string(\.name) == text)
            }
        }
    }

    @Test(arguments: [(10, "template.labels"), (13, "template.headers")] as [(UInt32, String)])
    func `a pair that cannot be read is refused`(number: UInt32, field: String) {
        for part in 1...2 as ClosedRange<UInt32> {
            var writer = FieldWriter()
            writer.nested(number) { $0.bytes(part, ByteBuffer(bytes: [0xc3])) }
            let bytes = writer.finish()
            #expect(throws: WireError(.badValue, field: field)) { try FireTemplateView(bytes) }
        }
        var writer = FieldWriter()
        writer.bytes(number, ByteBuffer(bytes: [0x0a, 9]))
        let bytes = writer.finish()
        #expect(throws: WireError.self) { try FireTemplateView(bytes) }
    }

    @Test func `a text is equal to its own bytes only`() throws {
        var writer = FieldWriter()
        writer.text(3, "cafe\u{301}")
        let view = try FireTemplateView(writer.finish())
        #expect(view.has(\.name, "cafe\u{301}"))
        #expect(!view.has(\.name, "caf\u{e9}"), "the same to people, and other bytes")
        #expect(!view.has(\.name, "cafe") && !view.has(\.name, "cafe\u{302}") && !view.has(\.name, ""))
    }
}
