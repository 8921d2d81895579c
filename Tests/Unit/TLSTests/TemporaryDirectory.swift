import Foundation
import TLS

/// A directory of its own for a test, removed with the value.
final class TemporaryDirectory {
    let path: String

    init() throws {
        self.path = NSTemporaryDirectory() + "escapement-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: self.path) }

    func path(of name: String) -> String { "\(self.path)/\(name)" }

    /// Writes over what is there, in place.
    func write(_ text: String, to name: String) throws {
        try text.write(toFile: self.path(of: name), atomically: false, encoding: .utf8)
    }

    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: self.path(of: name), withIntermediateDirectories: false)
    }

    /// Makes `name` a symbolic link to `target`, replacing an older one in one step, as the kubelet does.
    func link(_ name: String, to target: String) throws {
        let fresh = self.path(of: name + ".fresh")
        try FileManager.default.createSymbolicLink(atPath: fresh, withDestinationPath: target)
        guard rename(fresh, self.path(of: name)) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self.path(of: name)) }

    /// Writes the PEM texts of `configuration` to `chain.pem`, `key.pem` and `trust.pem` in `folder`.
    func write(_ configuration: TLSConfiguration, in folder: String = ".") throws {
        for (source, name) in [
            (configuration.certificateChain, "chain.pem"), (configuration.privateKey, "key.pem"),
            (configuration.trust, "trust.pem"),
        ] {
            if case .pem(let text) = source { try self.write(text, to: "\(folder)/\(name)") }
        }
    }

    /// `configuration` with the files of `folder` as its sources.
    func configuration(like configuration: TLSConfiguration, in folder: String = ".") -> TLSConfiguration {
        var copy = configuration
        copy.certificateChain = .file(self.path(of: "\(folder)/chain.pem"))
        copy.privateKey = .file(self.path(of: "\(folder)/key.pem"))
        copy.trust = .file(self.path(of: "\(folder)/trust.pem"))
        return copy
    }
}
