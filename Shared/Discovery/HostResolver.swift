#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
package import EscapementModel

/// Asks for the addresses of a host name.
package protocol HostResolver: Sendable {
    /// All addresses, IPv4 and IPv6, in any order.
    ///
    /// - Throws: `ResolutionError`. May take as long as the system's resolver does, tens of seconds.
    func resolve(_ host: String, port: Int) async throws(ResolutionError) -> [PeerAddress]
}

/// A name could not be resolved now. A retry may help.
package struct ResolutionError: Error, Equatable, Sendable, CustomStringConvertible {
    package var host: String
    package var detail: String

    package init(host: String, detail: String) {
        self.host = host
        self.detail = detail
    }

    package var description: String { "'\(self.host)' cannot be resolved: \(self.detail)" }
}

/// The system's resolver, with everything it knows: files, DNS and its caches. Blocks a thread of its own, not
/// one of the cooperative pool.
package struct SystemResolver: HostResolver {
    package init() {}

    package func resolve(_ host: String, port: Int) async throws(ResolutionError) -> [PeerAddress] {
        let result: Result<[PeerAddress], ResolutionError> = await withCheckedContinuation { continuation in
            let job = Job(host: host, port: port, continuation: continuation)
            if !job.start() {
                continuation.resume(
                    returning: .failure(ResolutionError(host: host, detail: "the system gives no thread")))
            }
        }
        return try result.get()
    }

    private final class Job: Sendable {
        private let host: String
        private let port: Int
        private let continuation: CheckedContinuation<Result<[PeerAddress], ResolutionError>, Never>

        init(
            host: String, port: Int, continuation: CheckedContinuation<Result<[PeerAddress], ResolutionError>, Never>
        ) {
            self.host = host
            self.port = port
            self.continuation = continuation
        }

        /// `false` when there is no thread; then nothing was resumed.
        func start() -> Bool {
            let box = Unmanaged.passRetained(self)
            #if canImport(Glibc)
            var thread = pthread_t()
            #else
            var thread: pthread_t?
            #endif
            let code = pthread_create(
                &thread, nil,
                { argument in
                    #if canImport(Glibc)
                    guard let argument else { return nil }
                    #endif
                    let job = Unmanaged<Job>.fromOpaque(argument).takeRetainedValue()
                    job.continuation.resume(returning: job.ask())
                    return nil
                }, box.toOpaque())
            guard code == 0 else {
                box.release()
                return false
            }
            #if canImport(Glibc)
            pthread_detach(thread)
            #else
            if let thread { pthread_detach(thread) }
            #endif
            return true
        }

        private func ask() -> Result<[PeerAddress], ResolutionError> {
            var hints = addrinfo()
            #if canImport(Glibc)
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            #else
            hints.ai_socktype = SOCK_STREAM
            #endif
            var list: UnsafeMutablePointer<addrinfo>?
            let code = getaddrinfo(self.host, nil, &hints, &list)
            guard code == 0 else {
                return .failure(ResolutionError(host: self.host, detail: String(cString: gai_strerror(code))))
            }
            defer { freeaddrinfo(list) }
            var addresses: [PeerAddress] = []
            var next = list
            while let entry = next {
                next = entry.pointee.ai_next
                var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
                let result = getnameinfo(
                    entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0,
                    NI_NUMERICHOST)
                guard result == 0 else { continue }
                let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                addresses.append(PeerAddress(host: host, port: self.port))
            }
            return .success(addresses)
        }
    }
}
