#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension PeerCertificate {
    /// Whether the certificate is bound to hosts at all. One that says only who its holder is (a URI) is good
    /// wherever that holder runs, as pods do whose addresses nobody knows beforehand.
    package var namesHosts: Bool { !self.dnsNames.isEmpty || !self.ipAddresses.isEmpty }

    /// Whether the certificate shows `host`, a DNS name or an IP address (RFC 6125): names regardless of case, a
    /// wildcard only as the whole leftmost label, an address only by its own kind of entry.
    package func shows(host: String) -> Bool {
        if let address = Self.addressBytes(host) { return self.ipAddresses.contains(address) }
        let labels = Self.labels(host)
        return self.dnsNames.contains { name in
            let pattern = Self.labels(name)
            guard pattern.count == labels.count, !labels.contains("") else { return false }
            if pattern == labels { return true }
            return pattern.count >= 3 && pattern[0] == "*" && pattern.dropFirst() == labels.dropFirst()
        }
    }

    private static func labels(_ name: String) -> [String] {
        let text = name.lowercased()
        return (text.hasSuffix(".") ? text.dropLast() : text[...])
            .split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    /// 4 or 16 bytes; `nil` for what is no address.
    private static func addressBytes(_ text: String) -> [UInt8]? {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 { return withUnsafeBytes(of: v4) { Array($0) } }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, text, &v6) == 1 { return withUnsafeBytes(of: v6) { Array($0) } }
        return nil
    }
}
