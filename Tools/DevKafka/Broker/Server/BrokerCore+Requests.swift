import Logging
import NIOCore

extension BrokerCore {
    /// Takes a request off a connection. `answer` is called once, now or later, unless a fault says otherwise.
    func receive(_ frame: ByteBuffer, from connection: Connection, answer: @escaping Answer) {
        self.loop.preconditionInEventLoop()
        if let session = connection.session, session.isRaw, session.isExchanging {
            return self.receiveRawToken(frame, from: connection, answer: answer)
        }
        let request: Request
        do {
            guard let read = try self.read(frame, from: connection, answer: answer) else { return }
            request = read
        } catch {
            return answer(.close(reason: "malformed request: \(error.field)"))
        }
        if let session = connection.session, session.user == nil,
            ![.apiVersions, .saslHandshake, .saslAuthenticate].contains(request.api)
        {
            return answer(.close(reason: "\(request.api.name) before authentication"))
        }
        self.withFault(request, answer: self.slowed(answer, broker: request.broker))
    }

    /// The request's header; `nil` when the answer is given already.
    private func read(
        _ frame: ByteBuffer, from connection: Connection, answer: Answer
    ) throws(MalformedRequest) -> Request? {
        var header = FieldReader(frame, isFlexible: false)
        let number = try header.int16("api key")
        let version = try header.int16("api version")
        let correlationID = try header.int32("correlation id")
        guard let api = APIKey(rawValue: number) else {
            answer(.close(reason: "unknown request kind \(number)"))
            return nil
        }
        let isFlexible = api.isFlexible(version)
        guard api.versions.contains(version) else {
            guard api == .apiVersions else {
                answer(.close(reason: "\(api.name) has no version \(version)"))
                return nil
            }
            // A client may ask in a version of the future; it learns the versions from an answer in the oldest.
            let request = Request(
                api: api, version: 0, correlationID: correlationID, clientID: nil, body: header,
                broker: connection.broker, connection: connection)
            answer(self.framed(self.apiVersions(request, error: .unsupportedVersion), request))
            return nil
        }
        let clientID = try header.nullableString("client id")
        var body = FieldReader(header.buffer, isFlexible: isFlexible)
        try body.tags()
        return Request(
            api: api, version: version, correlationID: correlationID, clientID: clientID, body: body,
            broker: connection.broker, connection: connection)
    }

    private func slowed(_ answer: @escaping Answer, broker: Int32) -> Answer {
        let delay = self.brokers[Int(broker) - 1].slowMilliseconds
        return delay == 0 ? answer : { response in self.schedule(milliseconds: delay) { answer(response) } }
    }

    private func withFault(_ request: Request, answer: @escaping Answer) {
        guard
            let fault = self.faults.take(api: request.api, broker: request.broker, clientID: request.clientID)
        else { return self.apply(request, answer: answer) }
        self.logger.debug("a fault is met", metadata: ["request": "\(request.api.name)", "fault": "\(fault.effect)"])
        switch fault.effect {
        case .error(let code):
            var request = request
            let injected = InjectedError(code, topic: fault.topic)
            request.injected = injected
            self.apply(request, answer: answer)
            if !injected.isUsed { self.faults.putBack(fault) }
        case .delay(let milliseconds):
            self.schedule(milliseconds: milliseconds) { self.apply(request, answer: answer) }
        case .delayAnswer(let milliseconds):
            self.apply(request) { response in self.schedule(milliseconds: milliseconds) { answer(response) } }
        case .duplicate(let milliseconds):
            self.apply(request, answer: answer)
            self.schedule(milliseconds: milliseconds) { self.apply(request) { _ in } }
        case .dropAnswer:
            self.apply(request) { _ in answer(.close(reason: "the answer is dropped on order")) }
        case .mute:
            self.apply(request) { _ in }
        case .disconnect:
            answer(.close(reason: "disconnected on order"))
        }
    }

