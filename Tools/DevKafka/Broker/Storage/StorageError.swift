/// A file of the broker could not be used.
package struct StorageError: Error, CustomStringConvertible {
    package var operation: String
    package var path: String
    package var reason: String

    package var description: String { "cannot \(self.operation) \(self.path): \(self.reason)" }
}
