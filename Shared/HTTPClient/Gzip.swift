import CZlib

/// The gzip format (RFC 1952), for request bodies. Answers are decompressed by libcurl.
package enum Gzip {
    /// A body below this many bytes gains nothing.
    package static let byteCountMin = 1024

    /// Fast rather than small: bulk requests of JSON shrink to about a seventh at either end.
    private static let level: Int32 = 1

    /// `bytes` as one gzip member. O(bytes); about 100 MB/s.
    package static func compress(_ bytes: [UInt8]) -> [UInt8] {
        precondition(bytes.count <= Int(UInt32.max), "\(bytes.count) bytes at once")
        var stream = z_stream()
        var version = czlib_gzip_init(&stream, self.level)
        precondition(version == Z_OK, "zlib refused to start: \(version)")
        defer { deflateEnd(&stream) }
        let capacity = Int(deflateBound(&stream, uLong(bytes.count)))
        var input = bytes
        return [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            input.withUnsafeMutableBufferPointer { source in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                version = deflate(&stream, Z_FINISH)
            }
            // `deflateBound` promises that one call with this room finishes.
            precondition(version == Z_STREAM_END, "zlib did not finish: \(version)")
            count = output.count - Int(stream.avail_out)
        }
    }
}
