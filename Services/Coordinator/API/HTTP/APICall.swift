import EscapementModel
import Hummingbird
import JSON
import NIOCore
import Observability
import ScheduleDocuments

/// One authenticated request, as a handler sees it.
struct APICall: Sendable {
    let request: Request
    let requestID: String
    let remoteAddress: String
    let caller: Caller
    /// The namespace of the path, with `_` replaced; empty for routes without one.
    let namespace: String
    let parameters: Parameters
    let settings: APISettings
    let gunzip: APIServer.Gunzip

    /// A parameter of the path that the route has.
    func parameter(_ name: String) -> String { self.parameters.get(name) ?? "" }

    /// Whether the query has the flag, as `true` or alone.
    func flag(_ name: String) -> Bool {
        let value = self.request.uri.queryParameters[Substring(name)]
        return value == "true" || value == "" || value == "1"
    }

    /// Only what would happen is asked for.
    var isDryRun: Bool { self.flag("dryRun") }

    /// The trace context of the request: of its span, else of its caller when it is well-formed; else empty.
    var traceparent: String {
        if let own = TraceContext.current { return own.header }
        guard let text = self.request.headers[own: .traceparent], text.utf8.count == 55,
            text.utf8.allSatisfy({ Hexadecimal.value(of: $0) != nil || $0 == UInt8(ascii: "-") })
        else { return "" }
        return text
    }

    // MARK: Body

    /// The bytes of the body, decompressed, at most `byteCountMax` of them either way.
    func bytes(byteCountMax: Int) async throws -> [UInt8] {
        let tooLarge = Problem.tooLarge(
            "the body", limit: byteCountMax,
            remedy:
                "a payload may have \(self.settings.payloadByteCountMax), a batch \(self.settings.batchByteCountMax)")
        let buffer: ByteBuffer
        do {
            buffer = try await self.request.body.collect(upTo: byteCountMax)
        } catch is NIOTooManyBytesError {
            throw tooLarge
        }
        let bytes = Array(buffer.readableBytesView)
        switch self.request.headers[.contentEncoding]?.lowercased() {
        case nil, "identity": return bytes
        case "gzip":
            switch self.gunzip(bytes, byteCountMax) {
            case .bytes(let bytes): return bytes
            case .tooLarge: throw tooLarge
            case .malformed: throw Problem(400, Problem.Code.malformedJSON, "the body is not gzip")
            }
        case let other?:
            throw Problem(
                415, Problem.Code.unsupportedMediaType,
                "the content encoding '\(other.prefix(40))' is not supported; use gzip or none",
                faults: [
                    .init(.header("Content-Encoding"), Problem.Code.unsupportedMediaType, "must be gzip or absent")
                ])
        }
    }

    /// The body as JSON.
    func document() async throws -> JSONValue { try self.parse(try await self.documentBytes()) }

    /// The bytes of a body that is to be JSON.
    func documentBytes() async throws -> [UInt8] {
        try self.requireMediaType(["application/json", "application/merge-patch+json"])
        return try await self.bytes(byteCountMax: self.settings.bodyByteCountMax)
    }

    /// As `parse`; an empty body is an empty object.
    func parseOrEmpty(_ bytes: [UInt8]) throws(Problem) -> JSONValue {
        bytes.isEmpty ? .object([]) : try self.parse(bytes)
    }

    /// Reads JSON with the API's bounds.
    func parse(_ bytes: some Collection<UInt8>) throws(Problem) -> JSONValue {
        do throws(JSONError) {
            return try JSONParser.parse(bytes, depthMax: self.settings.documentDepthMax)
        } catch {
            throw Problem(
                400, Problem.Code.malformedJSON, error.description,
                faults: [.init(.pointer(""), Problem.Code.malformedJSON, error.description)])
        }
    }

    /// The media type of the body, without parameters; empty when the request does not say.
    var mediaType: String {
        let text = self.request.headers[.contentType] ?? ""
        return String(text.prefix { $0 != ";" }).lowercased().filter { $0 != " " }
    }

    func requireMediaType(_ types: [String]) throws(Problem) {
        if self.mediaType.isEmpty || types.contains(self.mediaType) { return }
        let detail = "'\(ObjectReader.clipped(self.mediaType))' is not supported here; send \(types[0])"
        throw Problem(
            415, Problem.Code.unsupportedMediaType, detail,
            faults: [.init(.header("Content-Type"), Problem.Code.unsupportedMediaType, detail)])
    }

    // MARK: Conditions

    /// The generation that `If-Match` names; `nil` when it is absent or `*`.
    func expectedGeneration() throws(Problem) -> UInt64? {
        guard let text = self.request.headers[.ifMatch]?.trimmed, text != "*" else { return nil }
        guard text.hasPrefix("\""), text.hasSuffix("\""), let number = UInt64(text.dropFirst().dropLast()),
            // Generations are kept as signed numbers; a larger one is nobody's.
            number <= UInt64(Int64.max)
        else {
            throw Problem(
                412, Problem.Code.staleETag, "If-Match names no ETag of ours; ETags are quoted numbers such as \"3\"",
                faults: [.init(.header("If-Match"), Problem.Code.staleETag, "must be the ETag of the object, or *")])
        }
        return number
    }

    /// Whether the object must not exist yet: `If-None-Match: *`.
    var mustBeNew: Bool { self.request.headers[.ifNoneMatch]?.trimmed == "*" }

    /// Whether `If-None-Match` names `etag`, so that a reader has it already.
    func knows(_ etag: String) -> Bool {
        guard let text = self.request.headers[.ifNoneMatch] else { return false }
        return text.split(separator: ",").contains { String($0).trimmed == etag }
    }
}

extension String {
    fileprivate var trimmed: String {
        String(self.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
