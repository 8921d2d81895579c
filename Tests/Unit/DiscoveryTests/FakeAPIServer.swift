import Discovery
import EscapementModel
import HTTPServer
import Hummingbird
import JSON
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import TLS

/// A Kubernetes API server that knows pods and how to list and watch them, over TLS, and misbehaves when told to.
final class FakeAPIServer: Sendable {
    /// What goes wrong with the next request of a kind.
    enum Fault: Sendable {
        case status(Int, retryAfter: Int? = nil)
        /// Nothing goes wrong with this request; the next one is meant.
        case pass
        /// A watch says that its version is too old: as an event, and then ends.
        case gone
        /// A watch sends bytes that are no event.
        case garbage
        /// A watch ends in the middle of a line.
        case cutLine
    }

    private struct Pod {
        var ip: String
        var phase = "Running"
        var labels = ["app.kubernetes.io/name": "escapement", "app.kubernetes.io/component": "coordinator"]
        var isBeingDeleted = false
        var version: Int
    }

    private struct State {
        var pods: [String: Pod] = [:]
        var version = 100
        var token = "token-1"
        var listFaults: [Fault] = []
        var watchFaults: [Fault] = []
        var lists = 0
        var watches: [Int] = []
        var watchers: [Int: AsyncStream<String>.Continuation] = [:]
        var nextWatcher = 0
        var pageSize = Int.max
        var tokensSeen: [String] = []
        /// Everything that happened, by version.
        var history: [(version: Int, line: String)] = []
        /// Versions before this one cannot be watched from.
        var oldest = 0
        /// A watch that comes now ends at once: nobody is left to end it.
        var isStopping = false
    }

    static let namespace = "schedules"
    private let state = Mutex(State())

    // Steering.

    var lists: Int { self.state.withLock { $0.lists } }
    /// The versions that watches began at.
    var watches: [Int] { self.state.withLock { $0.watches } }
    var tokensSeen: [String] { self.state.withLock { $0.tokensSeen } }
    func setToken(_ token: String) { self.state.withLock { $0.token = token } }
    func setPageSize(_ size: Int) { self.state.withLock { $0.pageSize = size } }
    func failNextList(_ fault: Fault) { self.state.withLock { $0.listFaults.append(fault) } }
    func failNextWatch(_ fault: Fault) { self.state.withLock { $0.watchFaults.append(fault) } }

    /// Makes the pods of the selector exactly these, telling those who watch.
    func set(_ hosts: [String: String]) {
        for name in self.state.withLock({ Array($0.pods.keys) }) where hosts[name] == nil { self.remove(name) }
        for (name, ip) in hosts.sorted(by: { $0.key < $1.key }) { self.put(name, ip: ip) }
    }

    func put(
        _ name: String, ip: String, phase: String = "Running", component: String = "coordinator",
        isBeingDeleted: Bool = false
    ) {
        self.change(name) { pod, version in
            let type = pod == nil ? "ADDED" : "MODIFIED"
            var new = Pod(ip: ip, phase: phase, isBeingDeleted: isBeingDeleted, version: version)
            new.labels["app.kubernetes.io/component"] = component
            pod = new
            return (type, new)
        }
    }

    func remove(_ name: String) {
        self.change(name) { pod, version in
            guard var old = pod else { return nil }
            old.version = version
            pod = nil
            return ("DELETED", old)
        }
    }

    /// Tells those who watch how far they are, without any change.
    func bookmark() {
        let (watchers, version) = self.state.withLock { state in
            state.version += 10
            return (Array(state.watchers.values), state.version)
        }
        for watcher in watchers {
            watcher.yield(
                "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"\(version)\"}}}\n"
            )
        }
    }

    /// Ends every watch, as a server does after the time that was asked for.
    func endWatches() {
        let watchers = self.state.withLock { Array($0.watchers.values) }
        for watcher in watchers { watcher.finish() }
    }

    /// Forgets history: who watches from an earlier version is refused.
    func compact() {
        self.state.withLock { state in
            state.version += 10
            state.oldest = state.version
        }
    }

    private func change(_ name: String, _ body: (inout Pod?, Int) -> (String, Pod)?) {
        let (line, watchers) = self.state.withLock { state -> (String?, [AsyncStream<String>.Continuation]) in
            state.version += 1
            var pod = state.pods[name]
            let event = body(&pod, state.version)
            state.pods[name] = pod
            // A selector's watch tells only of pods that match; one that stops matching is DELETED to it.
            guard let (type, changed) = event, Self.matches(changed) else { return (nil, []) }
            let document: JSONValue = ["type": .string(type), "object": Self.document(name, changed)]
            state.history.append((state.version, document.text + "\n"))
            return (document.text + "\n", Array(state.watchers.values))
        }
        if let line { for watcher in watchers { watcher.yield(line) } }
    }

    private static func matches(_ pod: Pod) -> Bool { pod.labels["app.kubernetes.io/component"] == "coordinator" }

