package import EscapementModel
package import Logging
import Observability
import ServiceLifecycle
package import TLS

/// Takes new certificates into use as their files change, without a restart.
package struct CertificateWatch: Service {
    private let slots: [TLSContextSlot]
    private let clocks: any Clocks & Sendable
    private let logger: Logger

    package init(slots: [TLSContextSlot], clocks: any Clocks, logger: Logger) {
        self.slots = slots
        self.clocks = clocks
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                for slot in self.slots { group.addTask { await self.watch(slot, self.clocks) } }
            }
        }
    }

    private func watch(_ slot: TLSContextSlot, _ clocks: some Clocks) async {
        await slot.watch(clocks: clocks) { outcome in
            switch outcome {
            case .unchanged: break
            case .reloaded: self.logger.info("certificate reloaded", event: "certificate_reloaded")
            case .failed(let error):
                self.logger.error(
                    "new certificate refused, the old one stays", event: "certificate_refused",
                    [LogKey.error: .text(error)])
            }
        }
    }
}
