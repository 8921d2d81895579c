/// What an outcome keeps of the payload that was sent.
package enum PayloadRecording: String, CaseIterable, Sendable {
    /// Size and SHA-256.
    case digest
    /// The text too, when it is text and not larger than `bytesMax`.
    case full
    case none

    /// Bytes of a payload that is kept as it is: a record of the journal has room for many, and so has a request to
    /// the activation store.
    package static let bytesMax = 65_536

    /// The payload itself, where it is kept.
    func text(of payload: UnsafeRawBufferPointer) -> String? {
        guard self == .full, payload.count <= Self.bytesMax else { return nil }
        return String(validating: payload, as: UTF8.self)
    }
}
