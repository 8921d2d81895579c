import Synchronization

/// The time zones of the machine, read on demand from a directory of zone files, cached, reloadable.
///
/// Thread-safe. A zone is read once; afterwards a look-up is a dictionary access under a lock.
package final class ZoneDatabase: Sendable {
    /// What a reload changed in one zone.
    package struct Change: Hashable, Sendable {
        package var zone: String
        /// The first second since 1970 from which the offsets differ; 0 when they differ before.
        package var fromSecond: Int
        /// The zone's file is gone or damaged; the rules read before stay in use.
        package var isLost: Bool
    }

    /// What a reload found.
    package struct Reload: Hashable, Sendable {
        package var versionBefore: String?
        package var versionAfter: String?
        /// Zones in use whose offsets changed, by name. Their schedules have to be compiled again.
        package var changes: [Change]
    }

    private struct State: Sendable {
        var zones: [String: ZoneRules] = [:]
        var version: String?
        var names: [String]?
    }

    private let source: (any ZoneSource)?
    private let state: Mutex<State>
    /// Zones kept at most; more than the world has, a bound against names nobody uses.
    private static let cachedMax = 2048

    /// A database over `source`; without one only `UTC` is known.
    package init(source: (any ZoneSource)?) {
        self.source = source
        self.state = Mutex(State(version: source?.version()))
    }

    /// The directory given, else the machine's own.
    package convenience init(directory: String? = nil) {
        self.init(source: ZoneDirectory.locate(override: directory))
    }

    /// The release in use (`2026f`), when the data says.
    package var version: String? { self.state.withLock { $0.version } }

    /// The rules of a zone, links followed by the file system. Case matters.
    ///
    /// - Throws: `ZoneError` with the likely spelling when there is no such zone or its file is not usable.
    package func rules(named name: String) throws(ZoneError) -> ZoneRules {
        // Only ASCII may be looked up in the cache: strings also count as equal when they merely look alike.
        if name.utf8.allSatisfy({ $0 < 0x80 }), let known = self.state.withLock({ $0.zones[name] }) { return known }
        let rules = try self.load(name)
        return self.state.withLock { state in
            if let known = state.zones[name] { return known }
            if state.zones.count >= Self.cachedMax { state.zones.removeAll() }
            state.zones[name] = rules
            return rules
        }
    }

    /// All zone names, sorted. Reads the directory tree the first time.
    package func names() -> [String] {
        if let known = self.state.withLock({ $0.names }) { return known }
        let names = self.source?.names() ?? ["UTC"]
        self.state.withLock { $0.names = names }
        return names
    }

    /// Reads every zone in use again and takes over what changed. Call it now and then, or when the
    /// version file changes; then compile the schedules of the changed zones again. Reads one small
    /// file a zone.
    package func reload() -> Reload {
        let before = self.state.withLock { ($0.zones, $0.version) }
        var changes: [Change] = []
        var replaced: [String: ZoneRules] = [:]
        for (name, old) in before.0.sorted(by: { $0.key < $1.key }) {
            do {
                let new = try self.load(name, suggesting: false)
                if let second = new.firstDifference(from: old) {
                    replaced[name] = new
                    changes.append(Change(zone: name, fromSecond: max(0, second), isLost: false))
                }
            } catch {
                changes.append(Change(zone: name, fromSecond: 0, isLost: true))
            }
        }
        let version = self.source?.version()
        let replacements = replaced
        self.state.withLock { state in
            state.zones.merge(replacements) { _, new in new }
            state.version = version
            state.names = nil
        }
        return Reload(versionBefore: before.1, versionAfter: version, changes: changes)
    }

    private func load(_ name: String, suggesting: Bool = true) throws(ZoneError) -> ZoneRules {
        var reason = "it is not an IANA zone name"
        if ZoneName.isAcceptable(name) {
            if let bytes = self.source?.bytes(ofZone: name) {
                do {
                    return try TZifReader.rules(name: name, bytes: bytes)
                } catch {
                    reason = error.reason
                }
            } else if name == "UTC" {
                return .utc
            } else {
                reason = "the time-zone data has no such zone"
            }
        }
        let suggestion = suggesting ? ZoneName.suggestion(for: name, among: self.names()) : nil
        throw ZoneError(zone: name, reason: reason, suggestion: suggestion)
    }
}

/// What may be a zone's name, and which name was meant.
package enum ZoneName {
    private static let lengthMax = 255

    /// Whether `name` may be looked up at all: a relative path of plain components, none of the files
    /// that are aliases of the machine's own zone, none of the leap-second trees.
    package static func isAcceptable(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= self.lengthMax, !["localtime", "posixrules", "Factory"].contains(name),
            !name.hasPrefix("posix/"), !name.hasPrefix("right/"), name.utf8.allSatisfy({ (0x21..<0x7f).contains($0) })
        else { return false }
        return name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
            !$0.isEmpty && $0 != "." && $0 != ".."
        }
    }

    /// The name among `names` that was probably meant: other case, the city alone, or up to two slips.
    package static func suggestion(for name: String, among names: [String]) -> String? {
        let wanted = Array(name.lowercased().map { $0 == " " ? "_" : $0 })
        guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
        var best: (distance: Int, name: String)?
        for candidate in names {
            let lowered = candidate.lowercased()
            if lowered == String(wanted) { return candidate == name ? nil : candidate }
            let city = lowered.split(separator: "/").last.map(Array.init) ?? []
            let distance: Int
            if city == wanted {
                distance = 1
            } else {
                distance = min(
                    self.distance(wanted, Array(lowered), bound: 2),
                    wanted.count >= 5 ? self.distance(wanted, city, bound: 1) + 1 : 3)
            }
            if distance <= 2, distance < best?.distance ?? 3, candidate != name { best = (distance, candidate) }
        }
        return best?.name
    }

    /// Edit distance (insert, delete, replace, swap neighbours), or `bound + 1` when it is more.
    private static func distance(_ left: [Character], _ right: [Character], bound: Int) -> Int {
        if abs(left.count - right.count) > bound { return bound + 1 }
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        var current = last
        for row in 0..<left.count {
            current[0] = row + 1
            for column in 0..<right.count {
                let cost = left[row] == right[column] ? 0 : 1
                var value = min(last[column] + cost, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    value = min(value, beforeLast[column - 1] + 1)
                }
                current[column + 1] = value
            }
            (beforeLast, last, current) = (last, current, beforeLast)
        }
        return min(last[right.count], bound + 1)
    }
}
