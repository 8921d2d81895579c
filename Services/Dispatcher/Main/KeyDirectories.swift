import DispatcherService
import EscapementModel
import Logging
import Observability
import ServiceConfiguration

/// Keys in files, one for each namespace or secret, as a mounted Secret lays them out. Read at each use, so that a
/// rotated key counts at once.
struct KeyDirectories: NamespaceKeys {
    private let whisk: String?
    private let secrets: String?
    private let logger: Logger

    init(whisk: String?, secrets: String?, logger: Logger) {
        self.whisk = whisk
        self.secrets = secrets
        self.logger = logger
    }

    func whiskKey(of namespace: String) -> WhiskKey? {
        self.read(namespace, in: self.whisk).flatMap { text in
            let key = WhiskKey(text: text)
            if key == nil {
                self.logger.warning(
                    "the key of a namespace is not uuid:key", event: "key_unreadable",
                    [LogKey.namespace: .string(namespace)])
            }
            return key
        }
    }

    func signingKey(_ name: String) -> [UInt8]? { self.read(name, in: self.secrets).map { Array($0.utf8) } }

    private func read(_ name: String, in directory: String?) -> String? {
        // The name comes from a tenant: it must not lead out of the directory.
        guard let directory, NameGrammar.fault(in: name) == nil else { return nil }
        do throws(SecretError) {
            return try Secret(file: "\(directory)/\(name)").read()
        } catch {
            self.logger.debug(
                "a key cannot be read", event: "key_unreadable", [LogKey.reason: .string("\(error)")])
            return nil
        }
    }
}
