#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The bytes that a configuration names, all read at one time, so that what was compared is what is used.
struct TLSMaterial: Sendable {
    /// The largest PEM file read, in bytes: a bundle of all public authorities has 220 KB.
    static let fileSizeMax = 1 << 20

    var certificateChain: [UInt8]?
    var privateKey: [UInt8]?
    var trust: [UInt8]?

    /// - Throws: `TLSError` with code `unreadable`.
    init(reading configuration: TLSConfiguration) throws(TLSError) {
        self.certificateChain = try Self.bytes(of: configuration.certificateChain)
        self.privateKey = try Self.bytes(of: configuration.privateKey)
        self.trust = try Self.bytes(of: configuration.trust)
    }

    /// Tells this material from any other; says nothing about the key.
    var fingerprint: [UInt8] {
        Digest.sha256(
            [self.certificateChain, self.privateKey, self.trust].flatMap { part in Digest.sha256(part ?? []) })
    }

    private static func bytes(of source: TLSConfiguration.Source?) throws(TLSError) -> [UInt8]? {
        switch source {
        case nil: return nil
        case .pem(let text): return Array(text.utf8)
        case .file(let path): return try self.contents(of: path)
        }
    }

    /// Blocking, but of a small local file: called at start and once in each poll interval.
    static func contents(of path: String) throws(TLSError) -> [UInt8] {
        func fault(_ number: Int32) -> TLSError {
            TLSError(.unreadable, subject: path, reason: String(cString: strerror(number)))
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw fault(errno) }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        while contents.count <= Self.fileSizeMax {
            var failure: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 16 * 1024) { buffer, count in
                var got = read(descriptor, buffer.baseAddress, buffer.count)
                while got < 0, errno == EINTR { got = read(descriptor, buffer.baseAddress, buffer.count) }
                if got < 0 { failure = errno }
                count = max(got, 0)
            }
            if failure != 0 { throw fault(failure) }
            if chunk.isEmpty { return contents }
            contents += chunk
        }
        throw TLSError(.unreadable, subject: path, reason: "has more than \(Self.fileSizeMax) bytes")
    }
}
