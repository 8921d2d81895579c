import DispatcherDomain
import EscapementModel
import NIOCore

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

    func note(_ payload: ByteBuffer, in outcome: inout OutcomeRecord, _ sha256: SHA256Function) {
        if self == .none { return }
        outcome.payload = OutcomeRecord.PayloadDigest(
            byteCount: payload.readableBytes, sha256: payload.withUnsafeReadableBytes(sha256.digest))
        guard self == .full, payload.readableBytes <= Self.bytesMax else { return }
        outcome.payload?.text = String(validating: payload.readableBytesView, as: UTF8.self)
    }
}
