import EscapementModel

/// Instants beside now, for people: `in 12s`, `3m ago`.
enum RelativeTime {
    static func text(_ instant: String, now: WallInstant) -> String {
        guard let parsed = WallInstant(text: instant) else { return instant }
        let difference = parsed.duration(since: now)
        let size = Self.short(difference < .zero ? .zero - difference : difference)
        return difference < .zero ? "\(size) ago" : "in \(size)"
    }

    /// The two largest units of a duration.
    private static func short(_ duration: Duration) -> String {
        let seconds = duration.wholeMilliseconds / 1000
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h\(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d\(seconds / 3600 % 24)h"
        }
    }

    /// `2026-11-24T08:00:00Z`, or a duration before now such as `24h`.
    static func instant(_ text: String, now: WallInstant, flag: String) throws -> WallInstant {
        if let instant = WallInstant(text: text) { return instant }
        if let duration = DurationText.parse(text) { return now.advanced(by: .zero - duration) }
        throw ClientFailure(
            ExitStatus.usage,
            "escapement: \(flag) '\(text)' is neither an instant such as 2026-11-24T08:00:00Z nor a duration such as 24h"
        )
    }
}
