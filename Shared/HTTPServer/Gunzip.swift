import CZlib

/// Reads request bodies in the gzip format (RFC 1952), within a bound: a small body may unfold to gigabytes.
package enum Gunzip {
    /// What a body held.
    package enum Content: Equatable, Sendable {
        case bytes([UInt8])
        /// More than was allowed.
        case tooLarge
        /// Not gzip, or cut short, or followed by something else.
        case malformed
    }

    /// The content of `bytes`, at most `byteCountMax` bytes of it. O(content).
    package static func decompress(_ bytes: [UInt8], byteCountMax: Int) -> Content {
        precondition(bytes.count <= Int(UInt32.max), "\(bytes.count) bytes at once")
        var stream = z_stream()
        let started = czlib_gunzip_init(&stream)
        precondition(started == Z_OK, "zlib refused to start: \(started)")
        defer { inflateEnd(&stream) }
        var input = bytes
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        return input.withUnsafeMutableBufferPointer { source in
            stream.next_in = source.baseAddress
            stream.avail_in = UInt32(source.count)
            while true {
                let (status, count) = chunk.withUnsafeMutableBufferPointer { output in
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(output.count)
                    return (inflate(&stream, Z_NO_FLUSH), output.count - Int(stream.avail_out))
                }
                content.append(contentsOf: chunk.prefix(count))
                if content.count > byteCountMax { return .tooLarge }
                switch status {
                case Z_STREAM_END: return stream.avail_in == 0 ? .bytes(content) : .malformed
                case Z_OK where count > 0 || stream.avail_in > 0: continue
                default: return .malformed
                }
            }
        }
    }
}
