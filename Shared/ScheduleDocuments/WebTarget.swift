import JSON

/// A target that is reached by HTTP instead of Kafka: `http` or `openwhisk` of a target's document.
package enum WebTarget: Hashable, Sendable {
    /// Any HTTPS endpoint. `secret` names a key of the operator's that signs the request; empty for none.
    case hook(url: String, secret: String)
    /// `/namespace/name`
    case trigger(String)
    /// `/namespace/name` or `/namespace/package/name`
    case action(String)

    /// Bytes of a URL.
    package static let urlMax = 2000
    package static let headerCountMax = 32
    /// Bytes of all header names and values together.
    package static let headerBytesMax = 8192

    /// Reads `http` and `openwhisk`, at most one of which may be there, and refuses what makes no sense beside them.
    static func read(_ reader: inout ObjectReader) -> WebTarget? {
        let hook = self.hook(&reader)
        let whisk = self.whisk(&reader)
        if hook != nil, whisk != nil {
            reader.note("openwhisk", ProblemCode.invalidValue, "excludes 'http'; keep one of them")
        }
        if hook != nil || whisk != nil {
            for name in ["topic", "format", "key"] where reader.has(name) {
                reader.note(
                    name, ProblemCode.invalidValue, "belongs to Kafka; leave it out beside 'http' or 'openwhisk'")
            }
        }
        return hook ?? whisk
    }

    private static func hook(_ reader: inout ObjectReader) -> WebTarget? {
        guard let value = reader.value("http") else { return nil }
        var inner = ObjectReader(value, at: reader.pointer(to: "http"))
        inner.require("url")
        let url = inner.string("url") ?? ""
        if inner.has("url"), let fault = self.urlFault(url) { inner.note("url", ProblemCode.invalidValue, fault) }
        let secret = inner.string("secret") ?? ""
        if secret.utf8.count > 128 || secret.utf8.contains(where: { !self.isNameByte($0) }) {
            inner.note("secret", ProblemCode.invalidName, "must be up to 128 letters, digits, '.', '_' and '-'")
        }
        reader.note(inner.finish())
        return .hook(url: url, secret: secret)
    }

    private static func whisk(_ reader: inout ObjectReader) -> WebTarget? {
        guard let value = reader.value("openwhisk") else { return nil }
        var inner = ObjectReader(value, at: reader.pointer(to: "openwhisk"))
        let trigger = inner.string("trigger")
        let action = inner.string("action")
        for (name, path) in [("trigger", trigger), ("action", action)] {
            guard let path else { continue }
            if let fault = TargetDocument.actionFault(path) { inner.note(name, ProblemCode.invalidName, fault) }
        }
        if let trigger, trigger.split(separator: "/").count > 2 {
            inner.note("trigger", ProblemCode.invalidName, "must be /namespace/name: triggers are in no package")
        }
        if (trigger == nil) == (action == nil) {
            reader.note("openwhisk", ProblemCode.invalidValue, "must hold either 'trigger' or 'action'")
        }
        reader.note(inner.finish())
        return trigger.map { .trigger($0) } ?? action.map { .action($0) }
    }

    /// Headers of the formats, and of HTTP itself.
    private static let takenPrefixes = ["ce_", "ce-", "esc-", "webhook-"]
    private static let takenNames: Set<String> = [
        "content-type", "traceparent", "idempotency-key", "host", "content-length", "authorization", "connection",
        "transfer-encoding",
    ]

    /// Reads `headers`: names of letters, digits and `-._`, values of one line.
    static func headers(_ reader: inout ObjectReader) -> [JSONMember] {
        guard let value = reader.value("headers") else { return [] }
        guard case .object(let members) = value else {
            reader.note("headers", ProblemCode.invalidValue, "must be an object of texts, this is \(value.kindName)")
            return []
        }
        if members.count > self.headerCountMax {
            reader.note(
                "headers", ProblemCode.invalidValue,
                "has \(members.count) members, at most \(self.headerCountMax) are allowed")
        }
        var size = 0
        for member in members {
            let name = member.name.lowercased()
            size += member.name.utf8.count + (member.value.stringValue?.utf8.count ?? 0)
            if self.takenPrefixes.contains(where: { name.hasPrefix($0) }) || self.takenNames.contains(name) {
                reader.note("headers", ProblemCode.invalidName, "may not set '\(ObjectReader.clipped(member.name))'")
            } else if name.isEmpty || name.utf8.count > 128 || name.utf8.contains(where: { !self.isNameByte($0) }) {
                reader.note(
                    "headers", ProblemCode.invalidName,
                    "has the name '\(ObjectReader.clipped(member.name))'; use letters, digits, '.', '_' and '-'")
            } else if member.value.stringValue.map({ $0.unicodeScalars.contains { $0.value < 0x20 } }) ?? true {
                reader.note(
                    "headers", ProblemCode.invalidValue,
                    "must give '\(ObjectReader.clipped(member.name))' one line of text")
            }
        }
        if size > self.headerBytesMax {
            reader.note(
                "headers", ProblemCode.invalidValue, "has \(size) bytes, at most \(self.headerBytesMax) are allowed")
        }
        return members
    }

    var httpDocument: JSONValue? {
        guard case .hook(let url, let secret) = self else { return nil }
        return .record(["url": .string(url), "secret": secret.isEmpty ? nil : .string(secret)])
    }

    var openWhiskDocument: JSONValue? {
        switch self {
        case .hook: nil
        case .trigger(let name): ["trigger": .string(name)]
        case .action(let name): ["action": .string(name)]
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// Why a URL is refused. Addresses are judged when they are known, at each connection.
    private static func urlFault(_ url: String) -> String? {
        guard url.utf8.count <= self.urlMax else { return "must have at most \(self.urlMax) bytes" }
        guard url.hasPrefix("https://") else { return "must begin with https://" }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return "must be printable ASCII without spaces" }
        let authority = url.dropFirst(8).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.isEmpty { return "names no host" }
        if authority.contains("@") { return "must not hold a user name or password; use a signing secret" }
        return nil
    }
}
