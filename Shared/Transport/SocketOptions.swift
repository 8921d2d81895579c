import NIOCore

#if os(Linux)
import Glibc
#endif

/// What every connection between processes is set to, at both ends.
enum SocketOptions {
    /// Options and values for a bootstrap: no delay for small frames, and a dead host is noticed within a minute
    /// even when nothing is sent.
    static var connection: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] {
        var options: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = [
            (.init(level: .tcp, name: .tcp_nodelay), 1),
            (.init(level: .socket, name: .so_keepalive), 1),
        ]
        #if os(Linux)
        options.append((.init(level: .tcp, name: .init(rawValue: TCP_KEEPIDLE)), 30))
        options.append((.init(level: .tcp, name: .init(rawValue: TCP_KEEPINTVL)), 10))
        options.append((.init(level: .tcp, name: .init(rawValue: TCP_KEEPCNT)), 3))
        #endif
        return options
    }
}
