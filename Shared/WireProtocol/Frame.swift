package import NIOCore

/// One message on a connection, still encoded.
///
/// Layout, big-endian: `u32` length of what follows · `u16` kind · `u16` flags · `u32` correlation ·
/// payload. The length is checked against a limit before anything is allocated for it.
package struct Frame: Equatable, Sendable {
    /// Bytes before the payload, the length field included.
    package static let headerLength = 12
    /// The largest frame before the peer has said `Hello`, in bytes of payload.
    package static let payloadMaxBeforeHello = 4 * 1024
    /// The largest frame of an established connection, in bytes of payload: a full fire batch.
    package static let payloadMax = 8 * 1024 * 1024

    /// Raw, because a newer peer may send kinds that this build does not know.
    package var kind: UInt16
    package var flags: FrameFlags
    /// Chosen by the asker; an answer repeats it. Zero for a message that wants no answer.
    package var correlation: UInt32
    package var payload: ByteBuffer

    package init(kind: UInt16, flags: FrameFlags = [], correlation: UInt32 = 0, payload: ByteBuffer) {
        self.kind = kind
        self.flags = flags
        self.correlation = correlation
        self.payload = payload
    }

    /// Encodes `message` as a frame.
    package init(_ message: some WireMessage, flags: FrameFlags = [], correlation: UInt32 = 0) {
        var writer = FieldWriter(capacity: message.sizeEstimate)
        message.encode(into: &writer)
        self.init(
            kind: type(of: message).kind.rawValue, flags: flags, correlation: correlation, payload: writer.finish())
    }

    /// Appends the frame to `buffer`.
    package func write(to buffer: inout ByteBuffer) {
        self.writeHeader(to: &buffer)
        buffer.writeImmutableBuffer(self.payload)
    }

    /// Appends what comes before the payload.
    package func writeHeader(to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt32(Self.headerLength - 4 + self.payload.readableBytes))
        buffer.writeInteger(self.kind)
        buffer.writeInteger(self.flags.rawValue)
        buffer.writeInteger(self.correlation)
    }

    /// Bytes of the frame at the front of `buffer`, as it announces itself; 0 while that is not known. Not checked.
    package static func length(of buffer: ByteBuffer) -> Int {
        buffer.getInteger(at: buffer.readerIndex, as: UInt32.self).map { 4 + Int($0) } ?? 0
    }

    /// Takes one frame from the front of `buffer`; `nil` while it is incomplete.
    ///
    /// - Throws: `WireError` when the length is impossible or above `payloadMax`; the connection must
    ///   then be closed, since the start of the next frame is unknown.
    package static func read(from buffer: inout ByteBuffer, payloadMax: Int) throws(WireError) -> Frame? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) else { return nil }
        guard length >= UInt32(Self.headerLength - 4) else { throw WireError(.frameTooShort, field: "length") }
        let payloadLength = Int(length) - (Self.headerLength - 4)
        guard payloadLength <= payloadMax else { throw WireError(.frameTooLong, field: "length") }
        guard buffer.readableBytes >= Self.headerLength + payloadLength else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        guard let kind = buffer.readInteger(as: UInt16.self), let flags = buffer.readInteger(as: UInt16.self),
            let correlation = buffer.readInteger(as: UInt32.self), let payload = buffer.readSlice(length: payloadLength)
        else { throw WireError(.truncated, field: "frame") }
        return Frame(kind: kind, flags: FrameFlags(rawValue: flags), correlation: correlation, payload: payload)
    }

    /// Decodes the payload as `Message`.
    ///
    /// - Throws: `WireError` naming the field, also when the frame is of another kind.
    package func decode<Message: WireMessage>(_ type: Message.Type = Message.self) throws(WireError) -> Message {
        guard self.kind == Message.kind.rawValue else { throw WireError(.wrongKind, field: "kind") }
        var reader = FieldReader(self.payload)
        return try Message(from: &reader)
    }
}

package struct FrameFlags: OptionSet, Equatable, Sendable {
    package var rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The frame answers the one with the same correlation.
    package static let answer = FrameFlags(rawValue: 1)
}

/// Why bytes are not a message. Never retriable on the same bytes.
package struct WireError: Error, Equatable {
    package enum Code: String, Sendable {
        case frameTooShort
        case frameTooLong
        case truncated
        case wrongKind
        case wrongType
        case tooLong
        case tooMany
        case badValue
        case missing
        case tooDeep
    }

    package var code: Code
    /// The field as `message.field` or the part of the frame.
    package var field: String

    package init(_ code: Code, field: String) {
        self.code = code
        self.field = field
    }
}

extension WireError: CustomStringConvertible {
    package var description: String { "\(self.field): \(self.code.rawValue)" }
}
