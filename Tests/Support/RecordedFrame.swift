package import WireProtocol
import NIOCore

/// Frames of a transcript.
package enum RecordedFrame {
    /// The frame that `hexadecimal` spells.
    package static func read(_ hexadecimal: String) throws(WireError) -> Frame {
        let digits = Array(hexadecimal.utf8)
        var buffer = ByteBuffer()
        for index in stride(from: 0, to: digits.count - 1, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
                throw WireError(.badValue, field: "transcript")
            }
            buffer.writeInteger(byte)
        }
        guard let frame = try Frame.read(from: &buffer, payloadMax: 65_536) else {
            throw WireError(.missing, field: "transcript")
        }
        return frame
    }
}
