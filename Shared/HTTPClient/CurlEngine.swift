import CCurl
import EscapementModel
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// The thread that owns a libcurl multi handle, and the inbox through which everyone else talks to it.
///
/// The thread sleeps in `curl_multi_poll`; whoever puts the first command into an empty inbox wakes it. All
/// other libcurl calls are made by the thread, so no handle is ever shared.
///
/// `@unchecked Sendable`: `multi` is used by other threads for `curl_multi_wakeup` only, which libcurl
/// documents as safe; the mutable state below `Thread's own` belongs to the thread.
final class CurlEngine: @unchecked Sendable {
    /// Longest sleep while transfers are under way; libcurl's own timers shorten it.
    private static let busyPollMilliseconds: Int32 = 1000
    /// Longest sleep without any transfer; a wake-up ends it.
    private static let idlePollMilliseconds: Int32 = 60_000
    /// Easy handles kept for the next transfers.
    private static let spareHandleCountMax = 64

    private enum Command {
        case start(CurlTransfer)
        case cancel(CurlTransfer)
        case resume(CurlTransfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        /// Requests handed over and not yet finished.
        var requestCount = 0
        var isStopping = false
        var hasStopped = false
        var stopWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: HTTPClientConfiguration
    private let multi: UnsafeMutableRawPointer
    private let inbox = Mutex(Inbox())

    // Thread's own.
    private var active: [UnsafeMutableRawPointer: CurlTransfer] = [:]
    private var spareHandles: [UnsafeMutableRawPointer] = []

    /// Once in a process, before any other call of libcurl.
    private static let wasInitialised: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    init(_ configuration: HTTPClientConfiguration) {
        precondition(Self.wasInitialised, "libcurl did not start")
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle") }
        self.configuration = configuration
        self.multi = multi
        _ = ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.connectionsPerHostMax)
        _ = ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, configuration.connectionsPerHostMax * 4)
    }

    /// Freed when neither the thread nor a caller can use it any more.
    deinit { curl_multi_cleanup(self.multi) }

    // MARK: Doors, from any thread

