import Glibc

/// A server that takes POST requests and answers each with two bytes of JSON: as little work as a server can do, so that a
/// client's own cost shows. It is a process of its own: this program with the argument `sink`.
struct SinkServer {
    let port: UInt16
    private let pid: pid_t

    /// Bytes read at a time.
    private static let readBytes = 262_144
    private static let answer = Array(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".utf8)

    /// Starts it and reads its port from its output.
    init() throws(BenchError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw BenchError("no pipe can be made") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        var words: [UnsafeMutablePointer<CChar>?] = [strdup("escapement-bench"), strdup("sink"), nil]
        defer { for word in words { free(word) } }
        var pid = pid_t()
        guard posix_spawn(&pid, "/proc/self/exe", &actions, nil, &words, environ) == 0 else {
            throw BenchError("the sink cannot be started")
        }
        close(ends[1])
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = read(ends[0], &bytes, bytes.count)
        close(ends[0])
        guard let port = UInt16(String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self)) else {
            throw BenchError("the sink does not say its port")
        }
        self.port = port
        self.pid = pid
    }

    func stop() {
        kill(self.pid, SIGKILL)
        var status: Int32 = 0
        waitpid(self.pid, &status, 0)
    }

    /// What the process does: listens, says its port, answers until it is killed.
    static func serve() throws(BenchError) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, raw, &length) == 0
            }
        }
        guard listener >= 0, isBound else { throw BenchError("no port on the loopback interface") }
        let line = Array("\(UInt16(bigEndian: address.sin_port))\n".utf8)
        _ = write(STDOUT_FILENO, line, line.count)
        var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
        // Bytes of the body that are to come yet, by connection; `nil` while the header is awaited.
        var rest: [Int32: Int?] = [:]
        var buffer = [UInt8](repeating: 0, count: self.readBytes)
        while true {
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
            for entry in polled where entry.revents != 0 {
                if entry.fd == listener {
                    let accepted = accept(listener, nil, nil)
                    var one: Int32 = 1
                    setsockopt(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
                    polled.append(pollfd(fd: accepted, events: Int16(POLLIN), revents: 0))
                    rest[accepted] = .some(nil)
                    continue
                }
                let count = read(entry.fd, &buffer, buffer.count)
                if count <= 0 {
                    close(entry.fd)
                    rest[entry.fd] = nil
                    continue
                }
                let left: Int
                if let waiting = rest[entry.fd] ?? nil {
                    left = waiting - count
                } else {
                    left = self.bodyLeft(buffer[..<count])
                }
                rest[entry.fd] = .some(left > 0 ? left : nil)
                if left <= 0 { _ = write(entry.fd, self.answer, self.answer.count) }
            }
            polled.removeAll { $0.fd != listener && rest[$0.fd] == nil }
        }
    }

    /// What of the body follows the bytes that hold the header; a client sends a header in one piece.
    private static func bodyLeft(_ bytes: ArraySlice<UInt8>) -> Int {
        var value = 0
        var lineStart = bytes.startIndex
        for index in bytes.indices where bytes[index] == 10 {
            let line = bytes[lineStart..<index]
            lineStart = index + 1
            if line.count <= 1 { return value - (bytes.endIndex - lineStart) }
            let text = String(decoding: line, as: UTF8.self).lowercased()
            if text.hasPrefix("content-length:") {
                value = Int(text.dropFirst(15).filter { $0.isNumber }) ?? 0
            }
        }
        return 0
    }
}
