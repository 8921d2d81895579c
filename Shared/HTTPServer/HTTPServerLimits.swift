/// What a client may use of an HTTP listener: every size, count and wait has a bound.
package struct HTTPServerLimits: Equatable, Sendable {
    /// One header field, name and value, bytes. Tokens of identity providers reach 8 KiB.
    package var headerFieldByteCountMax: Int
    /// All header fields of a request, bytes.
    package var headerListByteCountMax: Int
    package var headerFieldCountMax: Int
    /// The largest body a handler collects, bytes. A larger `Content-Length` is refused with 413; for a
    /// body of unknown length a handler gives this limit to `collect(upTo:)`.
    package var bodyByteCountMax: Int
    /// A connection without a request is closed after this.
    package var idleTimeout: Duration
    /// From the first byte of a request to the first byte of its answer; then the connection is closed. An
    /// answer that streams may take longer.
    package var requestTimeout: Duration
    /// Connections at a time; further ones wait in the kernel's queue.
    package var connectionCountMax: Int

    package init(
        headerFieldByteCountMax: Int = 16 * 1024, headerListByteCountMax: Int = 64 * 1024,
        headerFieldCountMax: Int = 100, bodyByteCountMax: Int = 16 * 1024 * 1024,
        idleTimeout: Duration = .seconds(75), requestTimeout: Duration = .seconds(30),
        connectionCountMax: Int = 1024
    ) {
        self.headerFieldByteCountMax = headerFieldByteCountMax
        self.headerListByteCountMax = headerListByteCountMax
        self.headerFieldCountMax = headerFieldCountMax
        self.bodyByteCountMax = bodyByteCountMax
        self.idleTimeout = idleTimeout
        self.requestTimeout = requestTimeout
        self.connectionCountMax = connectionCountMax
    }

    /// For the admin port: small requests of probes and scrapers, from a few places.
    package static let admin = HTTPServerLimits(
        headerFieldByteCountMax: 8 * 1024, headerListByteCountMax: 16 * 1024, headerFieldCountMax: 64,
        bodyByteCountMax: 4096, idleTimeout: .seconds(75), requestTimeout: .seconds(10), connectionCountMax: 128)
}
