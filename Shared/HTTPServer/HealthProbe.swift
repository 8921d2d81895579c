#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import ServiceConfiguration

/// `escapement-ticker health`: the binary asks the admin port of the service beside it, so that an image needs
/// neither a shell nor curl for its health check.
///
/// Reads nothing but `ESCAPEMENT_HTTP_ADMIN_LISTEN`: a health check must not depend on secrets that can be
/// read. Blocks; for a process of its own.
package enum HealthProbe {
    /// Connecting, sending and receiving may take this long, each.
    static let timeoutSeconds = 2
    /// Bytes of an answer that are read; one line per check.
    static let answerBytesMax = 65_536

    private static let usage = """
        usage: health [--live | --ready | --startup] [--verbose]

        Asks the service on this machine whether it is alive, ready (the default) or started; the port is that of
        ESCAPEMENT_HTTP_ADMIN_LISTEN. Exits with 0 when it is, with 1 when it is not or does not answer.

        """

    /// Runs the subcommand.
    ///
    /// - Parameters:
    ///   - arguments: those after `health`.
    ///   - output: where text goes.
    /// - Returns: the exit code.
    package static func main(
        _ arguments: [String], environment: (String) -> String? = { getenv($0).map { String(cString: $0) } },
        output: (String) -> Void = { print($0, terminator: "") }
    ) -> Int32 {
        var path = "/readyz"
        var isVerbose = false
        for argument in arguments {
            switch argument {
            case "--ready": path = "/readyz"
            case "--live": path = "/livez"
            case "--startup": path = "/startupz"
            case "--verbose", "-v": isVerbose = true
            case "--help", "-h":
                output(self.usage)
                return ServiceMain.ExitCode.done
            default:
                output("health: unknown argument '\(argument)'\n\n\(self.usage)")
                return 2
            }
        }
        let name = "ESCAPEMENT_HTTP_ADMIN_LISTEN"
        var address = ListenAddress(host: "127.0.0.1", port: 9090)
        if let text = environment(name), !text.isEmpty {
            guard let given = ListenAddress(text: text), given.port > 0 else {
                output("\(name) is '\(text)', which names no port to ask\n")
                return ServiceMain.ExitCode.configuration
            }
            address = given
            // What listens on all addresses is reached at the loopback one.
            if address.host == "0.0.0.0" { address.host = "127.0.0.1" }
            if address.host == "::" { address.host = "::1" }
        }
        guard let answer = self.get(path + (isVerbose ? "?verbose" : ""), at: address) else {
            output("\(address) does not answer\n")
            return ServiceMain.ExitCode.failed
        }
        if isVerbose || !answer.isOK { output(answer.body) }
        return answer.isOK ? ServiceMain.ExitCode.done : ServiceMain.ExitCode.failed
    }

    /// One request over a connection that the server closes; `nil` when there is no sound answer in time.
    private static func get(_ target: String, at address: ListenAddress) -> (isOK: Bool, body: String)? {
        guard let connection = self.connect(to: address) else { return nil }
        defer { close(connection) }
        let request = Array("GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return nil }
        var answer: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 4096)
        while answer.count < self.answerBytesMax {
            let count = recv(connection, &block, block.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            answer += block[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 "), let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        return (text.dropFirst(9).hasPrefix("200"), String(text[end.upperBound...]))
    }

    private static func connect(to address: ListenAddress) -> Int32? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.host, "\(address.port)", &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var next = list
        while let candidate = next {
            let info = candidate.pointee
            let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
            if descriptor >= 0 {
                // On Linux the time to send bounds the time to connect as well.
                var limit = timeval(tv_sec: self.timeoutSeconds, tv_usec: 0)
                let size = socklen_t(MemoryLayout<timeval>.size)
                setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
                if Glibc.connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 { return descriptor }
                close(descriptor)
            }
            next = info.ai_next
        }
        return nil
    }
}
