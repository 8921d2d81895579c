import Glibc

/// The files from which a client reads its certificates when it is made, as they were then: it goes on with what they
/// said until it is replaced.
struct KafkaCertificateFiles: Sendable {
    private struct Stamp: Equatable {
        var device: UInt
        var inode: UInt
        var size: Int
        var seconds: Int
        var nanoseconds: Int

        /// `nil` for a file that cannot be looked at: it is as if it were not there.
        init?(of path: String) {
            var found = stat()
            guard stat(path, &found) == 0 else { return nil }
            self.device = UInt(found.st_dev)
            self.inode = UInt(found.st_ino)
            self.size = Int(found.st_size)
            self.seconds = found.st_mtim.tv_sec
            self.nanoseconds = found.st_mtim.tv_nsec
        }
    }

    private static let names = [
        "ssl.certificate.location", "ssl.key.location", "ssl.ca.location", "ssl.crl.location", "ssl.keystore.location",
    ]

    private let paths: [String]
    private let stamps: [Stamp?]

    /// Looks at the files as they are now.
    ///
    /// - Parameter properties: all that the client is made with, secrets too: `KAFKA_PROPERTY_…` is among them.
    init(namedIn properties: [KafkaClientSettings.Property]) {
        self.paths = Self.names.compactMap { name in properties.last { $0.name == name }?.value }
        self.stamps = self.paths.map { Stamp(of: $0) }
    }

    /// Whether one of the files is another than it was, by the system's word.
    var haveChanged: Bool { self.paths.map { Stamp(of: $0) } != self.stamps }
}
