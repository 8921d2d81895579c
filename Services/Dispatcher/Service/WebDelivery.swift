import DispatcherDomain
package import EscapementModel
import NIOCore
import WireProtocol

/// One request to an HTTP target.
package struct WebRequest: Sendable {
    package var url: String
    /// In order; names as they are sent.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// User and password; `nil` without. Never logged.
    package var basic: WhiskKey?
    /// Whether the address may be in a private network: true for what the operator configured himself.
    package var isTrusted: Bool
}

/// What a target answered.
package enum WebAnswer: Sendable {
    /// The status, and for how long `Retry-After` asks to wait.
    case status(Int, retryAfter: Duration?)
    /// No answer; the request may or may not have had an effect.
    case unavailable(String)
    /// The address may not be used: a private network, or a URL that cannot be.
    case forbidden(String)
}

/// Sends requests to HTTP targets. Adapters: the HTTP client, test doubles.
package protocol WebSender: Sendable {
    func send(_ request: WebRequest) async -> WebAnswer
}

/// Delivers fires to HTTP targets: builds requests, judges answers. At least once: an answer that is lost repeats the
/// request, with the same id.
package struct WebDelivery: Sendable {
    /// Attempts until a fire is given up, and pauses between them, where the schedule says nothing.
    package static let attemptsMax: UInt32 = 8
    package static let pauseMin = Duration.seconds(1)
    package static let pauseMax = Duration.seconds(60)
    /// What a target asks for by `Retry-After` counts up to here.
    package static let retryAfterMax = Duration.seconds(600)

    static func attemptsMax(of template: FireTemplateView) -> UInt32 {
        template.retry.attemptsMax == 0 ? self.attemptsMax : template.retry.attemptsMax
    }

    /// What became of one attempt.
    enum Result: Sendable {
        case delivered(String)
        /// An OpenWhisk trigger took it that has no active rule: delivered, and nothing runs.
        case deliveredWithoutRule(String)
        case refused(Reason, String)
        case again(Duration, String)
    }

    private let sender: any WebSender
    private let keys: any NamespaceKeys
    /// `https://controller` of OpenWhisk, without a trailing slash; `nil` refuses triggers and actions.
    private let whiskHost: String?
    private let clocks: any Clocks

    package init(sender: any WebSender, keys: any NamespaceKeys, whiskHost: String?, clocks: any Clocks) {
        self.sender = sender
        self.keys = keys
        self.whiskHost = whiskHost
        self.clocks = clocks
    }

    /// Whom a target's requests go to, as far as one may delay another: the authority of its URL; OpenWhisk is one.
    static func host(of target: FireTemplate.Web) -> String {
        guard case .hook(let url, _) = target else { return "openwhisk" }
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let authority = url[start...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = (authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority)
            .lowercased()
        return host.hasSuffix(":443") ? String(host.dropLast(4)) : host
    }

    func deliver(
        _ fire: borrowing EventFormat.Fire, to target: FireTemplate.Web, format: EventFormat, attempt: UInt32
    ) async -> Result {
        let request: WebRequest
        do throws(FormatError) {
            request = try self.request(fire, target, format, attempt)
        } catch {
            return .refused(error.reason, error.detail)
        }
        switch await self.sender.send(request) {
        case .status(let status, let retryAfter):
            let jitter = Self.jitter(fire.id, attempt)
            let pause = Self.pause(attempt, jitter: jitter, fire.template.retry)
            // A wish that is over at once, again and again, must not use up the attempts in a second.
            let least = min(pause, Self.pause(attempt, jitter: jitter, FireTemplate.Retry()))
            return self.judge(
                status, retryAfter.map { max(least, min($0, Self.retryAfterMax)) }, target,
                namespace: fire.template.string(\.namespace), jitter: jitter, pause: pause)
        case .unavailable(let detail):
            return .again(Self.pause(attempt, jitter: Self.jitter(fire.id, attempt), fire.template.retry), detail)
        case .forbidden(let detail): return .refused(.targetRefused, detail)
        }
    }

    private func request(
        _ fire: borrowing EventFormat.Fire, _ target: FireTemplate.Web, _ format: EventFormat, _ attempt: UInt32
    ) throws(FormatError) -> WebRequest {
        let now = self.clocks.wallNow()
        let words = EventFormat.words(of: fire, attempt: attempt, now: now)
        let body = Array(try EventFormat.expanded(fire.template, words).readableBytesView)
        switch target {
        case .hook(let url, let secret):
            var headers: [(name: String, value: String)] = []
            // The HTTP binding of CloudEvents, binary mode.
            for attribute in format.attributes(of: fire, attempt: attempt, now: InstantText(now)) {
                headers.append(("ce-\(attribute.name)", attribute.value))
            }
            headers.append(("Content-Type", EventFormat.contentType(of: fire.template)))
            headers.append(("Idempotency-Key", "\"\(fire.id)\""))
            if !fire.traceparent.isEmpty { headers.append(("traceparent", fire.traceparent)) }
            for header in fire.template.headers {
                headers.append((header.name, try EventFormat.expanded(header.value, fire.template, words)))
            }
            if !secret.isEmpty {
                let namespace = fire.template.string(\.namespace)
                guard let key = self.keys.signingKey("\(namespace).\(secret)") else {
                    throw FormatError(
                        .credentialsMissing,
                        "there is no signing secret \(secret) for the namespace \(namespace)")
                }
                headers += WebSignature.headers(key: key, id: fire.id, now: now, body: body)
            }
            return WebRequest(url: url, headers: headers, body: body, basic: nil, isTrusted: false)
        case .trigger(let path):
            return try self.whiskRequest(fire, path, "triggers", body)
        case .action(let path):
            return try self.whiskRequest(fire, path, "actions", body)
        }
    }

    private func whiskRequest(
        _ fire: borrowing EventFormat.Fire, _ path: String, _ collection: String, _ body: [UInt8]
    ) throws(FormatError) -> WebRequest {
        guard let host = self.whiskHost else {
            throw FormatError(.targetRefused, "ESCAPEMENT_OPENWHISK_API_HOST is not set on the dispatchers")
        }
        let parts = path.split(separator: "/")
        guard parts.count >= 2 else { throw FormatError(.targetRefused, "\(path) is not /namespace/name") }
        let namespace = fire.template.string(\.namespace)
        guard let key = self.keys.whiskKey(of: namespace) else {
            throw FormatError(.credentialsMissing, "there is no OpenWhisk key for the namespace \(namespace)")
        }
        let name = parts.dropFirst().map { Self.escaped($0) }.joined(separator: "/")
        let parent = fire.traceparent
        let trace = parent.isEmpty ? [] : [("traceparent", parent)]
        return WebRequest(
            url: "\(host)/api/v1/namespaces/\(Self.escaped(parts[0]))/\(collection)/\(name)",
            headers: [("Content-Type", "application/json"), ("X-Request-ID", fire.id.description)] + trace, body: body,
            basic: key, isTrusted: true)
    }

    private func judge(
        _ status: Int, _ retryAfter: Duration?, _ target: FireTemplate.Web, namespace: String, jitter: Double,
        pause: Duration
    ) -> Result {
        let isWhisk = if case .hook = target { false } else { true }
        let isTrigger = if case .trigger = target { true } else { false }
        switch status {
        case 204 where isTrigger:
            return .deliveredWithoutRule("HTTP 204: the trigger has no active rule")
        case 200..<300:
            return .delivered("HTTP \(status)")
        case 429 where isWhisk:
            // OpenWhisk counts in minutes of the wall clock.
            let now = self.clocks.wallNow().milliseconds
            let boundary = Duration.milliseconds(60_000 - now % 60_000)
            return .again(boundary + .seconds(5) * jitter, "HTTP 429")
        case _ where status == 409 && isWhisk, 408, 425, 429, 500...599:
            return .again(retryAfter ?? pause, "HTTP \(status)")
        default:
            // A redirect is not followed: it could lead anywhere.
            let isKeyRefused = isWhisk && (status == 401 || status == 403)
            return .refused(
                isKeyRefused ? .credentialsMissing : .targetRefused, Self.refusal(status, target, namespace))
        }
    }

    /// What is said of an answer that ends a fire: its meaning and what to do, where it has one.
    private static func refusal(_ status: Int, _ target: FireTemplate.Web, _ namespace: String) -> String {
        let whisk: String? =
            switch target {
            case .hook: nil
            case .trigger(let path): "trigger \(path)"
            case .action(let path): "action \(path)"
            }
        switch (status, whisk) {
        case (401, .some):
            return "HTTP 401: OpenWhisk does not accept the key of the namespace \(namespace): "
                + "put the present one into its file in ESCAPEMENT_OPENWHISK_KEYS_DIR"
        case (403, let whisk?):
            return "HTTP 403: the key of the namespace \(namespace) has no right to the \(whisk): "
                + "correct the target or the key"
        case (404, let whisk?):
            return "HTTP 404: OpenWhisk has no \(whisk): create it, or correct the target"
        case (401, nil), (403, nil):
            return "HTTP \(status): the target does not accept our credentials: correct its secret or headers"
        case (404, nil), (410, nil):
            return "HTTP \(status): there is nothing at the URL: correct the target"
        default:
            return "HTTP \(status)"
        }
    }

    /// Doubling; between half and all of the bound.
    private static func pause(_ attempt: UInt32, jitter: Double, _ retry: FireTemplate.Retry) -> Duration {
        func bound(_ milliseconds: UInt64, _ fallback: Duration) -> Duration {
            milliseconds == 0 ? fallback : .milliseconds(Int64(clamping: milliseconds))
        }
        let first = bound(retry.backoffMinMilliseconds, self.pauseMin)
        let most = max(first, bound(retry.backoffMaxMilliseconds, self.pauseMax))
        return min(first * (1 << Int(min(attempt, 16) - min(attempt, 1))), most) * (0.5 + jitter / 2)
    }

    /// From 0 to 1, a function of the fire and the attempt: many that wait for one host do not come back together.
    private static func jitter(_ id: ActivationID, _ attempt: UInt32) -> Double {
        var random = SplitMix64(seed: id.uid.low ^ UInt64(attempt))
        return Double.random(in: 0...1, using: &random)
    }

    /// Percent-encoding of one part of a path.
    private static func escaped(_ part: Substring) -> String {
        var text = ""
        for byte in part.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "@"):
                text.append(Character(UnicodeScalar(byte)))
            default:
                text += "%" + Hexadecimal.text([byte]).uppercased()
            }
        }
        return text
    }
}

/// Signs a request the way Standard Webhooks does: an HMAC-SHA-256 over id, time and body.
package enum WebSignature {
    package static func headers(
        key: [UInt8], id: ActivationID, now: WallInstant, body: [UInt8]
    ) -> [(name: String, value: String)] {
        let timestamp = "\(now.milliseconds / 1000)"
        let mac = self.hmac(key: key, message: Array("\(id).\(timestamp).".utf8) + body)
        var text: [UInt8] = []
        Base64.write(mac, to: &text)
        return [
            ("webhook-id", id.description), ("webhook-timestamp", timestamp),
            ("webhook-signature", "v1," + String(decoding: text, as: UTF8.self)),
        ]
    }

    /// RFC 2104 with SHA-256.
    package static func hmac(key: [UInt8], message: [UInt8]) -> [UInt8] {
        func hash(_ parts: [UInt8]...) -> [UInt8] {
            var hash = SHA256()
            for part in parts { hash.update(part) }
            return hash.finish()
        }
        var block = key.count > 64 ? hash(key) : key
        block += Array(repeating: 0, count: 64 - block.count)
        return hash(block.map { $0 ^ 0x5c }, hash(block.map { $0 ^ 0x36 }, message))
    }
}
