import Foundation
import TLS
import TestSupport

extension TemporaryFolder {
    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: self.path(of: name), withIntermediateDirectories: false)
    }

    /// Makes `name` a symbolic link to `target`, replacing an older one in one step, as the kubelet does.
    func link(_ name: String, to target: String) throws {
        let fresh = self.path(of: name + ".fresh")
        try FileManager.default.createSymbolicLink(atPath: fresh, withDestinationPath: target)
        guard rename(fresh, self.path(of: name)) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }

    /// Writes the PEM texts of `configuration` to `chain.pem`, `key.pem` and `trust.pem` in `folder`.
    func write(_ configuration: TLSConfiguration, in folder: String = ".") {
        for (source, name) in [
            (configuration.certificateChain, "chain.pem"), (configuration.privateKey, "key.pem"),
            (configuration.trust, "trust.pem"),
        ] {
            if case .pem(let text) = source { self.write(text, to: "\(folder)/\(name)") }
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
