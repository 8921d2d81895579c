import DispatcherService
import EscapementModel

/// Hosts of HTTP targets. One takes requests and never answers, until all is mended; the others are slow, refuse for a
/// while, or take a request whose answer nobody hears.
final class SimulatedHosts: @unchecked Sendable {
    static let count = 4
    /// How long a client waits for an answer.
    static let timeout = Duration.seconds(10)

    private let simulator: Simulator
    /// Called with the id of each fire that a host has taken.
    private let delivered: (String) -> Void
    private var random: SplitMix64
    private var isMended = false

    init(simulator: Simulator, seed: UInt64, delivered: @escaping (String) -> Void) {
        self.simulator = simulator
        self.delivered = delivered
        self.random = SplitMix64(seed: seed)
    }

    func heal() { self.isMended = true }

    func sender(on host: Host) -> any WebSender { Sender(hosts: self, host: host) }

    private struct Sender: WebSender {
        let hosts: SimulatedHosts
        let host: Host

        func send(_ request: WebRequest) async -> WebAnswer { await self.hosts.answer(request, to: self.host) }
    }

    private func answer(_ request: WebRequest, to host: Host) async -> WebAnswer {
        await self.simulator.pause(.milliseconds(Int.random(in: 1...40, using: &self.random)))
        let lot = self.isMended ? 100 : Int.random(in: 0..<100, using: &self.random)
        if !self.isMended, request.url.hasPrefix("https://host-0/") {
            await host.pause(Self.timeout)
            return .unavailable("no answer")
        }
        if lot < 10 {
            await host.pause(.milliseconds(5))
            return .status(503, retryAfter: nil)
        }
        let id = request.headers.first { $0.name == "ce-id" }?.value ?? ""
        self.delivered(id)
        if lot < 15 {
            await host.pause(Self.timeout)
            return .unavailable("the answer is lost")
        }
        await host.pause(.milliseconds(Int.random(in: 1...2000, using: &self.random)))
        return .status(200, retryAfter: nil)
    }
}
