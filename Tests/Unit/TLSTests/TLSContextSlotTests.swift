import EscapementModel
import Synchronization
import TLS
import Testing
import TestSupport

@Suite struct TLSContextSlotTests {
    let authorities: Authorities
    let directory = TemporaryFolder()

    init() throws {
        self.authorities = try Authorities()
    }

    private func newConfiguration() throws -> TLSConfiguration {
        try self.authorities.configuration(.server, name: "server.test")
    }

    @Test func `unchanged files leave the context`() throws {
        let configuration = try self.newConfiguration()
        self.directory.write(configuration)
        let slot = try TLSContextSlot(self.directory.configuration(like: configuration))
        let before = slot.current
        #expect(slot.reload() == .unchanged)
        self.directory.write(configuration)
        #expect(slot.reload() == .unchanged, "written again, but the same")
        #expect(slot.current === before)
    }

    @Test func `a broken file is reported once and changes nothing`() throws {
        let configuration = try self.newConfiguration()
        self.directory.write(configuration)
        let slot = try TLSContextSlot(self.directory.configuration(like: configuration))
        let before = slot.current
        self.directory.write("half a certif", to: "chain.pem")
        guard case .failed(let error) = slot.reload() else {
            Issue.record("a broken file was taken")
            return
        }
        #expect(error.code == .invalidCertificate)
        #expect(error.subject.hasSuffix("chain.pem"))
        #expect(slot.reload() == .unchanged)
        #expect(slot.current === before)
        self.directory.write(configuration)
        #expect(slot.reload() == .unchanged, "the old files are back")
        self.directory.write("half a certif", to: "chain.pem")
        #expect(slot.reload() == .failed(error), "broken again is news again")
        self.directory.remove("chain.pem")
        guard case .failed(let missing) = slot.reload() else {
            Issue.record("a missing file was overlooked")
            return
        }
        #expect(missing.code == .unreadable)
        #expect(slot.reload() == .unchanged)
    }

    @Test func `a certificate that is over by then is not put in place`() throws {
        let configuration = try self.newConfiguration()
        self.directory.write(configuration)
        let slot = try TLSContextSlot(self.directory.configuration(like: configuration))
        self.directory.write(try self.newConfiguration())
        guard case .failed(let error) = slot.reload(now: .distantFuture) else {
            Issue.record("an expired certificate was taken")
            return
        }
        #expect(error.code == .expired)
    }

    @Test func `the watch follows a swapped symbolic link and ends with its task`() async throws {
        let configuration = try self.newConfiguration()
        try self.directory.makeFolder("one")
        try self.directory.makeFolder("two")
        self.directory.write(configuration, in: "one")
        self.directory.write(try self.newConfiguration(), in: "two")
        try self.directory.link("data", to: "one")
        let slot = try TLSContextSlot(self.directory.configuration(like: configuration, in: "data"))
        let clocks = SteppedClocks()
        let (outcomes, reporter) = AsyncStream.makeStream(of: TLSContextSlot.Outcome.self)
        let watch = Task {
            await slot.watch(every: .seconds(60), clocks: clocks) { reporter.yield($0) }
            reporter.finish()
        }
        await clocks.untilAsleep()
        await clocks.step()
        try self.directory.link("data", to: "two")
        await clocks.step()
        var iterator = outcomes.makeAsyncIterator()
        guard case .reloaded(let certificate) = await iterator.next() else {
            Issue.record("the swap was not seen")
            return
        }
        #expect(certificate == slot.current.certificate)
        self.directory.write("broken", to: "two/trust.pem")
        await clocks.step()
        guard case .failed(let error) = await iterator.next() else {
            Issue.record("the broken file was not reported")
            return
        }
        #expect(error.code == .invalidTrust)
        await clocks.step()
        watch.cancel()
        #expect(await iterator.next() == nil, "files that stay as they are are reported once")
        #expect(clocks.requested.withLock { $0 }.allSatisfy { $0 == .seconds(60) })
    }
}

/// Clocks for one sleeper, which is woken by hand.
private final class SteppedClocks: Clocks {
    let requested = Mutex<[Duration]>([])
    private let steps = AsyncStream.makeStream(of: Void.self)
    private let sleeps = AsyncStream.makeStream(of: Void.self)

    /// Waits until somebody sleeps.
    func untilAsleep() async { for await _ in self.sleeps.stream { return } }

    /// Wakes the sleeper and returns when it sleeps again: what it does between is done.
    func step() async {
        self.steps.continuation.yield()
        await self.untilAsleep()
    }

    func wallNow() -> WallInstant { Authorities.start }
    func monotonicNow() -> MonotonicInstant { MonotonicInstant(nanoseconds: 0) }

    func sleep(for duration: Duration) async throws {
        self.requested.withLock { $0.append(duration) }
        self.sleeps.continuation.yield()
        for await _ in self.steps.stream { return }
        throw CancellationError()
    }
}