    /// Starts the thread, which keeps the engine alive until `stop`.
    func startThread() {
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { user in
                guard let user else { preconditionFailure("the engine thread got no engine") }
                Unmanaged<CurlEngine>.fromOpaque(user).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(code == 0, "cannot start a thread: \(code)")
        pthread_detach(thread)
    }

    /// Hands a transfer over. Its caller is resumed once, also when it is refused.
    func start(_ transfer: CurlTransfer) {
        enum Verdict { case accepted(wakes: Bool), full, stopped }
        let verdict = self.inbox.withLock { inbox -> Verdict in
            if inbox.isStopping { return .stopped }
            if inbox.requestCount >= self.configuration.requestCountMax { return .full }
            inbox.requestCount += 1
            inbox.commands.append(.start(transfer))
            return .accepted(wakes: inbox.commands.count == 1)
        }
        switch verdict {
        case .accepted(let wakes): if wakes { curl_multi_wakeup(self.multi) }
        case .stopped: transfer.fail(.cancelled, "the client was shut down")
        case .full:
            transfer.fail(
                .other, "\(self.configuration.requestCountMax) requests are under way already", isRetriable: true)
        }
    }

    /// Ends a transfer early; one that has finished is left alone.
    func cancel(_ transfer: CurlTransfer) {
        transfer.isCancelled.store(true, ordering: .releasing)
        self.order(.cancel(transfer))
    }

    /// Goes on with a transfer that waited for bytes or for room.
    func resume(_ transfer: CurlTransfer) { self.order(.resume(transfer)) }

    private func order(_ command: Command) {
        let wakes = self.inbox.withLock { inbox in
            if inbox.hasStopped { return false }
            inbox.commands.append(command)
            return inbox.commands.count == 1
        }
        if wakes { curl_multi_wakeup(self.multi) }
    }

    /// Ends the thread; whatever is under way fails as cancelled.
    func stop() {
        self.inbox.withLock { $0.isStopping = true }
        curl_multi_wakeup(self.multi)
    }

    /// Returns when the thread has let go of its last transfer.
    func waitUntilStopped() async {
        await withCheckedContinuation { continuation in
            let hasStopped = self.inbox.withLock { inbox in
                if !inbox.hasStopped { inbox.stopWaiters.append(continuation) }
                return inbox.hasStopped
            }
            if hasStopped { continuation.resume() }
        }
    }

    // MARK: The thread

    private func run() {
        self.blockSIGPIPE()
        while true {
            let (commands, isStopping) = self.inbox.withLock { inbox in
                defer { inbox.commands = [] }
                return (inbox.commands, inbox.isStopping)
            }
            for command in commands {
                switch command {
                case .start(let transfer): self.add(transfer)
                case .cancel(let transfer): self.remove(transfer)
                case .resume(let transfer): self.unpause(transfer)
                }
            }
            if isStopping { break }
            var runningCount: Int32 = 0
            let code = curl_multi_perform(self.multi, &runningCount)
            // Out of memory or worse: no transfer would ever end by itself.
            if code != CURLM_OK { self.failAll(.other, String(cString: curl_multi_strerror(code))) }
            self.takeFinished()
            let limit = self.active.isEmpty ? Self.idlePollMilliseconds : Self.busyPollMilliseconds
            curl_multi_poll(self.multi, nil, 0, limit, nil)
        }
        self.end()
    }

    private func blockSIGPIPE() {
        // OpenSSL writes to sockets without MSG_NOSIGNAL; a peer that hung up must not end the process.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    private func add(_ transfer: CurlTransfer) {
        if transfer.isCancelled.load(ordering: .acquiring) {
            self.settle { transfer.fail(.cancelled, "cancelled") }
            return
        }
        guard let handle = self.spareHandles.popLast() ?? curl_easy_init() else {
            preconditionFailure("libcurl has no memory for a handle")
        }
        let code = transfer.prepare(handle, self.configuration)
        guard code == CURLE_OK, curl_multi_add_handle(self.multi, handle) == CURLM_OK else {
            self.recycle(handle)
            let reason = String(cString: curl_easy_strerror(code))
            self.settle { transfer.fail(.other, "libcurl refuses the request: \(reason)") }
            return
        }
        self.active[handle] = transfer
    }

    private func remove(_ transfer: CurlTransfer) {
        guard let handle = self.active.first(where: { $0.value === transfer })?.key else { return }
        self.release(handle)
        self.settle { transfer.fail(.cancelled, "cancelled") }
    }

    private func unpause(_ transfer: CurlTransfer) {
        guard let handle = self.active.first(where: { $0.value === transfer })?.key else { return }
        // A failure shows when the transfer ends.
        curl_easy_pause(handle, CURLPAUSE_CONT)
    }

    private func takeFinished() {
        var remainingCount: Int32 = 0
        while let message = curl_multi_info_read(self.multi, &remainingCount) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle,
                let transfer = self.active[handle]
            else { continue }
            let result = ccurl_message_result(message)
            // The handle still knows what went wrong; libcurl's message is gone once it is removed.
            self.settle { transfer.finish(result, handle: handle) }
            self.release(handle)
        }
    }

    private func release(_ handle: UnsafeMutableRawPointer) {
        self.active[handle] = nil
        curl_multi_remove_handle(self.multi, handle)
        self.recycle(handle)
    }

    /// Connections belong to the multi handle, so a reset handle finds them again.
    private func recycle(_ handle: UnsafeMutableRawPointer) {
        curl_easy_reset(handle)
        if self.spareHandles.count < Self.spareHandleCountMax {
            self.spareHandles.append(handle)
        } else {
            curl_easy_cleanup(handle)
        }
    }

    /// Makes room for one more request before its caller can know, so that a caller may send the next.
    private func settle(_ resume: () -> Void) {
        self.inbox.withLock { $0.requestCount -= 1 }
        resume()
    }

    private func failAll(_ code: HTTPClientError.Code, _ detail: String) {
        for (handle, transfer) in self.active {
            self.release(handle)
            self.settle { transfer.fail(code, detail) }
        }
    }

    private func end() {
        self.failAll(.cancelled, "the client was shut down")
        for handle in self.spareHandles { curl_easy_cleanup(handle) }
        self.spareHandles = []
        // Since `isStopping` nothing starts; what was handed over just before is in the last commands.
        let (waiters, commands) = self.inbox.withLock { inbox in
            inbox.hasStopped = true
            defer { (inbox.stopWaiters, inbox.commands) = ([], []) }
            return (inbox.stopWaiters, inbox.commands)
        }
        for case .start(let transfer) in commands { transfer.fail(.cancelled, "the client was shut down") }
        for waiter in waiters { waiter.resume() }
    }
}
