package import EscapementModel
import Synchronization

/// The current context of a listener or connector; connections take it as they begin.
///
/// A reload builds and checks a new context before it takes the place of the old one, so a broken file never
/// harms what runs; old connections go on with the certificate they began with.
package final class TLSContextSlot: Sendable {
    /// Files are compared this often, unless the caller says otherwise.
    package static let watchInterval = Duration.seconds(60)

    /// What one look at the files brought.
    package enum Outcome: Equatable, Sendable {
        case unchanged
        /// The new context is in use; its certificate.
        case reloaded(PeerCertificate?)
        /// The old context stays in use. Reported once for each state of the files.
        case failed(TLSError)
    }

    private struct Content {
        var context: TLSContext
        var fingerprint: [UInt8]
        /// The last refusal, so that the same files are not refused, and logged, again and again.
        var refused: (fingerprint: [UInt8]?, error: TLSError)?
    }

    package let configuration: TLSConfiguration
    private let content: Mutex<Content>

    /// Reads and checks the files for the first time.
    ///
    /// - Parameter now: refuses a certificate that is over by then; `nil` for no such check.
    /// - Throws: `TLSError`.
    package init(_ configuration: TLSConfiguration, now: WallInstant? = nil) throws(TLSError) {
        let material = try TLSMaterial(reading: configuration)
        let context = try TLSContext(configuration, material: material, now: now)
        self.configuration = configuration
        self.content = Mutex(Content(context: context, fingerprint: material.fingerprint))
    }

    /// The context for a new connection.
    package var current: TLSContext { self.content.withLock { $0.context } }

    /// Reads the files again and, if they changed and are sound, puts the new context in place.
    ///
    /// Every content is compared, so it does not matter whether a file was written over, replaced or is reached
    /// through a symbolic link that now leads elsewhere. Blocking, for small local files.
    package func reload(now: WallInstant? = nil) -> Outcome {
        let material: TLSMaterial
        do {
            material = try TLSMaterial(reading: self.configuration)
        } catch {
            return self.refuse(nil, error)
        }
        let fingerprint = material.fingerprint
        let isKnown = self.content.withLock { content in
            if content.fingerprint == fingerprint { content.refused = nil }
            return content.fingerprint == fingerprint || content.refused?.fingerprint == fingerprint
        }
        if isKnown { return .unchanged }
        do {
            let context = try TLSContext(self.configuration, material: material, now: now)
            self.content.withLock { $0 = Content(context: context, fingerprint: fingerprint) }
            return .reloaded(context.certificate)
        } catch {
            return self.refuse(fingerprint, error)
        }
    }

    private func refuse(_ fingerprint: [UInt8]?, _ error: TLSError) -> Outcome {
        self.content.withLock { content in
            if let refused = content.refused, refused.fingerprint == fingerprint, refused.error == error {
                return .unchanged
            }
            content.refused = (fingerprint, error)
            return .failed(error)
        }
    }

    /// Calls `reload` every `interval` until the task is cancelled, and reports what is not `unchanged`.
    package func watch(
        every interval: Duration = TLSContextSlot.watchInterval, clocks: some Clocks,
        report: @Sendable (Outcome) -> Void
    ) async {
        while !Task.isCancelled {
            do {
                try await clocks.sleep(for: interval)
            } catch {
                return  // Cancelled: the only reason to stop.
            }
            let outcome = self.reload(now: clocks.wallNow())
            if outcome != .unchanged { report(outcome) }
        }
    }
}
