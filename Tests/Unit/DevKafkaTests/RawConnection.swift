import DevKafka
import Foundation
import NIOCore

/// A client that says exactly what a test wants, byte by byte. Its calls block, which is fine: the brokers have a
/// thread of their own.
final class RawConnection {
    struct Closed: Error {}

    private let descriptor: Int32
    private var correlationID: Int32 = 0

    init(port: Int) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Closed() }
    }

    deinit { close(self.descriptor) }

    /// Sends a request and returns what follows the answer's correlation id.
    ///
    /// - Throws: `Closed` when the broker closes the connection instead.
    func call(_ api: Int16, _ version: Int16, flexible: Bool = false, _ body: ByteBuffer) throws -> ByteBuffer {
        var answer = try self.exchange(self.request(api, version, flexible: flexible, body))
        guard answer.readInteger(as: Int32.self) == self.correlationID else { throw Closed() }
        return answer
    }

    /// Sends a request and leaves the answer alone.
    func sendOnly(_ api: Int16, _ version: Int16, _ body: ByteBuffer) throws {
        let request = self.request(api, version, flexible: false, body)
        var frame = ByteBuffer(integer: Int32(request.readableBytes))
        frame.writeImmutableBuffer(request)
        try self.send(frame)
    }

    private func request(_ api: Int16, _ version: Int16, flexible: Bool, _ body: ByteBuffer) -> ByteBuffer {
        self.correlationID += 1
        var request = ByteBuffer()
        request.writeMultipleIntegers(api, version, self.correlationID)
        request.string("raw")
        if flexible { request.writeInteger(UInt8(0)) }
        request.writeImmutableBuffer(body)
        return request
    }

    /// Sends bytes behind their length and returns the answer without its own.
    func exchange(_ request: ByteBuffer) throws -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(Int32(request.readableBytes))
        frame.writeImmutableBuffer(request)
        try self.send(frame)
        let length = try self.receive(4).getInteger(at: 0, as: Int32.self) ?? 0
        return try self.receive(Int(length))
    }

    func send(_ bytes: ByteBuffer) throws {
        var rest = bytes
        while rest.readableBytes > 0 {
            let count = rest.withUnsafeReadableBytes {
                Foundation.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Closed() }
            rest.moveReaderIndex(forwardBy: count)
        }
    }

    func receive(_ count: Int) throws -> ByteBuffer {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let read = bytes.withUnsafeMutableBytes {
                recv(self.descriptor, $0.baseAddress.map { $0 + done }, count - done, 0)
            }
            guard read > 0 else { throw Closed() }
            done += read
        }
        return ByteBuffer(bytes: bytes)
    }
}

extension ByteBuffer {
    mutating func string(_ text: String?) {
        guard let text else {
            self.writeInteger(Int16(-1))
            return
        }
        self.writeInteger(Int16(text.utf8.count))
        self.writeString(text)
    }

    /// Reads a string with a length of two bytes.
    mutating func takeString() -> String? {
        guard let length = self.readInteger(as: Int16.self), length >= 0 else { return nil }
        return self.readString(length: Int(length))
    }
}
