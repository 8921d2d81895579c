import CZlib

/// The gzip format (RFC 1952), for request bodies. Answers are decompressed by libcurl.
package enum Gzip {
    /// A body below this many bytes gains nothing.
    package static let byteCountMin = 1024

    /// `bytes` as one gzip member. O(bytes); about 100 MB/s.
    package static func compress(_ bytes: [UInt8]) -> [UInt8] {
        let stream = GzipStream()
        stream.add(bytes)
        return stream.finish()
    }
}

/// One gzip member that is written piece by piece, so that the whole is never in memory uncompressed.
///
/// For one task at a time.
package final class GzipStream {
    /// Fast rather than small: bulk requests of JSON shrink to about a seventh at either end.
    private static let level: Int32 = 1
    /// Room that is made for compressed bytes at a time.
    private static let stepBytes = 32 * 1024

    /// zlib keeps a pointer to it, so it stays where it is.
    private let stream: UnsafeMutablePointer<z_stream>
    private let room = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: GzipStream.stepBytes)
    private var output: [UInt8] = []

    package init() {
        self.stream = .allocate(capacity: 1)
        self.stream.initialize(to: z_stream())
        let code = czlib_gzip_init(self.stream, Self.level)
        precondition(code == Z_OK, "zlib refused to start: \(code)")
    }

    deinit {
        deflateEnd(self.stream)
        self.stream.deallocate()
        self.room.deallocate()
    }

    /// Compresses `bytes`; what comes of it waits in the output, or in zlib.
    ///
    /// - Precondition: not after `finish`; at most 4 GB.
    package func add(_ bytes: [UInt8]) {
        precondition(bytes.count <= Int(UInt32.max), "\(bytes.count) bytes at once")
        if bytes.isEmpty { return }
        bytes.withUnsafeBufferPointer { source in
            // zlib only reads there.
            self.stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            self.stream.pointee.avail_in = UInt32(source.count)
            self.run(Z_NO_FLUSH)
        }
    }

    /// What has been compressed so far and was not taken before.
    package func takeOutput() -> [UInt8] {
        defer { self.output = [] }
        return self.output
    }

    /// Ends the member.
    ///
    /// - Returns: the rest of the output.
    package func finish() -> [UInt8] {
        self.stream.pointee.next_in = nil
        self.stream.pointee.avail_in = 0
        self.run(Z_FINISH)
        return self.takeOutput()
    }

    /// Until zlib has taken all and leaves room in what it was offered.
    private func run(_ flush: Int32) {
        repeat {
            self.stream.pointee.next_out = self.room.baseAddress
            self.stream.pointee.avail_out = UInt32(self.room.count)
            let code = deflate(self.stream, flush)
            // With room at hand the only other code says that there was nothing to do.
            precondition(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "zlib failed: \(code)")
            self.output.append(contentsOf: self.room[..<(self.room.count - Int(self.stream.pointee.avail_out))])
        } while self.stream.pointee.avail_out == 0
    }
}
