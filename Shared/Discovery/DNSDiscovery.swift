package import EscapementModel
package import Logging
import Observability
import Synchronization

/// A name with an address for each coordinator, such as a headless Service or a name of compose:
/// `ESCAPEMENT_DISCOVERY=dns`.
///
/// Asked when somebody looks for the leader, not otherwise: nothing depends on it in between. An answer is good
/// for a second; a failed or slow one leaves what was known.
package final class DNSDiscovery: Discovery {
    /// How long an answer is used again: a search asks once a round, and rounds follow each other quickly.
    package static let answerGoodFor = Duration.seconds(1)

    private struct State {
        var known: [PeerAddress] = []
        var askedAt: MonotonicInstant?
        var isAsking = false
        /// The last failure that was logged, so that it is logged once.
        var loggedFailure = ""
    }

    private let name: PeerAddress
    private let resolver: any HostResolver
    private let clocks: any Clocks
    private let logger: Logger
    private let state = Mutex(State())
    private let questions: AsyncStream<AsyncStream<Void>.Continuation>
    private let ask: AsyncStream<AsyncStream<Void>.Continuation>.Continuation

    /// - Parameter name: the name, and the port that every address gets.
    package init(name: PeerAddress, resolver: any HostResolver, clocks: any Clocks, logger: Logger) {
        self.name = name
        self.resolver = resolver
        self.clocks = clocks
        self.logger = logger
        // One question at a time: `isAsking` sees to it.
        (self.questions, self.ask) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func addresses() async -> [PeerAddress] {
        let now = self.clocks.monotonicNow()
        let asks = self.state.withLock { state in
            let isFresh = state.askedAt.map { now.duration(since: $0) < Self.answerGoodFor } ?? false
            guard !state.isAsking, !isFresh else { return false }
            state.isAsking = true
            return true
        }
        if asks {
            let (answered, answer) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            self.ask.yield(answer)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in answered {} }
                group.addTask { do { try await self.clocks.sleep(for: DiscoveryLimits.askMax) } catch {} }
                await group.next()
                group.cancelAll()
            }
        }
        return self.state.withLock { $0.known }
    }

    package func run() async {
        for await answer in self.questions {
            let result: Result<[PeerAddress], ResolutionError>
            do throws(ResolutionError) {
                result = .success(try await self.resolver.resolve(self.name.host, port: self.name.port))
            } catch {
                result = .failure(error)
            }
            self.note(result)
            answer.finish()
        }
    }

    private func note(_ result: Result<[PeerAddress], ResolutionError>) {
        let now = self.clocks.monotonicNow()
        let failure: String? = self.state.withLock { state in
            state.isAsking = false
            state.askedAt = now
            switch result {
            case .success(let found) where !found.isEmpty:
                state.known = found.orderly
                state.loggedFailure = ""
                return nil
            case .success: return Self.news("'\(self.name.host)' has no address", &state)
            case .failure(let error): return Self.news(error.description, &state)
            }
        }
        if let failure {
            self.logger.warning(
                "coordinators not resolved", event: "discovery_failed", [LogKey.reason: .string(failure)])
        }
    }

    private static func news(_ failure: String, _ state: inout State) -> String? {
        defer { state.loggedFailure = failure }
        return state.loggedFailure == failure ? nil : failure
    }
}
