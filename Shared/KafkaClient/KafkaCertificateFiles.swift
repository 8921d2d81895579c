import Glibc

/// The files from which a client reads its certificates when it is made: it holds what they said then until it is
/// replaced.
package struct KafkaCertificateFiles: Equatable, Sendable {
    private struct Stamp: Equatable {
        var device: UInt
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int
    }

    private static let names = [
        "ssl.certificate.location", "ssl.key.location", "ssl.ca.location", "ssl.keystore.location",
    ]

    private let stamps: [Stamp?]

    /// Looks at the files as they are now. A file that cannot be looked at is one that is not there.
    package init(of settings: KafkaClientSettings) {
        self.stamps = Self.names.map { name in
            guard let path = settings.value(of: name) else { return nil }
            var found = stat()
            guard stat(path, &found) == 0 else { return nil }
            return Stamp(
                device: UInt(found.st_dev), inode: UInt(found.st_ino), size: Int(found.st_size),
                seconds: found.st_mtim.tv_sec, nanoseconds: found.st_mtim.tv_nsec)
        }
    }
}