    private static func document(_ name: String, _ pod: Pod) -> JSONValue {
        .record([
            "kind": "Pod", "apiVersion": "v1",
            "metadata": .record([
                "name": .string(name), "namespace": .string(Self.namespace),
                "resourceVersion": .string("\(pod.version)"),
                "deletionTimestamp": pod.isBeingDeleted ? "2026-11-28T12:00:00Z" : nil,
            ]),
            "status": .record([
                "phase": .string(pod.phase), "podIP": pod.ip.isEmpty ? nil : .string(pod.ip),
                "conditions": [["type": "Ready", "status": "False"]],
            ]),
        ])
    }

    // Serving.

    private func answer(_ request: Request) -> Response {
        let query = request.uri.queryParameters
        let isWatch = query["watch"] == "1" || query["watch"] == "true"
        let token = request.headers[.authorization].map { String($0.dropFirst("Bearer ".utf8.count)) } ?? ""
        let fault: Fault? = self.state.withLock { state in
            state.tokensSeen.append(token)
            guard state.token == token else { return .status(401) }
            if isWatch { return state.watchFaults.isEmpty ? nil : state.watchFaults.removeFirst() }
            return state.listFaults.isEmpty ? nil : state.listFaults.removeFirst()
        }
        if case .status(let status, let retryAfter) = fault { return Self.failure(status, retryAfter) }
        guard query["labelSelector"] == "app.kubernetes.io/name=escapement,app.kubernetes.io/component=coordinator"
        else {
            return Self.failure(400, nil)
        }
        return isWatch
            ? self.watch(from: query["resourceVersion"].flatMap { Int($0) } ?? 0, fault)
            : self.list(query["continue"].map(String.init))
    }

    private func list(_ token: String?) -> Response {
        let document: JSONValue = self.state.withLock { state in
            if token == nil { state.lists += 1 }
            let start = token.flatMap { Int($0) } ?? 0
            let pods = state.pods.filter { Self.matches($0.value) }.sorted { $0.key < $1.key }.dropFirst(start)
            let page = pods.prefix(state.pageSize)
            let isLast = page.count == pods.count
            return [
                "kind": "PodList", "apiVersion": "v1",
                "metadata": .record([
                    "resourceVersion": .string("\(state.version)"),
                    "continue": isLast ? nil : .string("\(start + page.count)"),
                ]),
                "items": .array(page.map { Self.document($0.key, $0.value) }),
            ]
        }
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: document.bytes)))
    }

    private func watch(from version: Int, _ fault: Fault?) -> Response {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        let gone = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"message\":\"too old\"}}\n"
        let id: Int = self.state.withLock { state in
            state.watches.append(version)
            state.nextWatcher += 1
            if version < state.oldest {
                continuation.yield(gone)
                continuation.finish()
            } else {
                // What changed between the list and this watch is told first.
                for event in state.history where event.version > version { continuation.yield(event.line) }
                if state.isStopping {
                    continuation.finish()
                } else {
                    state.watchers[state.nextWatcher] = continuation
                }
            }
            return state.nextWatcher
        }
        switch fault {
        case .gone:
            continuation.yield(gone)
            continuation.finish()
        case .garbage: continuation.yield("<html>a proxy's words</html>\n")
        case .cutLine:
            continuation.yield("{\"type\":\"ADDED\",\"object\":{\"ki")
            continuation.finish()
        case .status, .pass, nil: break
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.watchers[id] = nil } }
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody { writer in
                // The header leaves at once, as the real one's does.
                try await writer.write(ByteBuffer(string: "\n"))
                for await line in lines { try await writer.write(ByteBuffer(string: line)) }
                try await writer.finish(nil)
            })
    }

    private static func failure(_ status: Int, _ retryAfter: Int?) -> Response {
        var headers: HTTPFields = [.contentType: "application/json"]
        if let retryAfter { headers[.retryAfter] = "\(retryAfter)" }
        let body: JSONValue = ["kind": "Status", "code": .integer(status), "message": "made to fail"]
        return Response(
            status: .init(code: status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body.bytes)))
    }

    /// Listens on a free port of the loopback interface while `body` runs.
    func serve(tls: TLSContextSlot, _ body: @Sendable (Int) async throws -> Void) async throws {
        let router = Router()
        router.get("api/v1/namespaces/{namespace}/pods") { request, context in
            context.parameters.get("namespace") == Self.namespace ? self.answer(request) : Self.failure(403, nil)
        }
        let bound = BoundPort()
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let listener = HTTPListener(
            name: "api", router: router, host: "127.0.0.1", port: 0, slot: tls, logger: logger,
            onBound: { bound.set($0) })
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [listener], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do {
                try await body(await bound.wait())
                result = .success(())
            } catch {
                result = .failure(error)
            }
            self.state.withLock { $0.isStopping = true }
            self.endWatches()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }
}
