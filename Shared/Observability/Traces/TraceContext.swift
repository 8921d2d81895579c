/// The trace that something belongs to, and the span in it: W3C Trace Context, version 00.
package struct TraceContext: Hashable, Sendable {
    /// Around the handling of one request.
    @TaskLocal package static var current: TraceContext?

    /// 32 lower-case hexadecimal digits, not all zero.
    package let traceID: String
    /// 16 lower-case hexadecimal digits, not all zero.
    package let spanID: String
    package let isSampled: Bool

    /// - Precondition: both ids are as described.
    package init(traceID: String, spanID: String, isSampled: Bool) {
        precondition(Self.isID(traceID, digits: 32) && Self.isID(spanID, digits: 16), "no ids of a trace")
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
    }

    /// Reads a `traceparent` header; `nil` for one that is malformed, as the recommendation asks.
    package init?(header: some StringProtocol) {
        let parts = header.split(separator: "-", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count >= 4, parts[0].utf8.count == 2, parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            Self.isID(parts[1], digits: 32), Self.isID(parts[2], digits: 16), parts[3].utf8.count == 2,
            let flags = UInt8(parts[3], radix: 16)
        else { return nil }
        self.init(traceID: parts[1], spanID: parts[2], isSampled: flags & 1 == 1)
    }

    /// `00-<trace>-<span>-01`.
    package var header: String { "00-\(self.traceID)-\(self.spanID)-\(self.isSampled ? "01" : "00")" }

    private static func isID(_ text: String, digits: Int) -> Bool {
        text.utf8.count == digits
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
            && text.utf8.contains { $0 != UInt8(ascii: "0") }
    }
}