    private func apply(_ request: Request, answer: @escaping Answer) {
        let framing: Answer = { answer(self.framed($0, request)) }
        do throws(MalformedRequest) {
            switch request.api {
            case .produce: try self.produce(request, framing)
            case .fetch: try self.fetch(request, framing)
            case .listOffsets: try self.listOffsets(request, framing)
            case .metadata: try self.metadata(request, framing)
            case .offsetCommit: try self.offsetCommit(request, framing)
            case .offsetFetch: try self.offsetFetch(request, framing)
            case .findCoordinator: try self.findCoordinator(request, framing)
            case .joinGroup: try self.joinGroup(request, framing)
            case .heartbeat: try self.heartbeat(request, framing)
            case .leaveGroup: try self.leaveGroup(request, framing)
            case .syncGroup: try self.syncGroup(request, framing)
            case .describeGroups: try self.describeGroups(request, framing)
            case .listGroups: self.listGroups(request, framing)
            case .saslHandshake: try self.saslHandshake(request, framing)
            case .saslAuthenticate: try self.saslAuthenticate(request, framing)
            case .apiVersions: framing(self.apiVersions(request, error: .none))
            case .createTopics: try self.createTopics(request, framing)
            case .deleteTopics: try self.deleteTopics(request, framing)
            case .createPartitions: try self.createPartitions(request, framing)
            case .describeConfigs: try self.describeConfigs(request, framing)
            case .initProducerID: try self.initProducerID(request, framing)
            case .addPartitionsToTransaction: try self.addPartitionsToTransaction(request, framing)
            case .addOffsetsToTransaction: try self.addOffsetsToTransaction(request, framing)
            case .endTransaction: try self.endTransaction(request, framing)
            case .transactionOffsetCommit: try self.transactionOffsetCommit(request, framing)
            }
        } catch {
            answer(.close(reason: "malformed \(request.api.name): \(error.field)"))
        }
    }

    /// With length and header in front.
    private func framed(_ response: Response, _ request: Request) -> Response {
        switch response {
        case .body(let body): .body(self.framed(body, request))
        case .last(let body): .last(self.framed(body, request))
        case .nothing, .close: response
        }
    }

    private func framed(_ body: FieldWriter, _ request: Request) -> FieldWriter {
        // Of all answers that to ApiVersions never has tags in its header: its reader may not know them.
        let hasTags = body.isFlexible && request.api != .apiVersions
        var frame = FieldWriter(isFlexible: body.isFlexible, reserving: body.buffer.readableBytes + 16)
        frame.int32(Int32(body.buffer.readableBytes + (hasTags ? 5 : 4)))
        frame.int32(request.correlationID)
        if hasTags { frame.tags() }
        frame.append(body.buffer)
        return frame
    }

    // MARK: - Logging in

    func apiVersions(_ request: Request, error: ErrorCode) -> Response {
        var writer = request.writer()
        writer.error(request.injected?.take() ?? error)
        writer.array(APIKey.allCases) { writer, api in
            writer.int16(api.rawValue)
            writer.int16(api.versions.lowerBound)
            writer.int16(api.versions.upperBound)
            writer.tags()
        }
        if request.version >= 1 { writer.int32(0) }
        writer.tags()
        return .body(writer)
    }

    private func saslHandshake(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let name = try body.string("mechanism")
        let offered = self.credentials.mechanisms
        var error = request.injected?.take() ?? .none
        if error == .none {
            if request.connection.session == nil {
                error = .illegalSaslState
            } else if let mechanism = SASLMechanism(rawValue: name), offered.contains(mechanism) {
                request.connection.session?.begin(
                    mechanism, isRaw: request.version == 0, credentials: self.credentials)
            } else {
                error = .unsupportedSaslMechanism
            }
        }
        var writer = request.writer()
        writer.error(error)
        writer.array(offered.map(\.rawValue)) { $0.string($1) }
        answer(error == .none ? .body(writer) : .last(writer))
    }

    private func saslAuthenticate(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let token = try body.bytes("auth bytes")
        var step: SASLSession.Step?
        var error = request.injected?.take() ?? .none
        if error == .none {
            step = request.connection.session?.receive(token, credentials: self.credentials)
            switch step {
            case nil: error = .illegalSaslState
            case .refused: error = .saslAuthenticationFailed
            case .answer, .complete: break
            }
        }
        var message: String?
        var bytes: [UInt8] = []
        switch step {
        case .answer(let token), .complete(let token): bytes = token
        case .refused(let reason): message = reason
        case nil: message = error.name
        }
        var writer = request.writer()
        writer.error(error)
        writer.nullableString(message)
        writer.bytes(bytes)
        if request.version >= 1 { writer.int64(0) }
        if let message {
            self.logger.info(
                "authentication failed", metadata: ["address": "\(request.connection.address)", "reason": "\(message)"])
        }
        answer(error == .none ? .body(writer) : .last(writer))
    }

    /// After version 0 of the handshake: tokens behind their length, and a refusal is a closed connection.
    private func receiveRawToken(_ token: ByteBuffer, from connection: Connection, answer: Answer) {
        guard let step = connection.session?.receive(token, credentials: self.credentials) else {
            return answer(.close(reason: "no SASL here"))
        }
        switch step {
        case .answer(let bytes), .complete(let bytes):
            var writer = FieldWriter(isFlexible: false)
            writer.bytes(bytes)
            answer(.body(writer))
        case .refused(let reason):
            self.logger.info(
                "authentication failed", metadata: ["address": "\(connection.address)", "reason": "\(reason)"])
            answer(.close(reason: reason))
        }
    }
}
