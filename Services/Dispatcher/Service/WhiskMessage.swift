package import EscapementModel
import JSON
import NIOCore
import WireProtocol

/// OpenWhisk's ActivationMessage: what its invokers and schedulers read. All members that their readers demand are
/// there, also empty ones.
enum WhiskMessage {
    /// Who asks, to OpenWhisk: acknowledgements go to `completed<name>`.
    static func controller(of cluster: String) -> String { "escapement-\(cluster)" }

    /// Who invokes it; OpenWhisk wants five characters at least.
    private static let subject = "escapement"

    /// - Throws: `FormatError` when the action, the payload or the key does not fit.
    static func value(
        of fire: borrowing EventFormat.Fire, payload: ByteBuffer, controller: String, keys: any NamespaceKeys,
        now: WallInstant
    ) throws(FormatError) -> ByteBuffer {
        let namespace = fire.template.string(\.namespace)
        let parts = fire.template.string(\.action).split(separator: "/")
        guard parts.count == 2 || parts.count == 3, let name = parts.last else {
            throw FormatError(.invalidTemplate, "the format openwhisk needs an action, /namespace/package/name")
        }
        // `_` is the caller's own. Of others no controller would ask here whether they may be invoked.
        guard parts[0] == "_" || parts[0] == namespace else {
            throw FormatError(
                .targetRefused, "the format openwhisk invokes actions of the fire's own namespace, \(namespace), only")
        }
        let path = ([namespace] + parts.dropFirst().dropLast().map(String.init)).joined(separator: "/")
        guard let key = keys.whiskKey(of: namespace) else {
            throw FormatError(.credentialsMissing, "there is no OpenWhisk key for the namespace \(namespace)")
        }
        let content: JSONValue
        do {
            content = try JSONParser.parse(payload.readableBytesView, depthMax: 64)
        } catch {
            throw FormatError(.invalidTemplate, "the format openwhisk needs a payload in JSON: \(error)")
        }
        var members: [JSONMember] = []
        func add(_ name: String, _ value: JSONValue) { members.append(JSONMember(name, value)) }
        // The start is now: OpenWhisk refuses what started long ago.
        add("transid", [.string(fire.id.description), .integer(now.milliseconds)])
        add(
            "action",
            ["path": .string(path), "name": .string(String(name))])
        add("revision", .null)
        add(
            "user",
            [
                "subject": .string(self.subject),
                "namespace": ["name": .string(namespace), "uuid": .string(key.uuid)],
                "authkey": ["api_key": .string("\(key.uuid):\(key.key)")],
                "rights": ["READ", "PUT", "DELETE", "ACTIVATE"], "limits": .object([]),
            ])
        add("activationId", .string(fire.id.description))
        add("rootControllerIndex", ["asString": .string(controller), "instanceType": "controller"])
        add("blocking", false)
        add("content", content)
        add("initArgs", [])
        add("lockedArgs", .object([]))
        if !fire.traceparent.isEmpty { add("traceContext", ["traceparent": .string(fire.traceparent)]) }
        return ByteBuffer(bytes: JSONValue.object(members).bytes)
    }
}

/// Why a fire cannot be written in its format.
package struct FormatError: Error, Equatable {
    package var reason: Reason
    package var detail: String

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }
}
