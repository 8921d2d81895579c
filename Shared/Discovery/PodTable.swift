import EscapementModel
import JSON

/// What the Kubernetes API has said about the pods of a selector: a list, then what changed. A value without IO.
///
/// A pod counts with its address from when it has one until it is being deleted or has ended; whether it is ready
/// does not matter, because a coordinator may be waiting for the very members that look for it.
struct PodTable: Equatable {
    /// What follows from a line of a watch.
    enum Step: Equatable {
        case goOn
        /// The version that the watch began at is too old, or the server gave up: list again.
        case listAgain(String)
    }

    /// Why a document of the API cannot be used.
    struct Fault: Error, Equatable {
        var detail: String
    }

    /// Pods kept: a selector that matches half the cluster must not eat the memory.
    static let podsMax = 1024

    /// Where the next watch begins.
    private(set) var resourceVersion = ""
    private var hosts: [String: String] = [:]
    /// A list being read in pages; it takes the place of `hosts` when it is complete.
    private var pending: [String: String] = [:]

    func addresses(port: Int) -> [PeerAddress] {
        self.hosts.values.map { PeerAddress(host: $0, port: port) }.orderly
    }

    /// Begins a list.
    mutating func beginList() { self.pending = [:] }

    /// Takes a page of a list; the token of the next page, `nil` after the last.
    mutating func take(page: JSONValue) throws(Fault) -> String? {
        guard page["kind"] == "PodList", let version = page["metadata"]?["resourceVersion"]?.stringValue,
            case .array(let items)? = page["items"] ?? .array([])
        else { throw Fault(detail: "the answer is no list of pods") }
        for pod in items {
            guard let name = Self.name(of: pod), let host = Self.host(of: pod) else { continue }
            if self.pending.count < Self.podsMax { self.pending[name] = host }
        }
        if let token = page["metadata"]?["continue"]?.stringValue, !token.isEmpty { return token }
        self.hosts = self.pending
        self.pending = [:]
        self.resourceVersion = version
        return nil
    }

    /// Takes one event of a watch.
    mutating func take(event: JSONValue) throws(Fault) -> Step {
        guard let type = event["type"]?.stringValue, let object = event["object"] else {
            throw Fault(detail: "a line of the watch is no event")
        }
        switch type {
        case "ADDED", "MODIFIED", "DELETED":
            guard let name = Self.name(of: object) else { throw Fault(detail: "an event names no pod") }
            if type != "DELETED", let host = Self.host(of: object) {
                if self.hosts[name] != nil || self.hosts.count < Self.podsMax { self.hosts[name] = host }
            } else {
                self.hosts[name] = nil
            }
        case "BOOKMARK": break
        case "ERROR":
            let code = object["code"]?.integerValue ?? 0
            return .listAgain(
                code == 410 ? "the version is too old" : "error \(code): \(object["message"]?.stringValue ?? "")")
        default: return .goOn  // A newer server's; its object may not be a pod.
        }
        if let version = object["metadata"]?["resourceVersion"]?.stringValue { self.resourceVersion = version }
        return .goOn
    }

    private static func name(of pod: JSONValue) -> String? { pod["metadata"]?["name"]?.stringValue }

    /// The pod's first address while it may be reached.
    private static func host(of pod: JSONValue) -> String? {
        guard pod["metadata"]?["deletionTimestamp"]?.stringValue == nil else { return nil }
        switch pod["status"]?["phase"]?.stringValue {
        case "Succeeded", "Failed": return nil
        default: break
        }
        guard let host = pod["status"]?["podIP"]?.stringValue, !host.isEmpty else { return nil }
        return host
    }
}
