#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells public addresses from those of private, local and special networks (RFC 6890).
package enum AddressGuard {
    /// Prefixes that are not public, and their lengths in bits.
    private static let privateV4: [(prefix: UInt32, length: UInt32)] = [
        (0x0000_0000, 8), (0x0a00_0000, 8), (0x6440_0000, 10), (0x7f00_0000, 8), (0xa9fe_0000, 16),
        (0xac10_0000, 12), (0xc000_0000, 24), (0xc000_0200, 24), (0xc058_6300, 24), (0xc0a8_0000, 16),
        (0xc612_0000, 15), (0xc633_6400, 24), (0xcb00_7100, 24), (0xe000_0000, 4), (0xf000_0000, 4),
    ]

    /// Whether connections to the address may leave for the internet.
    static func isPublic(_ address: UnsafePointer<sockaddr>) -> Bool {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                self.isPublic(v4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { self.isPublic(v6: Array($0)) }
            }
        default:
            return false
        }
    }

    /// - Parameter text: such as `10.0.0.1` or `::1`; anything else is not public.
    package static func isPublic(text: String) -> Bool {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 { return self.isPublic(v4: UInt32(bigEndian: v4.s_addr)) }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return false }
        return withUnsafeBytes(of: v6) { self.isPublic(v6: Array($0)) }
    }

    private static func isPublic(v4 address: UInt32) -> Bool {
        !self.privateV4.contains { address >> (32 - $0.length) == $0.prefix >> (32 - $0.length) }
    }

    private static func isPublic(v6 bytes: [UInt8]) -> Bool {
        func v4(at start: Int) -> UInt32 { bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        // IPv4 in other clothes is judged as what it is: mapped, translated (NAT64) and 6to4.
        if bytes[..<12].elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
            return self.isPublic(v4: v4(at: 12))
        }
        if bytes[..<12].elementsEqual([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) {
            return self.isPublic(v4: v4(at: 12))
        }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return self.isPublic(v4: v4(at: 2)) }
        // Of the rest only global unicast, 2000::/3, without documentation and Teredo.
        guard bytes[0] >> 5 == 1 else { return false }
        let isDocumentation = bytes[..<4].elementsEqual([0x20, 0x01, 0x0d, 0xb8])
        let isTeredo = bytes[..<4].elementsEqual([0x20, 0x01, 0, 0])
        return !isDocumentation && !isTeredo
    }
}
